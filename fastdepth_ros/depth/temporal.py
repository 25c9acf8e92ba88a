"""Filter over time against flicker: each pixel is blended with its previous depth, unless it changed."""

from __future__ import annotations

import numpy as np

GATE = 0.1  # relative change from which on a pixel shows something else
MAX_GAP_NS = 1_000_000_000


def blended(previous: np.ndarray, depth: np.ndarray, strength: float) -> np.ndarray:
    """One step of the filter: `depth` where it is new, else drawn toward `previous`.

    The weight of the past is `strength` where nothing changes and falls to 0 at a relative change of `GATE`, so that
    an edge that moves leaves nothing behind.

    Args:
        previous, depth: float32 meters of one shape, NaN invalid; invalid in either, a pixel is not blended.
        strength: 0 to 1, exclusive: the weight of the past.
    """
    change = (previous - depth) / depth
    weight = np.float32(strength) * (1 - np.square(change * np.float32(1 / GATE)))
    return np.where(weight > 0, depth + weight * (previous - depth), depth)


class TemporalFilter:
    """`blended` from frame to frame; restarts when the view changes, or time jumps back or by over a second.

    Args:
        strength: 0 to 1, exclusive.
    """

    def __init__(self, strength: float) -> None:
        self._strength = strength
        self._previous: np.ndarray | None = None
        self._view: object = None
        self._stamp_ns: int | None = None

    def __call__(self, depth: np.ndarray, view: object, stamp_ns: int | None) -> np.ndarray:
        """The filtered depth.

        Args:
            depth: float32 HxW meters, NaN invalid.
            view: size and crop of the frame; while they stay equal, a pixel shows the same place.
            stamp_ns: stamp of the frame; None counts as the next frame.
        """
        if self._previous is not None and self._goes_on(view, stamp_ns):
            depth = blended(self._previous, depth, self._strength)
        self._previous, self._view, self._stamp_ns = depth.copy(), view, stamp_ns
        return depth

    def _goes_on(self, view: object, stamp_ns: int | None) -> bool:
        if view != self._view:
            return False
        if stamp_ns is None or self._stamp_ns is None:
            return stamp_ns == self._stamp_ns
        return 0 <= stamp_ns - self._stamp_ns <= MAX_GAP_NS
