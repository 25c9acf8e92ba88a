"""Number of bits of a 16-bit sample that a sensor uses; 10 or 12 low bits would look black by their high byte."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.errors import FastDepthError

SAMPLE_BITS = 16
SETTLED_FRAMES = 30  # after which a rise is news, not the finding itself
_STEPS = (8, 10, 12, 14, SAMPLE_BITS)  # bits that sensors have


class SensorBits:
    """The bits of a stream: those of the largest sample so far. They only rise, so that light stays comparable.

    Args:
        fixed: the number, 1 to 16, where it is known; 0 finds it.
        least: found before, in a sample of the stream; 0 is nothing.

    Raises:
        ValueError: more bits than a sample has.
    """

    def __init__(self, fixed: int = 0, least: int = 0) -> None:
        if not 0 <= fixed <= SAMPLE_BITS:
            raise FastDepthError(f"bits is {fixed}, a sample has 1 to {SAMPLE_BITS}; 0 finds them")
        self.fixed, self.bits, self.frames = fixed, fixed or least, 0

    @property
    def settled(self) -> bool:
        """Whether a rise of the last frame came late."""
        return self.frames > SETTLED_FRAMES

    def high_bytes(self, samples: np.ndarray) -> np.ndarray:
        """uint8 of uint16 samples of one frame, any shape: their eight highest used bits, saturated beyond."""
        self.see(samples)
        bits = self.bits or SAMPLE_BITS  # a frame of zeros says nothing
        if bits == SAMPLE_BITS:
            return (samples >> 8).astype(np.uint8)
        scaled = samples >> (bits - 8) if bits >= 8 else samples.astype(np.uint32) << (8 - bits)
        return np.minimum(scaled, 255).astype(np.uint8)

    def see(self, samples: np.ndarray) -> None:
        """Take the samples of a frame into account."""
        self.frames += 1
        if not self.fixed and self.bits < SAMPLE_BITS:
            used = int(samples.max()).bit_length()
            if used:
                self.bits = max(self.bits, next(step for step in _STEPS if used <= step))
