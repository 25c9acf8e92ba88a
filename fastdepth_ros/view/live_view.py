"""Rerun's viewer, in a browser or a window, with our layout: frame, depth, point cloud, stage times."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import cv2
import numpy as np
import rerun as rr
import rerun.blueprint as rrb
import rerun_cli

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.pictures.color_map import color_depth
from fastdepth_ros.telemetry import viewer_environment
from fastdepth_ros.view.projection import painted, point_cloud

VIEWER = Path(rerun_cli.__file__).with_name("rerun")
FLUSH_TIMEOUT_S = 5.0
END_TIMEOUT_S = 3.0
START_TIMEOUT_S = 30.0
MEMORY = "512MB"  # history for browsers that connect late; the oldest data are dropped
FRAME_WIDTH_PX = 640
POINT_RADIUS_M = 0.012
_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Moment:
    """Content shown at one time. Parts that are None stay unchanged.

    Args:
        stamp_ns: stamp of the frame.
        bgr: uint8 HxWx3, the whole frame.
        view: uint8 HxWx3 BGR, the part of the frame that the depth shows.
        depth: float HxW meters, NaN or 0 invalid.
        k: 3x3 camera matrix of the depth image.
        stages_ms: duration of each stage.
        points: float (N, 3) meters, in place of a point for each pixel of the depth.
    """

    stamp_ns: int
    bgr: np.ndarray | None = None
    view: np.ndarray | None = None
    depth: np.ndarray | None = None
    k: np.ndarray | None = None
    stages_ms: dict[str, float] | None = None
    points: np.ndarray | None = None


class LiveView:
    """Viewer in its own process, and the stream of data to it. A context manager.

    Args:
        window: show a window on this machine's display; otherwise serve a page at `url`.
        host: address of this machine that the page and its data are bound to.
        web_port, data_port: TCP ports of the page and of its data.

    Raises:
        FastDepthError: no display, a port is taken, or the viewer does not start.
    """

    def __init__(
        self, *, window: bool = False, host: str = "127.0.0.1", web_port: int = 9090, data_port: int = 9876
    ) -> None:
        if window and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise FastDepthError(
                "no display for a window; serve a page instead: live --browser, or view without --window"
            )
        data_url = f"rerun+http://{host}:{data_port}/proxy"
        page = f"http://{host}:{web_port}"
        self.url = "" if window else f"{page}/?url={quote(data_url, safe='')}"
        ports = [data_port] if window else [data_port, web_port]
        for port in ports:
            _refuse_taken(host, port)
        self._recording = rr.RecordingStream("fastdepth")
        command = [str(VIEWER), "--bind", host, "--port", str(data_port), "--hide-welcome-screen"]
        if not window:
            command += ["--serve-web", "--web-viewer-port", str(web_port), "--server-memory-limit", MEMORY]
            command += ["--cors-allow-origin", page]
        self._viewer = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, env={**viewer_environment(), "RUST_LOG": "error"},
            start_new_session=True, preexec_fn=_end_with_parent,
        )  # fmt: skip # in its own session, so that Ctrl-C does not reach it
        try:
            self._wait(host, ports)
            self._recording.connect_grpc(data_url, default_blueprint=_layout())
            self._recording.log("world", rr.ViewCoordinates.RDF, static=True)  # z forward, y down: REP 103
        except BaseException:
            self.close()
            raise
        self._stages: tuple[str, ...] = ()

    def __enter__(self) -> LiveView:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        served = self.running or not self.url  # a user may close a window; a page's server should not end
        self.close()
        if kind is None and not served:
            raise FastDepthError("Rerun's viewer ended unexpectedly")

    @property
    def running(self) -> bool:
        """False once the viewer's process has ended: the window was closed."""
        return self._viewer.poll() is None

    def show(self, moment: Moment) -> None:
        """Send one moment to the viewer."""
        self._recording.set_time("stamp", timestamp=np.datetime64(moment.stamp_ns, "ns"))
        if moment.bgr is not None:
            self._recording.log("frame", _picture(_shrunk(moment.bgr)))
        if moment.depth is not None:
            colored = color_depth(moment.depth)
            self._recording.log("depth", _picture(colored))
            if moment.k is not None:
                self._show_points(moment, moment.depth, moment.k, colored if moment.view is None else moment.view)
        if moment.stages_ms:
            names = tuple(moment.stages_ms)
            if names != self._stages:
                self._stages = names
                self._recording.log("stages", rr.SeriesLines(names=list(names)), static=True)
            self._recording.log("stages", rr.Scalars(list(moment.stages_ms.values())))

    def show_health(self, text: str, level: int) -> None:
        """Send a line of the node's health; level 0 OK, 1 WARN, 2 ERROR."""
        self._recording.log("health", rr.TextLog(text, level=("INFO", "WARN", "ERROR")[min(level, 2)]))

    def close(self) -> None:
        """Flush the stream and end the viewer; a viewer that does not answer is killed."""
        try:
            self._recording.flush(timeout_sec=FLUSH_TIMEOUT_S)
            self._recording.disconnect()  # before the viewer ends, or it complains
        except RuntimeError:  # the flush timed out, and disconnecting would wait again
            pass
        self._end_viewer()
        self._recording.disconnect()

    def _end_viewer(self) -> None:
        for end in (self._viewer.terminate, self._viewer.kill):
            end()
            with suppress(subprocess.TimeoutExpired):
                self._viewer.wait(timeout=END_TIMEOUT_S)
                return

    def _show_points(self, moment: Moment, depth: np.ndarray, k: np.ndarray, colors: np.ndarray) -> None:
        height, width = depth.shape
        if moment.points is None:
            points, picked = point_cloud(depth, k, colors)
        else:
            points, picked = moment.points, painted(moment.points, k, (width, height), colors)
        self._recording.log("world/points", rr.Points3D(points, colors=picked, radii=POINT_RADIUS_M))
        pinhole = rr.Pinhole(image_from_camera=k, resolution=[width, height], image_plane_distance=0.3)
        self._recording.log("world/camera", pinhole)

    def _wait(self, host: str, ports: list[int]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        for port in ports:
            while not _answers(host, port):
                if not self.running:
                    raise FastDepthError(
                        f"Rerun's viewer ended with code {self._viewer.returncode}; its messages are above"
                    )
                if time.monotonic() > deadline:
                    raise FastDepthError(
                        f"Rerun's viewer does not answer on {host}:{port} after {START_TIMEOUT_S:.0f} s"
                    )
                time.sleep(0.1)


def _end_with_parent() -> None:
    """Make a child process end with this process; called in the child before it starts."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _layout() -> rrb.Blueprint:
    """The point cloud at the left; frame, depth and stage times at the right."""
    cloud = rrb.Spatial3DView(
        origin="/world", name="Point cloud", background=[24, 26, 29], line_grid=rrb.LineGrid3D(visible=False),
        eye_controls=rrb.EyeControls3D(position=[0, -1, -2], look_target=[0, 0, 2], eye_up=[0, -1, 0]),
    )  # fmt: skip # from behind and above the camera
    pictures = rrb.Horizontal(
        rrb.Spatial2DView(origin="/frame", name="Frame"), rrb.Spatial2DView(origin="/depth", name="Depth")
    )
    stages = rrb.TimeSeriesView(origin="/stages", name="Stage times [ms]")
    health = rrb.TextLogView(origin="/health", name="Health")
    right = rrb.Vertical(pictures, stages, health, row_shares=[4, 3, 2])
    return rrb.Blueprint(rrb.Horizontal(cloud, right), collapse_panels=True)


def _picture(bgr: np.ndarray) -> rr.EncodedImage | rr.Image:
    return rr.Image(bgr, color_model="BGR").compress(jpeg_quality=85)


def _shrunk(bgr: np.ndarray) -> np.ndarray:
    height, width = bgr.shape[:2]
    if width <= FRAME_WIDTH_PX:
        return bgr
    size = (FRAME_WIDTH_PX, round(height * FRAME_WIDTH_PX / width))
    return cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def _refuse_taken(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError) as error:  # the second: no number of a port
            raise FastDepthError(f"cannot listen on {host}:{port}: {error}; choose another port or host") from error
