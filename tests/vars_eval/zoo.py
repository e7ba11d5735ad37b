"""Odd image files with the pixels that they mean; `python tests/vars_eval/zoo.py` prints what becomes of each.

The pixels are known before a file is written: those of lossless formats exactly, those of lossy ones to a tolerance.
A file without pixels must be refused by name.
"""

import io
import os
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tifffile
from PIL import Image

RNG = np.random.default_rng(7)
DEEP = RNG.integers(0, 65536, (24, 31, 4), np.uint16)
EIGHT = (DEEP >> 8).astype(np.uint8)
RGB, GREY = EIGHT[..., :3], EIGHT[..., 0]
ROWS, COLUMNS = np.mgrid[:24, :31]
SMOOTH = np.stack([ROWS * 8, COLUMNS * 6, 90 + ROWS + COLUMNS], 2).astype(np.uint8)


@dataclass(frozen=True)
class Odd:
    """One file.

    Attributes:
        kind: In words.
        data: Its bytes.
        pixels: (H, W, 3) what it means, in 255ths; None where it must be refused.
        within: Largest difference that is allowed.
        name: Of the file.
    """

    kind: str
    data: bytes
    pixels: np.ndarray[Any, Any] | None
    within: float = 0
    name: str = "odd.png"


def rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(grey, np.float64)[..., None], 3, 2)


def chunk(kind: bytes, content: bytes, wrong: int = 0) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content) ^ wrong)


def png(samples: np.ndarray, bits: int, colour: int, *more: bytes, size: tuple[int, int] | None = None) -> bytes:
    """A PNG written by hand from (H, W) or (H, W, C) samples."""
    height, width = samples.shape[:2]
    flat = samples.reshape(height, -1)
    if bits == 16:
        rows = flat.astype(">u2").view(np.uint8)
    else:
        places = np.unpackbits(flat.astype(np.uint8)[..., None], axis=2)[..., 8 - bits :]
        rows = np.packbits(places.reshape(height, -1), axis=1)
    raw = b"".join(b"\0" + row.tobytes() for row in rows)
    width, height = size or (width, height)
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"".join(
        [b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", header), *more, chunk(b"IDAT", zlib.compress(raw)), chunk(b"IEND", b"")]
    )


def saved(pixels: np.ndarray | Image.Image, kind: str, mode: str = "", **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, kind, **options)
    return buffer.getvalue()


def tif(samples: np.ndarray, photometric: str = "minisblack", **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, photometric=photometric, metadata=None, **options)
    return buffer.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    return exif


def pngs() -> Iterator[Odd]:
    for bits in (1, 2, 4, 8, 16):
        values = DEEP[..., 0] >> (16 - bits)
        yield Odd(f"PNG, grey, {bits} bits", png(values, bits, 0), rgb(values * 255.0 / (2**bits - 1)), bits / 16)
        transparent = chunk(b"tRNS", struct.pack(">H", 1))
        yield Odd(
            f"PNG, grey, {bits} bits, a transparent value",
            png(values, bits, 0, transparent),
            rgb(values * 255.0 / (2**bits - 1)),
            bits / 16,
        )
    palette = RNG.integers(0, 256, (256, 3), np.uint8)
    for bits in (1, 2, 4, 8):
        index = GREY >> (8 - bits)
        colours = chunk(b"PLTE", palette[: 2**bits].tobytes())
        yield Odd(f"PNG, palette, {bits} bits", png(index, bits, 3, colours), palette[index])
        alpha = chunk(b"tRNS", bytes(range(min(2**bits, 200))))
        yield Odd(f"PNG, palette, {bits} bits, transparency", png(index, bits, 3, colours, alpha), palette[index])
    for bits, values in ((8, EIGHT), (16, DEEP)):
        scale = 255 / (2**bits - 1)
        for colour, what, channels in ((2, "RGB", 3), (6, "RGBA", 4), (4, "grey and alpha", 2)):
            shown = values[..., :3] if channels > 2 else np.repeat(values[..., :1], 3, 2)
            part = values[..., :channels]
            yield Odd(f"PNG, {what}, {bits} bits", png(part, bits, colour), shown * scale, bits / 16)
    plain = png(RGB, 8, 2)
    for what, more in {
        "gamma": chunk(b"gAMA", struct.pack(">I", 100000)),
        "significant bits": chunk(b"sBIT", b"\5\6\5"),
        "a broken colour profile": chunk(b"iCCP", b"x\0\0nothing"),
        "Latin-1 text": chunk(b"tEXt", b"Title\0caf\xe9"),
        "an unknown chunk": chunk(b"vpAg", b"12345678"),
        "orientation 6": chunk(b"eXIf", turned(6).tobytes()[6:]),
        "broken EXIF": chunk(b"eXIf", b"II*\0\xff\xff\xff\xff"),
    }.items():
        yield Odd(f"PNG with {what}", png(RGB, 8, 2, more), RGB)
    flipped = bytearray(plain)
    flipped[plain.index(b"IDAT") + 300] ^= 4
    yield Odd("PNG, a bit flipped", bytes(flipped), None)
    yield Odd("PNG, cut", plain[:-300], None)
    yield Odd("PNG, header only", plain[:33], None)
    yield Odd("PNG, signature only", plain[:8], None)
    yield Odd("PNG without its end chunk", plain[:-12], RGB)
    yield Odd("PNG, more behind its end", plain + b"more" * 9, RGB)
    wrong = chunk(b"IHDR", plain[16:29], wrong=1)
    yield Odd("PNG, wrong checksum of the header", plain[:8] + wrong + plain[33:], None)
    yield Odd("PNG, more rows said than there are", png(RGB, 8, 2, size=(31, 99)), None)
    yield Odd("PNG, width 0", png(RGB, 8, 2, size=(0, 24)), None)
    yield Odd("PNG of 3.6 thousand million pixels", png(RGB, 8, 2, size=(60000, 60000)), None)
    for shape in ((1, 1), (1, 999), (999, 1)):
        yield Odd(f"PNG, {shape[1]} x {shape[0]}", png(np.full(shape, 77), 8, 0), rgb(np.full(shape, 77)))
    second = Image.fromarray(255 - RGB)
    yield Odd("PNG, animated", saved(RGB, "PNG", save_all=True, append_images=[second]), RGB)


def tiffs() -> Iterator[Odd]:
    name = "odd.tif"
    for order, what in (("<", "little-endian"), (">", "big-endian")):
        yield Odd(f"TIFF, grey, 16 bits, {what}", tif(DEEP[..., 0], byteorder=order), rgb(DEEP[..., 0] / 257), 1, name)
        data = tif(DEEP[..., :3], "rgb", byteorder=order)
        yield Odd(f"TIFF, RGB, 16 bits, {what}", data, DEEP[..., :3] / 257, 1, name)
    yield Odd("TIFF, grey, 8 bits", tif(GREY), rgb(GREY), 0, name)
    yield Odd("TIFF, grey, white is 0", tif(GREY, "miniswhite"), rgb(255 - GREY), 0, name)
    yield Odd("TIFF, RGB, 8 bits", tif(RGB, "rgb"), RGB, 0, name)
    yield Odd("TIFF, RGB in planes", tif(RGB.transpose(2, 0, 1), "rgb", planarconfig="separate"), RGB, 0, name)
    yield Odd("TIFF, RGBA", tif(EIGHT, "rgb", extrasamples=["unassalpha"]), RGB, 0, name)
    yield Odd("TIFF, BigTIFF", tif(RGB, "rgb", bigtiff=True), RGB, 0, name)
    yield Odd("TIFF, two pages", tif(np.stack([RGB, 255 - RGB]), "rgb"), RGB, 0, name)
    for compression in ("tiff_lzw", "tiff_deflate", "packbits", "tiff_adobe_deflate"):
        yield Odd(f"TIFF, {compression}", saved(RGB, "TIFF", compression=compression), RGB, 0, name)
    yield Odd("TIFF, JPEG inside", saved(SMOOTH, "TIFF", compression="jpeg"), SMOOTH, 24, name)
    yield Odd("TIFF, 1 bit", saved(GREY > 99, "TIFF"), rgb(255.0 * (GREY > 99)), 0, name)
    yield Odd("TIFF, fax", saved(GREY > 99, "TIFF", compression="group4"), rgb(255.0 * (GREY > 99)), 0, name)
    turn = tif(RGB, "rgb", extratags=[(274, 3, 1, 6, True)])  # the first row is the right side; Pillow applies it
    yield Odd("TIFF, orientation 6", turn, np.rot90(RGB, -1), 0, name)
    key = 255 - EIGHT[..., 3:].astype(np.float64)
    cmyk = (255 - EIGHT[..., :3]) * key / 255
    yield Odd("TIFF, CMYK", tif(EIGHT, "separated"), cmyk, 1, name)
    refused = {
        "grey, 16 bits, white is 0": tif(DEEP[..., 0], "miniswhite"),
        "RGB, 16 bits, in planes": tif(DEEP[..., :3].transpose(2, 0, 1).copy(), "rgb", planarconfig="separate"),
        "L*a*b*": tif(RGB, "cielab"),
        "cut": tif(RGB, "rgb")[:-900],
        "header only": tif(RGB, "rgb")[:8],
        "RGB of 32 bits": tif(DEEP[..., :3].astype(np.uint32), "rgb"),
        "RGB of floats": tif(DEEP[..., :3].astype(np.float32), "rgb"),
    }
    for kind in ("int8", "int16", "int32", "int64", "uint32", "uint64", "float16", "float32", "float64", "complex64"):
        refused[f"grey, {kind}"] = tif(GREY.astype(kind))
    yield from (Odd(f"TIFF, {what}", data, None, 0, name) for what, data in refused.items())


def jpegs() -> Iterator[Odd]:
    name = "odd.JPEG"
    for subsampling, what in ((0, "4:4:4"), (1, "4:2:2"), (2, "4:2:0")):
        yield Odd(f"JPEG, {what}", saved(SMOOTH, "JPEG", quality=98, subsampling=subsampling), SMOOTH, 12, name)
    for what, options in {
        "progressive": {"progressive": True},
        "restart markers": {"restart_marker_blocks": 2},
        "stored as RGB": {"keep_rgb": True},
        "a comment": {"comment": b"caf\xe9"},
        "a broken profile": {"icc_profile": b"nothing"},
        "broken EXIF": {"exif": b"Exif\0\0II*\0\xff\xff\xff\xff"},
    }.items():
        yield Odd(f"JPEG, {what}", saved(SMOOTH, "JPEG", quality=98, **options), SMOOTH, 12, name)
    for orientation in range(1, 9):
        data = saved(SMOOTH, "JPEG", quality=98, exif=turned(orientation))
        yield Odd(f"JPEG, orientation {orientation}", data, SMOOTH, 12, name)
    grey = SMOOTH[..., 0]
    plain = saved(SMOOTH, "JPEG", quality=98)
    yield Odd("JPEG, grey", saved(grey, "JPEG", quality=98), rgb(grey), 8, name)
    yield Odd("JPEG, CMYK", saved(SMOOTH, "JPEG", "CMYK", quality=98), SMOOTH, 14, name)
    yield Odd("JPEG, 1 x 1", saved(SMOOTH[:1, :1], "JPEG", quality=98), SMOOTH[:1, :1], 12, name)
    yield Odd("JPEG, more behind its end", plain + b"more" * 9, SMOOTH, 12, name)
    second = Image.fromarray(255 - SMOOTH)
    data = saved(SMOOTH, "MPO", quality=98, save_all=True, append_images=[second])
    yield Odd("MPO, two images", data, SMOOTH, 16, name)
    for what, data in {"cut in half": plain[: len(plain) // 2], "no end": plain[:-30], "start": plain[:2]}.items():
        yield Odd(f"JPEG, {what}", data, None, 0, name)


def others() -> Iterator[Odd]:
    second = Image.fromarray(255 - RGB)
    for what, data in {
        "BMP": saved(RGB, "BMP"),
        "WebP, lossless": saved(RGB, "WEBP", lossless=True),
        "PPM": saved(RGB, "PPM"),
        "JPEG 2000": saved(RGB, "JPEG2000"),
        "QOI": saved(RGB, "QOI"),
    }.items():
        yield Odd(what, data, RGB)
    deep = DEEP[..., 0]
    yield Odd("JPEG 2000, 16 bits", saved(deep, "JPEG2000"), rgb(deep / 257), 1)
    yield Odd("WebP, animated", saved(RGB, "WEBP", lossless=True, save_all=True, append_images=[second]), RGB)
    opaque = EIGHT.copy()
    opaque[..., 3] |= 1
    yield Odd("WebP, alpha", saved(opaque, "WEBP", lossless=True, exact=True), RGB)
    yield Odd("AVIF", saved(SMOOTH, "AVIF", quality=95), SMOOTH, 16)
    levels = Image.fromarray(GREY)
    yield Odd("GIF", saved(levels, "GIF"), rgb(GREY))
    yield Odd("GIF, animated", saved(levels, "GIF", save_all=True, append_images=[second.convert("L")]), rgb(GREY))
    yield Odd("GIF, transparency", saved(levels, "GIF", transparency=3), rgb(GREY))
    yield Odd("BMP, 1 bit", saved(GREY > 99, "BMP"), rgb(255.0 * (GREY > 99)))
    yield Odd("BMP, grey", saved(GREY, "BMP"), rgb(GREY))
    yield Odd("BMP, 32 bits", saved(EIGHT, "BMP"), RGB)
    for largest in (1, 15, 100, 255, 1023, 4095, 65535):
        values = DEEP[..., 0].astype(np.int64) % (largest + 1)
        content = values.astype(">u2" if largest > 255 else np.uint8).tobytes()
        within = 1 if largest > 255 else 0.5
        shown = rgb(values * 255 / largest)
        yield Odd(f"PGM, largest value {largest}", b"P5\n31 24\n%d\n" % largest + content, shown, within)
        text = b"P2\n# a comment\n31 24\n%d\n" % largest + b" ".join(b"%d" % value for value in values.ravel())
        yield Odd(f"PGM in text, largest value {largest}", text, shown, within)
    for what, data in {
        "PFM": b"Pf\n31 24\n-1.0\n" + GREY.astype("<f4").tobytes(),
        "ICO": saved(RGB, "ICO"),
        "PDF": saved(RGB, "PDF"),
        "EPS": saved(RGB, "EPS"),
        "TGA": saved(RGB, "TGA"),
        "no bytes": b"",
        "one byte": b"\0",
        "zeros": bytes(5000),
        "random bytes": np.random.default_rng(1).bytes(5000),
        "text": "no image\n".encode("utf-16"),
        "web page": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
        "JPEG in gzip": b"\x1f\x8b\x08" + zlib.compress(saved(SMOOTH, "JPEG")),
        "zip archive": b"PK\3\4" + bytes(200),
        "AppleDouble": b"\0\5\x16\7\0\2\0\0Mac OS X        " + bytes(100),
        "MATLAB": b"MATLAB 5.0 MAT-file" + bytes(400),
        "HEIC header": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    }.items():
        yield Odd(what, data, None, 0, "odd.JPEG")


NAMES = [
    b"caf\xe9.png",
    b"\xff\xfe.png",
    b"new\nline.png",
    b"carriage\r.png",
    b"tab\t.png",
    b"\x1b[31mred.png",
    b"quote'.png",
    b'quote".png',
    b"back\\slash.png",
    b"-dash.png",
    b"--help.png",
    b" blank.png",
    b"blank .png",
    b"a,b;c.png",
    b"%s%d{}.png",
    b"*?[x].png",
    b"~.png",
    b"$HOME.png",
    b"NA.png",
    b"null.png",
    b"two.dots.JPEG.png",
    b"CAPITALS.PNG",
    b"con.png",
    b"x" * 250 + b".png",
    "é.png".encode(),
    "e\u0301.png".encode(),
    "\u202egnp.png".encode(),
    "\U0001f600.png".encode(),
]
"""Of image files, as bytes; each must be listed and decoded."""

LITTER = [
    ".DS_Store",
    "._x.JPEG",
    ".x.JPEG",
    "Thumbs.db",
    "ehthumbs.db",
    "desktop.ini",
    "Icon\r",
    "~$list.xlsx",
    "~$x.png",
    "x.JPEG.part",
    "x.JPEG@SynoEAStream",
    "x.JPEG.crdownload",
    "readme.txt",
    "x.JPEG ",
    "__MACOSX/._x.JPEG",
    "__MACOSX/x.JPEG",
    "@eaDir/x.JPEG",
    "lost+found/x.JPEG",
    "$RECYCLE.BIN/x.JPEG",
    "System Volume Information/x.JPEG",
    "#recycle/x.JPEG",
    ".AppleDouble/x.JPEG",
    ".Trashes/x.JPEG",
    ".ipynb_checkpoints/x.JPEG",
]
"""Beside images and class folders; nothing of it counts."""


def zoo() -> list[Odd]:
    """All odd files, then the odd names."""
    named = [Odd(f"name {name!r}"[:60], png(GREY, 8, 0), rgb(GREY), 0, os.fsdecode(name)) for name in NAMES]
    return [*pngs(), *tiffs(), *jpegs(), *others(), *named]


def outcome(odd: Odd) -> str:
    """What becomes of a file: "right pixels", a sentence that names it, or what is wrong."""
    from vars_eval.data.decode import decode_rgb
    from vars_eval.errors import UserError

    try:
        found = decode_rgb(odd.data, odd.name)
    except UserError as error:
        return str(error)
    if found.mode != "RGB":
        return f"WRONG: mode {found.mode}"
    if odd.pixels is None:
        return "WRONG: taken, expected a sentence"
    if odd.pixels.shape != (found.height, found.width, 3):
        return f"WRONG: {found.size}"
    most = np.abs(np.asarray(found, np.float64) - odd.pixels).max()
    return "right pixels" if most <= odd.within else f"WRONG: pixels differ by {most:g}"


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for odd in zoo():
        print(f"{odd.kind:48s} {outcome(odd)}")
