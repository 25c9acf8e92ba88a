"""Depth images as image_transport's plugin compressedDepth writes them: a header of 12 bytes, then a PNG."""

from __future__ import annotations

import struct

import cv2
import numpy as np

HEADER = struct.Struct("<iff")  # kind of compression, and the A and B of inverse depth
INVERSE_DEPTH = 0
_A = 100.0 * 101.0  # the plugin's default: at 100 m neighbors differ by 1 m, at 10 m by 1 cm, at 1 m by 0.1 mm
_LARGEST = 65535


def compressed_depth(pixels: np.ndarray) -> bytes:
    """Field `data` of a CompressedImage of format "32FC1; compressedDepth png" or "16UC1; compressedDepth png".

    Meters d become the whole number A / d + B, from 1 for the farthest pixel; 0 is invalid: NaN and +inf alike. Depth
    nearer than 0.15 m reads back as 0.15 m. Millimeters are kept as they are, with an A and a B of 0.

    Args:
        pixels: float32 HxW meters, or uint16 HxW millimeters.
    """
    a = b = 0.0
    if pixels.dtype != np.uint16:
        known = (pixels > 0) & (pixels < np.inf)
        a, b = _A, 1 - _A / float(pixels.max(where=known, initial=1e-3))
        inverse = np.divide(a, pixels, out=np.zeros(pixels.shape), where=known)
        pixels = np.where(known, np.clip(np.rint(inverse + b), 1, _LARGEST), 0).astype(np.uint16)
    # A compression level, even the lowest, makes OpenCV's encoder take several times as long as none.
    return HEADER.pack(INVERSE_DEPTH, a, b) + cv2.imencode(".png", pixels)[1].tobytes()


def meters_of_inverse(header: bytes, inverse: np.ndarray) -> np.ndarray:
    """float32 HxW meters, NaN where invalid, of the header and the uint16 HxW picture of a 32FC1 image."""
    _, a, b = HEADER.unpack(header)
    return np.divide(a, inverse - b, out=np.full(inverse.shape, np.nan), where=inverse > 0).astype(np.float32)
