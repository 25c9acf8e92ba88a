"""The FastDepth authors' transforms.

Validation: two resizes to the nearest pixel with a crop between them: 640x480 to 333x250, the central 304x228 of that,
then 224x224. Training: 250 high, rotated, enlarged, cropped, flipped, 224x224, and only then the colors. Every index
is floor((i + 0.5) * in / out) and each step picks pixels, so that all of them together pick pixels from the frame.

Where (i + 0.5) * in / out is a whole number, the authors' Pillow can land one pixel short, because it adds up steps
that are rounded: in 4 rows and 1 column of the 224 that they evaluate on.
"""

from __future__ import annotations

import cv2
import numpy as np

from fastdepth_ros.errors import FastDepthError

_REDUCED_HEIGHT = 250
_CROP = (228, 304)
_MAX_SCALE = 1.5
_MAX_ANGLE_DEG = 5.0
_JITTER = 0.4


def authors_view(image: np.ndarray, size_px: int | tuple[int, int]) -> np.ndarray:
    """Central crop of an image at the network's size, as the authors evaluate on.

    Args:
        image: HxW or HxWxC, of a shape near 4:3.
        size_px: side of the network input, or its height and width.

    Returns:
        height x width (x C), the same dtype.

    Raises:
        ValueError: narrower than the crop once its height is reduced to 250.

    >>> authors_view(np.zeros((480, 640, 3), np.uint8), 224).shape
    (224, 224, 3)
    """
    height, width = image.shape[:2]
    sides = (size_px, size_px) if isinstance(size_px, int) else size_px
    rows, columns = (
        _nearest(full, small)[_central(small, crop)][_nearest(crop, side)]
        for full, small, crop, side in zip((height, width), _reduced(height, width), _CROP, sides)
    )
    return image[rows[:, None], columns]


def authors_train(
    rgb: np.ndarray, depth: np.ndarray, size_px: int, rng: np.random.Generator, *, whole: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Augmentation of the authors: scale in [1, 1.5] with the depth divided by it, +-5 degrees, flip, color jitter.

    Args:
        rgb: uint8 HxWx3, of a shape near 4:3.
        depth: float32 HxW meters.
        size_px: side of the network input.

    Returns:
        uint8 size x size x 3, and float32 size x size meters; 0 in both where the turned frame does not reach.

    Raises:
        ValueError: narrower than the crop once its height is reduced to 250, or `whole`: they have no such views.
    """
    if whole:
        raise FastDepthError(
            "the augmentation authors cuts its view out; pairs of a whole view take warp, steady or mixed"
        )
    scale = rng.uniform(1.0, _MAX_SCALE)
    angle_deg = rng.uniform(-_MAX_ANGLE_DEG, _MAX_ANGLE_DEG)
    flip = rng.random() < 0.5
    height, width = depth.shape
    pixels, outside = _train_pixels(height, width, size_px, scale, angle_deg, flip)
    seen, distance = rgb.reshape(-1, 3).take(pixels, axis=0), depth.take(pixels) / np.float32(scale)
    seen[outside], distance[outside] = 0, 0
    return _jitter(seen, rng), distance


def _train_pixels(
    height: int, width: int, size_px: int, scale: float, angle_deg: float, flip: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Number in the frame of each pixel of the network input, and whether it lies outside. (size, size) each."""
    reduced = _reduced(height, width)
    turned = []  # rows and columns in the turned image, the last steps first: enlarge, crop, flip, resize
    for axis, (small, crop) in enumerate(zip(reduced, _CROP)):
        large = int(small * scale)
        cropped = _nearest(small, large)[_central(large, crop)]
        turned.append((cropped[::-1] if flip and axis == 1 else cropped)[_nearest(crop, size_px)])
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    middle = (reduced[0] - 1) / 2, (reduced[1] - 1) / 2
    y, x = (turned[0] - middle[0])[:, None], turned[1] - middle[1]  # (size, 1), (size,)
    y, x = cos * y + sin * x + middle[0], cos * x - sin * y + middle[1]  # (size, size)
    outside = (y < 0) | (y > reduced[0] - 1) | (x < 0) | (x > reduced[1] - 1)
    y[outside], x[outside] = 0, 0
    starts = _nearest(height, reduced[0]) * width  # of each row
    return starts[(y + 0.5).astype(np.intp)] + _nearest(width, reduced[1])[(x + 0.5).astype(np.intp)], outside


def _reduced(height: int, width: int) -> tuple[int, int]:
    reduced = (_REDUCED_HEIGHT, int(width * _REDUCED_HEIGHT / height))
    if reduced[1] < _CROP[1]:
        raise FastDepthError(f"image is {width}x{height}; the authors' crop needs a width of 1.216 times the height")
    return reduced


def _central(size_px: int, crop_px: int) -> slice:
    start = round((size_px - crop_px) / 2)
    return slice(start, start + crop_px)


def _nearest(size_in: int, size_out: int) -> np.ndarray:
    return ((np.arange(size_out) + 0.5) * size_in / size_out).astype(np.intp)


def _jitter(rgb: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast and saturation by a factor in [0.6, 1.4] each, in random order, as Pillow computes them."""
    factors = rng.uniform(1 - _JITTER, 1 + _JITTER, 3).astype(np.float32)
    for step in rng.permutation(3):
        rgb = (_brighten, _contrast, _saturate)[step](rgb, factors[step])
    return rgb


def _brighten(rgb: np.ndarray, factor: np.float32) -> np.ndarray:
    return cv2.LUT(rgb, _blend(np.float32(0), np.arange(256, dtype=np.float32), factor))


def _contrast(rgb: np.ndarray, factor: np.float32) -> np.ndarray:
    mean = np.float32(int(_luma(rgb).mean(dtype=np.float64) + 0.5))
    return cv2.LUT(rgb, _blend(mean, np.arange(256, dtype=np.float32), factor))


def _saturate(rgb: np.ndarray, factor: np.float32) -> np.ndarray:
    return _blend(_luma(rgb)[..., None], rgb.astype(np.float32), factor)


def _blend(plain: np.ndarray | np.float32, image: np.ndarray, factor: np.float32) -> np.ndarray:
    """Blend from `plain` at factor 0 to `image` at 1 and beyond, cut to uint8 without rounding."""
    return np.clip(plain + factor * (image - plain), 0, 255).astype(np.uint8)


def _luma(rgb: np.ndarray) -> np.ndarray:
    """Pillow's gray: 0.299 R + 0.587 G + 0.114 B in 16 fractional bits, rounded. Below 2**24 float32 counts exactly."""
    weights = np.array([[19595, 38470, 7471, 0x8000]], np.float32)
    return np.floor(cv2.transform(rgb.astype(np.float32), weights) / 65536)
