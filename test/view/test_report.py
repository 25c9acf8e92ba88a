"""The report: its figures are the bag's, and a browser without a network shows and plays it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from chromium import END, HOME, LEFT, chromium, errors, find, find_all, loaded, screenshot, until
from recorded import frames
from recordings import write_recording
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from fastdepth_ros.bags.messages import image_message
from fastdepth_ros.bags.reader import TYPES
from fastdepth_ros.cli import main
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.pictures.color_map import color_depth
from fastdepth_ros.view.figures import read_figures
from fastdepth_ros.view.recorded import read_recorded

ERRORS = {"rmse": 0.61, "mae": 0.43, "delta1": 0.77, "images": 28}
PER_TIME = [{"stamp_ns": 10**9 * second, "rmse": 0.5 + second / 10, "delta1": 0.8} for second in range(4)]


def report(bag: Path, out: Path, *more: str) -> str:
    assert main(["report", str(bag), "--out", str(out), *more]) == 0
    return out.read_text(encoding="utf-8")


def test_what_is_read_of_a_bag_is_what_was_written(recording):
    recorded = read_recorded(recording, shown=10)
    assert (len(recorded.stamps_ns), recorded.size_px, recorded.without_depth()) == (28, (56, 56), 2)
    assert recorded.histogram.sum() == 28 * 55 * 56
    np.testing.assert_allclose(recorded.valid, 55 / 56)
    np.testing.assert_allclose(recorded.percentiles_m[0, 2], 4.0)
    assert recorded.drops() == {"replaced": 2, "unreadable": 0, "failed": 0}
    assert recorded.health[2].stages_ms(95) == pytest.approx({"decode": 0.44, "preprocess": 0.68, "infer": 5.6,
        "postprocess": 0.32, "publish": 0.56, "total": 6.8, "age": 11.0})  # fmt: skip
    assert len(recorded.pictures) == 10 and all(picture.frame_jpeg for picture in recorded.pictures)


def test_the_page_holds_everything_itself_and_escapes_what_the_node_said(recording, tmp_path):
    (tmp_path / "metrics.json").write_text(json.dumps({"pooled": ERRORS, "per_time": PER_TIME}))
    page = report(recording, tmp_path / "out.html", "--metrics", str(tmp_path / "metrics.json"))
    assert not re.search(r"""(src|href)=["'](?!data:|#)|url\(|@import|https?://""", page)
    assert "tiny &lt;&amp;&gt;" in page and "camera_info is &lt;late&gt;" in page
    assert "2 of 30" in page and "0.61" in page and "rmse over time" in page
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_a_browser_without_network_shows_the_report_and_its_filmstrip(recording, tmp_path):
    report(recording, tmp_path / "out.html")
    with chromium(tmp_path / "profile") as browser:
        loaded(browser, (tmp_path / "out.html").as_uri())
        titles = [heading.text for heading in find_all(browser, "h2")]
        assert titles == [
            "Summary", "Player", "Moments", "Rate", "Stage times", "Drops and health", "Depth", "Metrics"
        ]  # fmt: skip
        assert len(find_all(browser, "#rate svg polyline")) == 2
        assert len(find_all(browser, "#stage-times polyline")) == 6 + 3
        assert len(find_all(browser, "#depth rect.bar")) > 5
        unseen = "return [...document.images].filter(i => !i.complete || !i.naturalWidth).length"
        until(browser, lambda: browser.execute_script(unseen) == 0, "every picture")

        clock, film = find(browser, "#clock"), find(browser, "#filmstrip")
        picture = find(browser, "#player-depth")
        assert clock.text.startswith("0.00 s")
        first = picture.get_attribute("src")
        film.send_keys(END)
        assert clock.text == "2.90 s · median 2.07 m" and picture.get_attribute("src") != first
        film.send_keys(LEFT)
        assert clock.text.startswith("2.80 s")
        film.send_keys(HOME, " ")
        until(browser, lambda: not clock.text.startswith("0.00 s"), "the film to play")
        assert find(browser, "#play").text == "Pause"
        film.send_keys(" ", HOME)

        browser.execute_script("document.documentElement.dataset.theme = 'light'; scrollTo(0, 0)")
        light = screenshot(browser)
        cv2.imwrite(str(tmp_path / "light.png"), light)
        find(browser, "#theme").click()
        dark = screenshot(browser)
        cv2.imwrite(str(tmp_path / "dark.png"), dark)
        assert light[-5:, :5].mean() > 200 > 60 > dark[-5:, :5].mean()
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
        seen = screenshot(browser).reshape(-1, 3).astype(int)
        wall = color_depth(np.full((1, 1), 4.0, np.float32), 0.5, 10.0)[0, 0].astype(int)
        assert (np.abs(seen - wall).max(axis=1) < 12).mean() > 0.05, "the wall's color is not on the screen"
        assert errors(browser) == []
        requested = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
        urls = [r["params"]["request"]["url"] for r in requested if r["method"] == "Network.requestWillBeSent"]
        assert [url[:40] for url in urls if url.startswith(("http", "ws"))] == []


def test_a_bag_with_one_image_and_no_valid_pixel_makes_a_report(tmp_path):
    unknown = write_bag(tmp_path / "in", [np.zeros((8, 8), np.float32)])
    page = report(unknown, tmp_path / "out.html")
    assert "no valid pixel" in page and "of one image" in page


def test_depth_of_two_sizes_and_an_unreadable_image_are_told(tmp_path):
    depths = [np.ones((8, 8), np.float32), np.ones((16, 8), np.float32), np.ones((8, 8), np.uint8)]
    page = report(write_bag(tmp_path / "in", depths), tmp_path / "out.html")
    assert "1 unreadable: /depth/image: a depth image is 32FC1 or 16UC1 or mono16, not &#x27;8UC1&#x27;" in page


def write_bag(path: Path, depths: list[np.ndarray]) -> Path:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        topic = writer.add_connection("/depth/image", "sensor_msgs/msg/Image", typestore=TYPES)
        for stamp, depth in enumerate(depths):
            message = image_message(stamp, "eye", depth, "32FC1" if depth.dtype == np.float32 else "8UC1")
            writer.write(topic, stamp, TYPES.serialize_cdr(message, topic.msgtype))
    return path


def test_depth_alone_makes_a_report_that_says_what_is_missing(tmp_path, capsys):
    recording = write_recording(tmp_path / "in")
    report_of_all = report(recording, tmp_path / "all.html", "--frames", "3")
    assert report_of_all.count('"frame": "data:') == 3
    with Reader(recording) as reader, Writer(tmp_path / "lean", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        chosen = [connection for connection in reader.connections if connection.topic == "/depth/image"]
        copy = writer.add_connection("/depth/image", chosen[0].msgtype, msgdef=chosen[0].msgdef.data,
                                     rihs01=chosen[0].digest)  # fmt: skip
        for _, recorded_ns, raw in reader.messages(chosen):
            writer.write(copy, recorded_ns, raw)
    page = report(tmp_path / "lean", tmp_path / "lean.html")
    assert "not in the bag" in page and "stage times are unknown" in page and 'id="player-frame"' not in page
    stranger = write_bag(tmp_path / "stranger", [np.ones((8, 8), np.float32)])
    assert main(["report", str(stranger), "--images", str(recording), "--out", str(tmp_path / "x.html")]) == 1
    assert "of another recording?" in capsys.readouterr().err
    with_images = report(tmp_path / "lean", tmp_path / "both.html", "--images", str(recording))
    assert 'id="player-frame"' in with_images and "2 of 30" in with_images


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--depth-topic", "/nothing"], "no topic /nothing"),
        (["--depth-topic", "/camera/camera_info"], "not an image"),
        (["--depth-topic", "/camera/image_raw"], "32FC1 or 16UC1 or mono16, not 'bgr8'"),
        (["--image-topic", "/nothing"], "no topic /nothing"),
        (["--metrics", "absent.json"], "absent.json"),
        (["--images", "absent"], "no bag at absent"),
        (["--frames", "0"], "at least 1"),
    ],
)
def test_what_cannot_be_reported_is_told(recording, tmp_path, capsys, arguments, told):
    assert main(["report", str(recording), "--out", str(tmp_path / "out.html"), *arguments]) == 1
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_truncated_bag_is_told_and_a_page_that_exists_is_kept(recording, tmp_path, capsys):
    broken = shutil.copytree(recording, tmp_path / "broken")
    file = next(broken.glob("*.mcap"))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert main(["report", str(broken), "--out", str(tmp_path / "out.html")]) == 1
    assert str(broken) in capsys.readouterr().err
    (tmp_path / "out.html").write_text("dear")
    assert main(["report", str(recording), "--out", str(tmp_path / "out.html")]) == 1
    assert "exists" in capsys.readouterr().err and (tmp_path / "out.html").read_text() == "dear"


@pytest.mark.parametrize(
    ("tree", "sets", "series"),
    [
        ({**ERRORS, "pooled": ERRORS}, ["metrics", "pooled"], []),
        ({"truth": {"raw": ERRORS, "scaled": ERRORS}, "frames_in": 3}, ["truth / raw", "truth / scaled"], []),
        ({"per_time": PER_TIME}, [], ["per_time"]),
        (
            {
                **ERRORS,
                "scale_aligned": ERRORS,
                "by_time": [{"stamp_ns": 1, "pixels": 9, "scale": 1.1, "errors": ERRORS}],
            },
            ["metrics", "scale_aligned"],
            ["errors"],
        ),
        ([{"time_s": 1, "raw": ERRORS, "scaled": ERRORS}, {"no": "figures"}], [], ["raw", "scaled"]),
        ({"rmse": float("nan"), "delta1": 0.5, "per_time": [{"rmse": 1.0}]}, ["metrics"], []),
    ],
)
def test_figures_are_found_wherever_they_lie(tmp_path, tree, sets, series):
    (tmp_path / "it.json").write_text(json.dumps(tree))
    figures = read_figures(tmp_path / "it.json")
    assert (list(figures.sets), list(figures.series)) == (sets, series)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rmse": "much"}', "\x00\x01"])
def test_a_file_without_figures_is_refused_by_name(tmp_path, text):
    (tmp_path / "it.json").write_text(text)
    with pytest.raises(FastDepthError, match="it.json"):
        read_figures(tmp_path / "it.json")


def test_the_frame_beside_the_depth_is_the_depths_view(recording):
    """The recording's depth is of the trained field of view: 146 x 109 of the frame's 160 x 120 pixels."""
    picture = read_recorded(recording, shown=1).pictures[0]
    shown = cv2.imdecode(np.frombuffer(picture.frame_jpeg, np.uint8), cv2.IMREAD_COLOR)
    view = cv2.resize(frames()[0][5 : 5 + 109, 7 : 7 + 146], (384, 288), interpolation=cv2.INTER_AREA)
    assert np.abs(shown.astype(int) - view).mean() < 4


def test_a_report_takes_millimeters_and_depth_beyond_range(tmp_path):
    depth = np.full((56, 56), 2.0, np.float32)
    depth[:14], depth[14:28] = np.inf, np.nan
    for topic, pixels in (("/depth/image", depth), ("/depth/image_raw", np.full((56, 56), 2000, np.uint16))):
        bag = tmp_path / topic.replace("/", "_")
        with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
            connection = writer.add_connection(topic, "sensor_msgs/msg/Image", typestore=TYPES)
            encoding = "32FC1" if pixels.dtype == np.float32 else "16UC1"
            message = image_message(1, "eye", pixels, encoding)
            writer.write(connection, 1, TYPES.serialize_cdr(message, "sensor_msgs/msg/Image"))
        recorded = read_recorded(bag)
        assert recorded.depth_topic == topic
        np.testing.assert_allclose(recorded.percentiles_m, 2.0)
        assert recorded.valid[0] == (0.5 if encoding == "32FC1" else 1)
        assert recorded.histogram.sum() == recorded.valid[0] * 56 * 56
