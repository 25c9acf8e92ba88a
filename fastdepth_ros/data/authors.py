"""The FastDepth authors' validation transform, for images and depth alike.

Two resizes to the nearest pixel with a crop between them: 640x480 to 333x250, the central 304x228 of that, then
224x224. Both indices are floor((i + 0.5) * in / out), so that together they pick rows and columns from the frame.
"""

from __future__ import annotations

import numpy as np

_REDUCED_HEIGHT = 250
_CROP = (228, 304)


def authors_view(image: np.ndarray, size_px: int) -> np.ndarray:
    """What the authors evaluate on.

    Args:
        image: HxW or HxWxC, of a shape near 4:3.
        size_px: side of the network input.

    Returns:
        size x size (x C), the same dtype.

    Raises:
        ValueError: narrower than the crop once its height is reduced to 250.
    """
    height, width = image.shape[:2]
    reduced = (_REDUCED_HEIGHT, int(width * _REDUCED_HEIGHT / height))
    if reduced[1] < _CROP[1]:
        raise ValueError(f"image is {width}x{height}; the authors' crop needs a width of 1.216 times the height")
    rows, columns = (
        _nearest(full, small)[round((small - crop) / 2) + _nearest(crop, size_px)]
        for full, small, crop in zip((height, width), reduced, _CROP)
    )
    return image[rows[:, None], columns]


def _nearest(size_in: int, size_out: int) -> np.ndarray:
    return ((np.arange(size_out) + 0.5) * size_in / size_out).astype(np.intp)
