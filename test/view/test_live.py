"""`fastdepth live` and the viewer behind it: a page without a display, clear words where it cannot be."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
from processes import environment
from recorded import BAGS

from fastdepth_ros.cli import main
from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.view.projection import painted, point_cloud

pytest.importorskip("rerun", reason="rerun is not installed")

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.view import live_view, source
from fastdepth_ros.view.live_view import LiveView, Moment

ROOT = Path(__file__).resolve().parent.parent.parent


def test_an_address_that_nobody_can_listen_on_is_named():
    for host, port in (("127.0.0.1", 99999), ("192.0.2.1", 9090)):
        with pytest.raises(FastDepthError, match=f"cannot listen on {host}:{port}: .*; choose another port or host"):
            LiveView(host=host, data_port=port)


@pytest.fixture
def ports() -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    numbers = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return numbers


def _hears_ctrl_c() -> None:
    """Also where the tests run in the background of a shell, which ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_live_serves_a_page_and_shows_a_recording_until_it_ends(tmp_path, artifact_folder, ports, end):
    command = [sys.executable, "-m", "fastdepth_ros", "live", str(BAGS["mcap"](tmp_path)), "--browser", "--port"]
    command += [str(ports[0]), "--data-port", str(ports[1]), "--model", str(artifact_folder)]
    live = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(),
        preexec_fn=_hears_ctrl_c,
    )
    assert live.stdout is not None
    try:
        url = re.fullmatch(r"open (http\S+)\n", live.stdout.readline())
        assert url, live.communicate()[0]
        assert "Rerun" in urlopen(url[1], timeout=20).read().decode()
        assert answers(ports[1])
        assert "the source has ended" in live.stdout.readline()
    finally:
        live.send_signal(end)
        rest = live.communicate(timeout=30)[0]
    if end is signal.SIGINT:
        assert live.returncode == 130 and rest.splitlines() == ["fastdepth live: interrupted"]
    deadline = time.monotonic() + 10
    while any(map(answers, ports)):
        assert time.monotonic() < deadline, "the viewer outlived us"
        time.sleep(0.1)


def test_a_viewer_that_no_longer_answers_is_ended_all_the_same(ports, monkeypatch):
    monkeypatch.setattr(live_view, "FLUSH_TIMEOUT_S", 0.5)
    monkeypatch.setattr(live_view, "END_TIMEOUT_S", 0.5)
    view = LiveView(web_port=ports[0], data_port=ports[1])
    os.kill(view._viewer.pid, signal.SIGSTOP)
    for stamp_ns in range(40):  # more than the sockets hold
        frame = np.random.default_rng(stamp_ns).integers(0, 256, (480, 640, 3), np.uint8)
        view.show(Moment(stamp_ns, frame, None, None, None, {}))
    view.close()
    assert not view.running


def test_a_recording_whose_time_leaps_by_years_goes_on_after_a_pause(monkeypatch):
    slept: list[float] = []
    monkeypatch.setattr(source.time, "sleep", slept.append)
    monkeypatch.setattr(source.time, "monotonic", lambda: 100.0 + sum(slept))
    frame = Frame(np.zeros((60, 80, 3), np.uint8))
    stamps_ns = [5, 10**18, 10**18 + 10**8, 10**18]
    recording = source.Source(iter([(stamp_ns, frame, None) for stamp_ns in stamps_ns]), 4, False)

    def refuse(*_):
        raise FrameError("no depth is wanted here")

    frames = source.at_own_pace(recording.frames)
    assert not list(source.depth_frames(recording, frames, refuse, "trained", lambda _: None))
    assert slept == pytest.approx([source.LONGEST_PAUSE_S, 0.1, 0.0], abs=1e-6)
    assert recording.unreadable == 4


def test_without_a_display_a_window_is_refused_and_the_browser_named(tmp_path, artifact_folder, capsys, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["live", str(BAGS["mcap"](tmp_path)), "--model", str(artifact_folder)]) == 1
    assert "no display" in (error := capsys.readouterr().err) and "--browser" in error


def test_a_camera_that_is_absent_is_told_before_anything_opens(artifact_folder, capfd):
    assert main(["live", "97", "--browser", "--model", str(artifact_folder)]) == 1
    assert "camera 97 cannot be opened" in capfd.readouterr().err


def test_a_port_that_is_taken_is_told(ports):
    with socket.create_server(("127.0.0.1", ports[0])), pytest.raises(FastDepthError, match=str(ports[0])):
        LiveView(web_port=ports[0], data_port=ports[1])


def test_a_point_lies_where_the_camera_matrix_says():
    depth = np.full((4, 6), np.nan, np.float32)
    depth[1, 2], depth[3, 5] = 2.0, 4.0
    k = np.array([[10.0, 0, 2], [0, 20, 1], [0, 0, 1]])
    colors = np.zeros((4, 6, 3), np.uint8)
    colors[3, 5] = (1, 2, 3)
    points, painted = point_cloud(depth, k, colors)
    np.testing.assert_allclose(points, [[0, 0, 2], [1.2, 0.4, 4]], rtol=1e-6)
    assert painted.tolist() == [[0, 0, 0], [3, 2, 1]]


def test_a_large_depth_image_gives_no_more_points_than_a_browser_draws():
    points, _ = point_cloud(np.ones((480, 640), np.float32), np.diag([500.0, 500, 1]), np.zeros((48, 64, 3), np.uint8))
    assert len(points) == 120 * 160


@pytest.mark.parametrize("k", [np.zeros((3, 3)), np.full((3, 3), np.nan), np.diag([500.0, 0.0, 1.0])])
def test_a_matrix_that_is_no_cameras_gives_no_points(k):
    points, painted = point_cloud(np.full((40, 60), 2.0, np.float32), k, np.zeros((40, 60, 3), np.uint8))
    assert points.shape == painted.shape == (0, 3)


def test_a_point_has_the_color_of_the_pixel_that_it_is_seen_at():
    depth = np.random.default_rng(0).uniform(1, 3, (40, 60)).astype(np.float32)
    k, colors = np.array([[50.0, 0, 29], [0, 60, 21], [0, 0, 1]]), np.zeros((80, 120, 3), np.uint8)
    colors[..., 0], colors[..., 2] = np.arange(80)[:, None], np.arange(120)
    points, _ = point_cloud(depth, k, colors)
    shade = painted(points, k, (60, 40), colors)
    v, u = np.mgrid[:40, :60]
    np.testing.assert_allclose(shade[:, 0], 2 * u.ravel() + 1, atol=1)
    np.testing.assert_allclose(shade[:, 2], 2 * v.ravel() + 1, atol=1)
