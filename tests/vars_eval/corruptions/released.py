"""What the released code does at each severity, from its published values and plain formulas; no table of ours.

Values from hendrycks/robustness, ImageNet-C/create_c/make_imagenet_c.py, commit e0377d4 (Apache-2.0). Each formula
takes the draws of one image and gives (224, 224, 3) in 0 .. 255 before the last cut to 8 bits. `elastic_transform` and
`spatter` go through OpenCV 4, as the released code does; golden.png keeps some pixels of all results. It is written by
    pip install "opencv-python-headless<5" && python tests/vars_eval/corruptions/released.py
"""

import io
import math
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage, stats
from skimage import color

SIDE = 224
GOLDEN = Path(__file__).with_name("golden.png")
ICE = Path(__file__).with_name("ice.png")
STEP, FIRST = 16, 8  # golden.png keeps every 16th pixel, from the eighth on

RELEASED = {
    "gaussian_noise": [0.08, 0.12, 0.18, 0.26, 0.38],
    "shot_noise": [60, 25, 12, 5, 3],
    "impulse_noise": [0.03, 0.06, 0.09, 0.17, 0.27],
    "speckle_noise": [0.15, 0.2, 0.35, 0.45, 0.6],
    "gaussian_blur": [1, 2, 3, 4, 6],
    # radius, smoothing
    "defocus_blur": [(3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)],
    # width, reach, passes
    "glass_blur": [(0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)],
    # radius, width
    "motion_blur": [(10, 3), (15, 5), (15, 8), (15, 12), (20, 15)],
    # end (left out) and step of the zoom factors, which start at 1
    "zoom_blur": [(1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)],
    # mean, deviation, zoom, threshold, radius and width of the motion, share of the image that stays
    "snow": [
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ],
    # weights of the image and of the texture
    "frost": [(1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)],
    # amount, decay
    "fog": [(1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)],
    "brightness": [0.1, 0.2, 0.3, 0.4, 0.5],
    "contrast": [0.4, 0.3, 0.2, 0.1, 0.05],
    # gain, offset
    "saturate": [(0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)],
    "jpeg_compression": [25, 18, 15, 10, 7],
    "pixelate": [0.6, 0.5, 0.4, 0.3, 0.25],
    # amplitude, width, reach of the corners
    "elastic_transform": [
        (244 * 2, 244 * 0.7, 244 * 0.1),
        (244 * 2, 244 * 0.08, 244 * 0.2),
        (244 * 0.05, 244 * 0.01, 244 * 0.02),
        (244 * 0.07, 244 * 0.01, 244 * 0.02),
        (244 * 0.12, 244 * 0.01, 244 * 0.02),
    ],
    # mean, deviation, width, threshold, strength (water) or width (mud), whether it is mud
    "spatter": [
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ],
}
THROUGH_OPENCV = ("elastic_transform", "spatter")


def scene():
    """An image with waves, edges, pure colours, greys, black and white: (224, 224, 3) uint8."""
    row, column = np.mgrid[:SIDE, :SIDE]
    red = 128 + 100 * np.sin(row / 9) * np.cos(column / 13)
    green = 40 + 0.8 * column + 20 * ((row // 16 + column // 16) % 2)
    blue = 128 + 90 * np.cos((row + 2 * column) / 21)
    image = np.stack([red, green, blue], -1)
    image[20:60, 150:200] = 10 + row[20:60, 150:200, None]  # grey
    image[120:150, 20:60] = [250, 20, 5]
    image[150:170, 20:40] = 0
    image[150:170, 40:60] = 255
    return image.clip(0, 255).astype(np.uint8)


def ice(number):
    """A texture of frost: (240 + 10 number, 300, 3) uint8."""
    row, column = np.mgrid[: 240 + 10 * number, :300]
    return np.stack([row * (number + 1) + column * weight for weight in (1, 3, 7)], -1).astype(np.uint8)


def cut(x):
    """To 8 bits without the fraction; a value that is whole but for rounding is whole."""
    return np.floor(np.clip(x, 0, 255) + 1e-9)


def blurred(x, sigma, mode="nearest", truncate=4):
    return ndimage.gaussian_filter(x, [sigma, sigma, 0][: x.ndim], mode=mode, truncate=truncate)


def colours(x):
    """Draws (3, S, S) as the released code has them: (S, S, 3)."""
    return np.asarray(x, np.float64).transpose(1, 2, 0)


def gaussian_noise(x, c, draws):
    return 255 * (x / 255 + c * colours(draws["normal"]))


def speckle_noise(x, c, draws):
    return x * (1 + c * colours(draws["normal"]))


def shot_noise(x, c, draws):
    return 255 * stats.poisson.ppf(colours(draws["uniform"]), x / 255 * c) / c


def impulse_noise(x, c, draws):
    u = colours(draws["uniform"])
    return np.select([u < c / 2, u < c], [255, 0], x)


def gaussian_blur(x, c, draws):
    return blurred(x, c)


def defocus_blur(x, c, draws):
    radius, alias = c
    half, reach = (8, 1) if radius <= 8 else (radius, 2)
    grid = np.arange(-half, half + 1)
    disk = np.add.outer(grid**2, grid**2) <= radius**2
    tap = np.exp(-(np.arange(-reach, reach + 1.0) ** 2) / (2 * alias**2))
    window = np.outer(tap, tap) / tap.sum() ** 2
    kernel = ndimage.correlate(disk / disk.sum(), window, mode="mirror")
    return np.stack([ndimage.correlate(x[..., k], kernel, mode="mirror") for k in range(3)], -1)


def glass_blur(x, c, draws):
    sigma, reach, passes = c
    image = cut(blurred(x, sigma))
    for dx, dy in zip(draws["dx"].tolist(), draws["dy"].tolist(), strict=True):
        passes -= 1
        for h in range(SIDE - reach, reach, -1):
            for w in range(SIDE - reach, reach, -1):
                i, j = h - reach - 1, w - reach - 1
                image[h, w] = image[h + dy[i][j], w + dx[i][j]]
    assert passes == 0
    return blurred(image, sigma)


def moved(x, radius, sigma, angle):
    """ImageMagick's MotionBlur: one-sided, 2 radius + 1 taps on a line, edges replicated."""
    tap = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    rows, columns = np.indices(x.shape[:2])
    total = 0
    for i, weight in enumerate(tap / tap.sum()):
        down, right = math.ceil(i * math.sin(angle) - 0.5), math.ceil(i * math.cos(angle) - 0.5)
        total = total + weight * x[(rows + down).clip(0, SIDE - 1), (columns + right).clip(0, SIDE - 1)]
    return total


def motion_blur(x, c, draws):
    return moved(x, *c, float(draws["angle"]))


def zoomed(x, factor):
    """The centre of x, enlarged by the factor and cut to the size that x has, or its centre was cut from."""
    inner = math.ceil(SIDE / factor)
    top = (len(x) - inner) // 2
    large = ndimage.zoom(x[top : top + inner, top : top + inner], [factor, factor, 1][: x.ndim], order=1)
    top = (len(large) - SIDE) // 2
    return large[top : top + SIDE, top : top + SIDE]


def zoom_blur(x, c, draws):
    factors = np.arange(1, *c)
    return (x + sum(zoomed(x, factor) for factor in factors)) / (len(factors) + 1)


def snow(x, c, draws):
    mean, deviation, zoom, threshold, radius, sigma, keep = c
    layer = zoomed(mean + deviation * np.asarray(draws["normal"], np.float64), zoom)
    layer = cut(255 * np.where(layer < threshold, 0, layer))
    layer = cut(moved(layer, radius, sigma, float(draws["angle"])))[..., None]
    grey = (x @ [0.299, 0.587, 0.114])[..., None]
    return keep * x + (1 - keep) * np.maximum(x, 1.5 * grey + 127.5) + layer + layer[::-1, ::-1]


def frost(x, c, draws):
    number, row, column = draws["place"].tolist()
    texture = ice(int(5 * number))
    top, left = int(row * (len(texture) - SIDE + 1)), int(column * (texture.shape[1] - SIDE + 1))
    return c[0] * x + c[1] * texture[top : top + SIDE, left : left + SIDE]


def fractal(wobble, decay):
    """Diamond-square on a torus, point by point."""
    size = len(wobble)
    height = np.zeros((size, size))
    step, width = size, 100.0
    while step >= 2:
        half = step // 2
        whole, middle = np.arange(0, size, step), np.arange(half, size, step)
        square = [(-half, -half), (-half, half), (half, -half), (half, half)]
        diamond = [(-half, 0), (half, 0), (0, -half), (0, half)]
        for rows, columns, neighbours in ((middle, middle, square), (whole, middle, diamond), (middle, whole, diamond)):
            r, c = np.meshgrid(rows, columns, indexing="ij")
            mean = sum(height[(r + i) % size, (c + j) % size] for i, j in neighbours) / 4
            height[r, c] = mean + width**2 * wobble[r, c]
        step, width = half, width / decay
    return (height - height.min()) / np.ptp(height)


def fog(x, c, draws):
    amount, decay = c
    layer = 255 * fractal(np.asarray(draws["wobble"], np.float64), decay)[:SIDE, :SIDE, None]
    most = x.max() / 255
    return (x + amount * layer) * most / (most + amount)


def brightness(x, c, draws):
    hsv = color.rgb2hsv(x / 255)
    hsv[..., 2] = (hsv[..., 2] + c).clip(0, 1)
    return 255 * color.hsv2rgb(hsv)


def saturate(x, c, draws):
    hsv = color.rgb2hsv(x / 255)
    hsv[..., 1] = (c[0] * hsv[..., 1] + c[1]).clip(0, 1)
    return 255 * color.hsv2rgb(hsv)


def contrast(x, c, draws):
    mean = x.mean((0, 1))
    return c * x + (1 - c) * mean


def jpeg_compression(x, c, draws):
    file = io.BytesIO()
    Image.fromarray(x.astype(np.uint8)).save(file, "JPEG", quality=c)
    return np.asarray(Image.open(file))


def pixelate(x, c, draws):
    side = int(SIDE * c)
    small = Image.fromarray(x.astype(np.uint8)).resize((side, side), Image.Resampling.BOX)
    return np.asarray(small.resize((SIDE, SIDE), Image.Resampling.BOX))


def elastic_transform(x, c, draws):
    import cv2

    amplitude, sigma, reach = c
    before = np.float32([[186, 186], [186, 38], [38, 38]])
    after = before + np.float32(reach * draws["corners"])
    x = cv2.warpAffine(
        np.float32(x / 255), cv2.getAffineTransform(before, after), (SIDE, SIDE), borderMode=cv2.BORDER_REFLECT_101
    )
    dx, dy = (amplitude * blurred(np.asarray(field, np.float64), sigma, "reflect", 3) for field in draws["fields"])
    rows, columns = np.indices((SIDE, SIDE))
    sources = [rows + np.float32(dy), columns + np.float32(dx)]
    return 255 * np.stack(
        [ndimage.map_coordinates(x[..., k], sources, order=1, mode="reflect") for k in range(3)], -1
    ).astype(np.float64)


def spatter(x, c, draws):
    import cv2

    mean, deviation, sigma, threshold, strength, mud = c
    liquid = blurred(mean + deviation * np.asarray(draws["normal"], np.float64), sigma)
    if mud:
        cover = blurred(np.float32(liquid > threshold), strength)[..., None]
        cover = np.where(cover < 0.8, 0, cover)
        return x * (1 - cover) + cover * [63, 42, 20]
    layer = (255 * np.where(liquid < threshold, 0, liquid)).astype(np.uint8)
    far = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    relief = cv2.equalizeHist(cv2.blur(np.minimum(far, 20), (3, 3)).astype(np.uint8))
    relief = cv2.filter2D(relief, cv2.CV_8U, np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]))
    shine = layer * cv2.blur(relief, (3, 3)).astype(np.float64)
    return x + strength * shine[..., None] / shine.max() * [175, 238, 238]


def expected(name, severity, draws):
    """The scene under a corruption, in 0 .. 255, not yet cut to 8 bits.

    Args:
        name: Corruption.
        severity: 1 to 5.
        draws: Quantity -> array, of one image.
    """
    formula = globals()[name]
    return np.clip(formula(scene().astype(np.float64), RELEASED[name][severity - 1], draws), 0, 255)


def fixed_draws(name, severity):
    """The draws with which golden.png was made: those of image "scene" at seed 0."""
    from vars_eval.corruptions.draws import draw
    from vars_eval.corruptions.parameters import parameters
    from vars_eval.corruptions.stream import Stream, key

    drawn = draw(name, Stream([key(0, "scene", name, severity)]), parameters(name, severity, SIDE), SIDE)
    return {quantity: values[0].numpy() for quantity, values in drawn.items()}


def main():
    """Writes golden.png: a row for each corruption in the order of RELEASED, a tile for each severity."""
    tiles = [
        [cut(expected(name, s, fixed_draws(name, s)))[FIRST::STEP, FIRST::STEP] for s in range(1, 6)]
        for name in RELEASED
    ]
    sheet = np.concatenate([np.concatenate(row, 1) for row in tiles]).astype(np.uint8)
    Image.fromarray(sheet).save(GOLDEN, optimize=True)


if __name__ == "__main__":
    main()
