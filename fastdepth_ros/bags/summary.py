"""Outcome for the frames of a bag."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Summary:
    """Counts of a bag, or of a part of one.

    Args:
        dropped: by reason, the frames that gave no depth.
        unscaled: by reason, the depth images that are not scaled to the camera's focal length.
        without_camera_info: by reason, the depth images that have no camera_info.
        mended_camera_info: by what was wrong with the frame's own, those whose camera_info is made of a part of it.
        copied: messages of other topics.
        bits: that 16-bit samples use, as found before the work; 0 where none has 16 bits.
        bits_risen: from what to what and where, how often a frame used more.
        unmeasured: by reason, the depth images without a truth to measure them by.
        measured: errors of each depth image that has a truth, as `truth.truth_errors` gives them, by stamp.
    """

    frames_in: int = 0
    frames_out: int = 0
    camera_infos_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    unscaled: dict[str, int] = field(default_factory=dict)
    without_camera_info: dict[str, int] = field(default_factory=dict)
    mended_camera_info: dict[str, int] = field(default_factory=dict)
    copied: int = 0
    bits: int = 0
    bits_risen: dict[str, int] = field(default_factory=dict)
    unmeasured: dict[str, int] = field(default_factory=dict)
    measured: list[dict[str, Any]] = field(default_factory=list)

    def add(self, other: Summary) -> None:
        """Take in what follows."""
        self.frames_in += other.frames_in
        self.frames_out += other.frames_out
        self.camera_infos_out += other.camera_infos_out
        self.copied += other.copied
        self.bits = max(self.bits, other.bits)
        for name in ("dropped", "unscaled", "without_camera_info", "mended_camera_info", "unmeasured", "bits_risen"):
            mine, theirs = getattr(self, name), getattr(other, name)
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        self.measured += other.measured

    def counts(self) -> dict[str, Any]:
        """All but the single measurements, as JSON."""
        return {key: value for key, value in asdict(self).items() if key != "measured"}
