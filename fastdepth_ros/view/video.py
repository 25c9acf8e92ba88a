"""Side-by-side video: the part of each frame that the network sees, and its depth."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
import cv2
import numpy as np

from fastdepth_ros.jobs.atomic_io import atomic_file
from fastdepth_ros.pictures.color_map import color_depth, draw_legend

TIME_BASE = Fraction(1, 90_000)  # usual for H.264


def side_by_side(view: np.ndarray, depth: np.ndarray, height_px: int = 480) -> np.ndarray:
    """Picture of a view and its depth, with the legend of the colors below.

    Args:
        view: uint8 HxWx3 BGR.
        depth: float HxW meters of the same view.
        height_px: height of view and depth in the picture, an even number.

    Returns:
        uint8 HxWx3 BGR, with even sides.
    """
    width = max(round(view.shape[1] * height_px / view.shape[0] / 2) * 2, 2)
    shown = cv2.resize(view, (width, height_px), interpolation=cv2.INTER_AREA)
    colored = cv2.resize(color_depth(depth), (width, height_px), interpolation=cv2.INTER_NEAREST)
    pictures = np.hstack([shown, colored])
    return np.vstack([pictures, draw_legend(2 * width, width + 16, 2 * width - 16, background=24, ink=220)])


class VideoWriter:
    """Writer of an H.264 mp4 whose pictures keep their times. A context manager; an error leaves no file.

    Raises:
        OSError: the file cannot be written, or no picture was.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with ExitStack() as opened:
            partial = opened.enter_context(atomic_file(path))
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
        """Add a picture at its time. A picture that is not later than the last one follows it immediately.

        Args:
            stamp_ns: time of the picture, nanoseconds.
            bgr: uint8 HxWx3 with even sides. Later pictures are resized to the size of the first.
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
        """Close the unfinished file; closing may fail for the same reason as writing."""
        try:
            self._container.close()
        except (OSError, ValueError):
            return
