"""The authors' training transform, against their steps one after the other and Pillow's colors one by one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from fastdepth_ros.data.authors import authors_train, authors_view

# What Pillow 13.0's ImageEnhance makes of SWATCH.
SWATCH = [[255, 0, 0], [10, 200, 30], [77, 78, 79], [0, 0, 255], [128, 128, 128], [250, 251, 3]]
PILLOW = {
    ("Brightness", 0.625): [[159, 0, 0], [6, 125, 18], [48, 48, 49], [0, 0, 159], [80, 80, 80], [156, 156, 1]],
    ("Brightness", 1.375): [[255, 0, 0], [13, 255, 41], [105, 107, 108], [0, 0, 255], [176, 176, 176], [255, 255, 4]],
    ("Brightness", 0.71): [[181, 0, 0], [7, 142, 21], [54, 55, 56], [0, 0, 181], [90, 90, 90], [177, 178, 2]],
    ("Contrast", 0.625): [[200, 41, 41], [47, 166, 60], [89, 90, 90], [41, 41, 200], [121, 121, 121], [197, 198, 43]],
    ("Contrast", 1.375): [[255, 0, 0], [0, 233, 0], [64, 66, 67], [0, 0, 255], [134, 134, 134], [255, 255, 0]],
    ("Contrast", 0.71): [[212, 31, 31], [39, 173, 53], [86, 87, 87], [31, 31, 212], [122, 122, 122], [209, 210, 34]],
    ("Color", 0.625): [[187, 28, 28], [52, 171, 65], [77, 78, 78], [10, 10, 170], [128, 128, 128], [239, 240, 85]],
    ("Color", 1.375): [[255, 0, 0], [0, 228, 0], [76, 78, 79], [0, 0, 255], [128, 128, 128], [255, 255, 0]],
    ("Color", 0.71): [[203, 22, 22], [43, 177, 57], [77, 78, 78], [8, 8, 189], [128, 128, 128], [241, 242, 66]],
}


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Nearest-neighbor resize, one row and one column after the other."""
    rows = [image[(2 * i + 1) * image.shape[0] // (2 * height)] for i in range(height)]
    columns = [np.stack(rows)[:, (2 * i + 1) * image.shape[1] // (2 * width)] for i in range(width)]
    return np.stack(columns, axis=1)


def warp(image: np.ndarray, scale: float, angle_deg: float, flip: bool, size: int) -> np.ndarray:
    """Every step of the authors makes an image."""
    image = resize(image, 250, int(image.shape[1] * 250 / image.shape[0]))
    image = ndimage.rotate(image, angle_deg, reshape=False, prefilter=False, order=0)
    image = resize(image, int(image.shape[0] * scale), int(image.shape[1] * scale))
    top, left = round((image.shape[0] - 228) / 2), round((image.shape[1] - 304) / 2)
    image = image[top : top + 228, left : left + 304]
    return resize(np.fliplr(image) if flip else image, size, size)


def gray(pixel: list[int]) -> int:
    return (19595 * pixel[0] + 38470 * pixel[1] + 7471 * pixel[2] + 32768) // 65536


def enhance(what: str, pixels: list[list[int]], factor: float) -> list[list[int]]:
    """Pillow's ImageEnhance, a value at a time."""
    mean = int(sum(gray(pixel) for pixel in pixels) / len(pixels) + 0.5)
    result = []
    for pixel in pixels:
        plain = {"Brightness": 0, "Contrast": mean, "Color": gray(pixel)}[what]
        blended = [np.float32(plain) + np.float32(factor) * np.float32(value - plain) for value in pixel]
        result.append([int(min(max(value, 0), 255)) for value in blended])
    return result


def reference(rgb: np.ndarray, depth: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale, angle_deg, flip = rng.uniform(1, 1.5), rng.uniform(-5, 5), rng.random() < 0.5
    pixels = warp(rgb, scale, angle_deg, flip, size).reshape(-1, 3).tolist()
    factors = rng.uniform(0.6, 1.4, 3)
    for step in rng.permutation(3):
        pixels = enhance(("Brightness", "Contrast", "Color")[step], pixels, factors[step])
    return np.array(pixels).reshape(size, size, 3), warp(depth / np.float32(scale), scale, angle_deg, flip, size)


def noise(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(99)
    rgb = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return rgb, rng.uniform(0.5, 10, (height, width)).astype(np.float32)


@pytest.mark.parametrize(("what", "factor"), PILLOW)
def test_the_reference_colors_are_pillows(what, factor):
    assert enhance(what, SWATCH, factor) == PILLOW[what, factor]


@pytest.mark.parametrize(
    ("height", "width", "size", "seed"),
    [(480, 640, 224, 0), (480, 640, 64, 1), (480, 640, 64, 2), (480, 640, 64, 3), (240, 320, 64, 4), (360, 540, 64, 5)],
)
def test_it_is_the_authors_steps_pixel_by_pixel(height, width, size, seed):
    rgb, depth = noise(height, width)
    got_rgb, got_depth = authors_train(rgb, depth, size, np.random.default_rng(seed))
    want_rgb, want_depth = reference(rgb, depth, size, seed)
    np.testing.assert_array_equal(got_depth, want_depth)
    np.testing.assert_array_equal(got_rgb, want_rgb)
    assert (got_rgb.dtype, got_depth.dtype) == (np.uint8, np.float32)


def test_depth_is_divided_by_the_scale_of_the_picture():
    rgb, depth = noise(480, 640)
    scales = []
    for seed in range(40):
        small = authors_train(rgb, np.full_like(depth, 6), 56, np.random.default_rng(seed))[1]
        assert len(np.unique(small[small > 0])) == 1
        scales.append(6 / small.max())
    assert 1 <= min(scales) < 1.1
    assert 1.4 < max(scales) <= 1.5


def test_unknown_depth_stays_unknown():
    rgb, depth = noise(480, 640)
    depth[100:300, 200:400] = 0
    share = (authors_train(rgb, depth, 224, np.random.default_rng(0))[1] == 0).mean()
    assert share > (authors_view(depth, 224) == 0).mean() > 0.1  # it is enlarged


def test_equal_generators_give_equal_samples_and_another_gives_another():
    rgb, depth = noise(480, 640)
    first, again, other = (authors_train(rgb, depth, 224, np.random.default_rng(seed)) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert (first[1] != other[1]).mean() > 0.9


def test_the_pair_itself_stays_as_it_is():
    rgb, depth = noise(480, 640)
    before = rgb.copy(), depth.copy()
    authors_train(rgb, depth, 224, np.random.default_rng(0))
    np.testing.assert_array_equal(rgb, before[0])
    np.testing.assert_array_equal(depth, before[1])


def test_a_narrower_frame_is_refused_with_its_size():
    with pytest.raises(ValueError, match="480x480"):
        authors_train(*noise(480, 480), 224, np.random.default_rng(0))
