"""The detector of fixations, on gaze whose fixations are known; recordings as MATLAB writes them."""

import numpy as np
import pytest
from scipy.io import savemat
from vars_eval.data.gaze import Detector, read_gaze
from vars_eval.data.scenes import look, record
from vars_eval.errors import UserError

DETECTOR = Detector()
DEGREE, RATE = DETECTOR.degree, DETECTOR.rate
SIZE = (1024, 768)


def still(point, seconds, noise=0.05, seed=0):
    n = round(seconds * RATE)
    return np.array(point) + np.random.default_rng(seed).normal(0, noise * DEGREE, (n, 2))


@pytest.mark.parametrize("noise", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("seed", range(10))
def test_finds_what_was_recorded(seed, noise):
    """Every fixation, in order, and no other, with a blink in the first; positions within a tenth of a degree."""
    generator = np.random.default_rng(seed)
    points = look(generator, SIZE, [(300.0, 200.0), (700.0, 500.0)])
    found = DETECTOR.fixations(record(generator, points, noise))
    assert len(found) == len(points)
    assert np.abs(found - points).max() < max(noise, 0.01) * DEGREE


def test_of_a_still_eye_there_is_one_fixation():
    (found,) = DETECTOR.fixations(still((400, 300), 1.0))
    assert found == pytest.approx((400, 300), abs=0.05 * DEGREE)


@pytest.mark.parametrize(("seconds", "number"), [(0.08, 0), (0.15, 1)])
def test_short_stops_are_no_fixations(seconds, number):
    assert len(DETECTOR.fixations(still((400, 300), seconds))) == number


@pytest.mark.parametrize(("degrees", "number"), [(0.0, 1), (0.3, 1), (2.0, 2)])
@pytest.mark.parametrize("lost", [(-1, -1), (np.nan, 300), (400, -5), (np.inf, 300)])
def test_blinks_do_not_cut_a_fixation_in_two(degrees, number, lost):
    first, second = still((400, 300), 0.3), still((400 + degrees * DEGREE, 300), 0.3, seed=1)
    gap = np.tile(np.array(lost, float), (8, 1))
    assert len(DETECTOR.fixations(np.concatenate([first, gap, second]))) == number


def test_long_closed_eyes_do():
    parts = [still((400, 300), 0.3), np.full((round(0.2 * RATE), 2), -1.0), still((400, 300), 0.3, seed=1)]
    assert len(DETECTOR.fixations(np.concatenate(parts))) == 2


def test_a_drift_is_no_fixation():
    """Ten degrees in a second are below the velocity threshold and above the spread."""
    path = np.stack([np.linspace(200, 200 + 10 * DEGREE, round(RATE)), np.full(round(RATE), 300.0)], 1)
    assert np.nanmax(DETECTOR.speed(path)) == pytest.approx(10, rel=0.05)
    assert len(DETECTOR.fixations(path)) == 0


def test_speed_of_a_line_is_its_slope():
    """In degrees a second, and unknown at the ends and around lost samples."""
    t = np.arange(50)[:, None] / RATE
    gaze = 100 + t * np.array([3.0, 4.0]) * DEGREE
    gaze[20] = np.nan
    speed = DETECTOR.speed(gaze)
    known = np.isfinite(speed)
    assert speed[known] == pytest.approx(5.0)
    assert np.flatnonzero(~known).tolist() == [0, 1, 18, 19, 20, 21, 22, 48, 49]


@pytest.mark.parametrize("n", [0, 1, 4, 5])
def test_next_to_nothing_has_no_fixation(n):
    assert DETECTOR.fixations(np.full((n, 2), 5.0)).shape == (0, 2)


def test_only_closed_eyes():
    assert DETECTOR.fixations(np.full((100, 2), -1.0)).shape == (0, 2)


def test_scale_and_place_do_not_matter():
    """Twice as many pixels in a degree, everywhere."""
    gaze = record(np.random.default_rng(0), look(np.random.default_rng(0), SIZE, [(500.0, 400.0)]))
    expected = DETECTOR.fixations(gaze)
    gaze = np.where(gaze < 0, gaze, 2 * gaze + 50)
    np.testing.assert_allclose(Detector(degree=2 * DEGREE).fixations(gaze), 2 * expected + 50)


# ---- recordings

LONG = "i" + "x" * 70


@pytest.mark.parametrize("name", ["i05june05_static_street_boston_p1010764", LONG])
@pytest.mark.parametrize("records", [1, 2])
def test_reads_the_first_record_of_the_struct(name, records, tmp_path):
    gaze = np.arange(30.0).reshape(10, 3)
    parts = np.zeros(records, dtype=[("eyeData", object), ("other", object)])
    for part in parts:
        part["eyeData"], part["other"] = gaze + 100 * (part is not parts[0]), "x"
    parts["eyeData"][0] = gaze
    savemat(tmp_path / f"{name}.mat", {name[:63]: {"DATA": parts, "imageName": name}}, long_field_names=True)
    np.testing.assert_array_equal(read_gaze(tmp_path / f"{name}.mat"), gaze[:, :2])


@pytest.mark.parametrize(
    ("content", "clue"),
    [
        ({"other": {"DATA": {"eyeData": np.ones((5, 2))}}}, "no field 'a'"),
        ({"a": {"eyeData": np.ones((5, 2))}}, "no field 'DATA'"),
        ({"a": {"DATA": {"x": 1}}}, "no field 'eyeData'"),
        ({"a": np.ones((5, 2))}, "no field 'DATA'"),
        ({"a": {"DATA": {"eyeData": np.ones(7)}}}, r"shape \(7,\), expected \(n, 2\)"),
        ({"a": {"DATA": {"eyeData": "gaze"}}}, "expected"),
    ],
)
def test_another_content_is_one_sentence(content, clue, tmp_path):
    savemat(tmp_path / "a.mat", content)
    with pytest.raises(UserError, match=clue) as raised:
        read_gaze(tmp_path / "a.mat")
    assert str(tmp_path / "a.mat") in str(raised.value)


@pytest.mark.parametrize("content", [b"", b"MATLAB 7.3 MAT-file" + bytes(200), b"no such thing" * 20])
def test_a_broken_file_is_one_sentence(content, tmp_path):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.mat can not be read"):
        read_gaze(tmp_path / "a.mat")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_was_cut_is_one_sentence(share, tmp_path):
    path = tmp_path / "a.mat"
    gaze = np.random.default_rng(0).uniform(0, 700, (720, 2))
    savemat(path, {"a": {"DATA": {"eyeData": gaze}}}, do_compression=share == 0.5)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"a\.mat can not be read"):
        read_gaze(path)
