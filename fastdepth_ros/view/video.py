"""A side-by-side video: what the network saw, and its depth."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from fastdepth_ros.jobs.atomic_io import whole_file
from fastdepth_ros.pictures.color_map import color_depth
from fastdepth_ros.pictures.image_files import FAR_M, NEAR_M

TIME_BASE = Fraction(1, 90_000)  # what players expect of H.264
LEGEND_PX = 40
TICKS_M = (0.5, 1, 2, 3, 5, 10)


def side_by_side(view: np.ndarray, depth: np.ndarray, height_px: int = 480) -> np.ndarray:
    """The frame's part that the network saw, its depth, and the color scale below.

    Args:
        view: uint8 HxWx3 BGR.
        depth: float HxW meters of the same view.

    Returns:
        uint8 BGR of even sides.
    """
    width = max(round(view.shape[1] * height_px / view.shape[0] / 2) * 2, 2)
    shown = cv2.resize(view, (width, height_px), interpolation=cv2.INTER_AREA)
    colored = cv2.resize(color_depth(depth, NEAR_M, FAR_M), (width, height_px), interpolation=cv2.INTER_NEAREST)
    pictures = np.hstack([shown, colored])
    return np.vstack([pictures, _legend(pictures.shape[1])])


def _legend(width: int) -> np.ndarray:
    legend = np.full((LEGEND_PX, width, 3), 24, np.uint8)
    left, right = width // 2 + 16, width - 16
    scale = np.geomspace(NEAR_M, FAR_M, right - left, dtype=np.float32)
    legend[6:16, left:right] = color_depth(scale[None], NEAR_M, FAR_M)
    for meters in TICKS_M:
        text = f"{meters:g} m"
        share = np.log(meters / NEAR_M) / np.log(FAR_M / NEAR_M)
        text_width = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.45, 1)[0][0]
        x = min(max(int(left + share * (right - left)) - text_width // 2, left), right - text_width)
        cv2.putText(legend, text, (x, 33), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (220, 220, 220), 1, cv2.LINE_AA)
    return legend


class VideoWriter:
    """Writes an H.264 mp4 whose pictures keep their times; a context manager: whole at its end, or not at all.

    Raises:
        OSError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as opened:
            partial = opened.enter_context(whole_file(path))
            self._container = av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"})
            self._whole = opened.pop_all()
        self._stream: av.VideoStream | None = None
        self._first_ns, self._last = 0, -1
        self.pictures = 0

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            with self._whole:
                self._finish()
        else:
            self._abandon()
            self._whole.__exit__(kind, error, trace)

    def write(self, stamp_ns: int, bgr: np.ndarray) -> None:
        """Add a picture at its time; one that is not later than the last follows it at once.

        Args:
            bgr: uint8 HxWx3 of even sides; the first picture's size holds for all.
        """
        if self._stream is None:
            self._first_ns = stamp_ns
            self._stream = self._container.add_stream("libx264", options={"crf": "20", "preset": "veryfast"})
            self._stream.height, self._stream.width = bgr.shape[:2]
            self._stream.pix_fmt = "yuv420p"
            self._stream.time_base = self._stream.codec_context.time_base = TIME_BASE
        if bgr.shape[:2] != (self._stream.height, self._stream.width):
            bgr = cv2.resize(bgr, (self._stream.width, self._stream.height), interpolation=cv2.INTER_AREA)
        picture = av.VideoFrame.from_ndarray(bgr, format="bgr24")
        picture.time_base = TIME_BASE
        picture.pts = self._last = max(round((stamp_ns - self._first_ns) * 90_000 / 1e9), self._last + 1)
        self._container.mux(self._stream.encode(picture))
        self.pictures += 1

    def _finish(self) -> None:
        if self._stream is None:
            self._abandon()
            raise OSError(f"{self._path} is not written: there was no picture")
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def _abandon(self) -> None:
        """Close what is half written, though that may fail as the writing did."""
        try:
            self._container.close()
        except (OSError, ValueError):
            return
