"""Training augmentation of the FastDepth authors, as one warp, and one that keeps the scale.

Scale by s in [1, 1.5] with the depth divided by s, rotation of +-5 degrees, horizontal flip, and color jitter of 0.4
in brightness, contrast and saturation. The authors resize, rotate, crop and resize again, each to the nearest pixel;
one affine warp from the camera's frame to the network's grid does the same without three roundings.

Nothing in a picture says that it was enlarged. A network that cannot tell learns the mean over all enlargements and
says of the true view that everything is nearer than it is, a tenth with the authors' range. So the second one enlarges
and reduces by a few percent only, takes its view from anywhere in the frame, and changes gamma and the light's color.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from fastdepth_ros.depth.geometry import Crop, field_of_view


@dataclass(frozen=True)
class Range:
    """Limits of the random changes that make a sample of a pair.

    Args:
        scale: enlargement, least and most; the depth is divided by it.
        angle_deg: rotation about the axis of view, either way.
        shift: largest shift of the view's center, as a share of the margin that the enlargement leaves; 0: none.
        jitter: largest relative change of brightness, contrast and saturation.
        tint: largest relative change of the color channels' gains.
        gamma: exponent of the brightness, at most, or 1 divided by it.
        stretch: horizontal scale of a whole view, least and most: not all that were squeezed were 4:3. The depth stays.
    """

    scale: tuple[float, float] = (1.0, 1.5)
    angle_deg: float = 5.0
    shift: float = 0.0
    jitter: float = 0.4
    tint: float = 0.0
    gamma: float = 1.0
    stretch: tuple[float, float] = (0.85, 1.15)


AUTHORS = Range()
STEADY = Range(scale=(0.92, 1.08), shift=1.0, tint=0.1, gamma=1.3)


def augment(
    rgb: np.ndarray, depth: np.ndarray, size_px: int, rng: np.random.Generator, reach: Range = AUTHORS, *,
    whole: bool = False,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A random training sample from one pair.

    Args:
        rgb: uint8 HxWx3.
        depth: float32 HxW meters.
        size_px: side of the network input.
        whole: the pair is a 4:3 picture that was squeezed to its shape, all of which is the view.

    Returns:
        uint8 size x size x 3, and float32 meters of size/2 x size/2 (the grid that leaves the network), 0 outside the
        frame.
    """
    scale = rng.uniform(*reach.scale)
    height, width = depth.shape
    turn, flip = rng.uniform(-reach.angle_deg, reach.angle_deg), rng.random() < 0.5
    view = field_of_view("full" if whole else "trained", height, width)
    stretch = rng.uniform(*reach.stretch) if whole else 1.0
    squeezed = width * 3 / (height * 4) if whole else 1.0
    to_frame = _warp((height, width), view, size_px, (scale * stretch, scale), turn, flip, squeezed)
    if reach.shift:
        room = np.array([width - view.width / scale, height - view.height / scale]) / 2
        to_frame[:2, 2] += rng.uniform(-reach.shift, reach.shift, 2) * room
    half = np.array([[2.0, 0.0, 0.5], [0.0, 2.0, 0.5], [0.0, 0.0, 1.0]])  # center of each 2x2 block
    color_filter = cv2.INTER_NEAREST if rng.random() < 0.5 else cv2.INTER_LINEAR  # the authors', and the node's
    border = cv2.BORDER_REFLECT_101 if whole else cv2.BORDER_CONSTANT  # a whole view reaches out of the picture
    rgb = cv2.warpAffine(
        rgb, to_frame[:2], (size_px, size_px), flags=color_filter | cv2.WARP_INVERSE_MAP, borderMode=border
    )
    depth = cv2.warpAffine(
        depth, (to_frame @ half)[:2], (size_px // 2, size_px // 2), flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
    )
    return _jitter(rgb, rng, reach), depth / np.float32(scale)


def augment_steady(
    rgb: np.ndarray, depth: np.ndarray, size_px: int, rng: np.random.Generator, *, whole: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """`augment` that leaves the metric scale alone."""
    return augment(rgb, depth, size_px, rng, STEADY, whole=whole)


def augment_mixed(
    rgb: np.ndarray, depth: np.ndarray, size_px: int, rng: np.random.Generator, *, whole: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """`augment_steady` for one half of the samples, the authors' enlargements for the other: near things count too."""
    return augment(rgb, depth, size_px, rng, STEADY if rng.random() < 0.5 else AUTHORS, whole=whole)


def _warp(
    shape: tuple[int, int], view: Crop, size_px: int, scale: tuple[float, float], angle_deg: float, flip: bool,
    squeezed: float,
) -> np.ndarray:  # fmt: skip
    """3x3 map from network pixels to frame pixels, pixel centers at whole numbers.

    Args:
        shape: height and width of the frame.
        scale: enlargement along x and y.
        squeezed: width of the frame over the width that its picture had at this height.
    """
    height, width = shape
    center_out = np.array([[1, 0, -(size_px - 1) / 2], [0, 1, -(size_px - 1) / 2], [0, 0, 1]])
    zoom = np.diag([(-1 if flip else 1) * view.width / size_px / scale[0], view.height / size_px / scale[1], 1])
    cos, sin = np.cos(np.radians(angle_deg)), np.sin(np.radians(angle_deg))
    turn = np.array([[cos, -sin * squeezed, 0], [sin / squeezed, cos, 0], [0, 0, 1]])
    center_in = np.array([[1, 0, (width - 1) / 2], [0, 1, (height - 1) / 2], [0, 0, 1]])
    return center_in @ turn @ zoom @ center_out


def _jitter(rgb: np.ndarray, rng: np.random.Generator, reach: Range) -> np.ndarray:
    """Brightness, contrast, saturation and tint, each by a random factor, as one 3x4 color matrix; then gamma."""
    brightness, contrast, saturation = rng.uniform(1 - reach.jitter, 1 + reach.jitter, 3)
    luma = np.array([0.299, 0.587, 0.114])
    mean_luma = float(rgb.reshape(-1, 3).mean(axis=0) @ luma) * brightness
    mix = saturation * np.eye(3) + (1 - saturation) * np.tile(luma, (3, 1))
    matrix = np.empty((3, 4))
    matrix[:, :3] = brightness * contrast * mix
    matrix[:, 3] = (1 - contrast) * mean_luma
    if reach.tint:
        matrix *= rng.uniform(1 - reach.tint, 1 + reach.tint, (3, 1))
    rgb = cv2.transform(rgb, matrix)  # saturates to uint8
    if reach.gamma == 1.0:
        return rgb
    exponent = reach.gamma ** rng.uniform(-1, 1)
    return cv2.LUT(rgb, (255 * (np.arange(256) / 255) ** exponent).round().astype(np.uint8))
