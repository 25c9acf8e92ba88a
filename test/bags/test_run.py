"""Bag in, bag out: every frame once, stamps kept, and clear words where a bag is not what it should be."""

from __future__ import annotations

import json
import shutil

import cv2
import numpy as np
import pytest
from recorded import IMAGE_TOPIC, STAMPS_NS, K, frames, messages
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from running import arguments, read_bag, run_bag

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.bags.request import Request
from fastdepth_ros.bags.run import write_depth_bags
from fastdepth_ros.bags.worker import WINDOWS
from fastdepth_ros.cli import main
from fastdepth_ros.depth.camera_info import stamp_ns
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.jobs.pool import local_pool


def test_every_frame_comes_out_once_with_its_stamp_and_hot_path_depth(bag, tmp_path, artifact_folder, capsys):
    out = tmp_path / "out"
    assert run_bag(bag, out, artifact_folder) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames_in"], summary["frames_out"], summary["dropped"]) == (4, 4, {})
    found = read_bag(out)
    assert [stamp_ns(message) for _, message in found["/depth/image"]] == STAMPS_NS
    assert [recorded_ns for recorded_ns, _ in found["/depth/image"]] == STAMPS_NS
    artifact = find_artifact(artifact_folder)
    estimator = DepthEstimator(artifact.load(), artifact.network)
    for (_, message), bgr in zip(found["/depth/image"], frames()):
        assert (message.encoding, message.header.frame_id, message.step) == ("32FC1", "eye", 896)
        depth = message.data.view(np.float32).reshape(224, 224)
        np.testing.assert_array_equal(depth, estimator(Frame(bgr, "bgr"), np.array(K)).depth)


def test_camera_info_goes_through_crop_and_scale(bag, tmp_path, artifact_folder):
    run_bag(bag, tmp_path / "out", artifact_folder)
    infos = [message for _, message in read_bag(tmp_path / "out")["/depth/camera_info"]]
    assert [stamp_ns(message) for message in infos] == STAMPS_NS
    x, y = 224 / 146, 224 / 109  # crop of 120 x 160: 109 high at 5, 146 wide at 7
    expected = [130 * x, 0, (80 - 7 + 0.5) * x - 0.5, 0, 131 * y, (60 - 5 + 0.5) * y - 0.5, 0, 0, 1]
    np.testing.assert_allclose(infos[0].k, expected)


def test_storage_stays_as_it_was(tmp_path, artifact_folder, bag):
    run_bag(bag, tmp_path / "out", artifact_folder)
    expected = ".db3" if bag.name == "sqlite3" else ".mcap"
    assert [path.suffix for path in (tmp_path / "out").iterdir() if path.name != "metadata.yaml"] == [expected]


def test_a_missing_topic_lists_the_image_topics_that_there_are(mcap_bag, tmp_path, artifact_folder, capsys):
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, topic="/front/image") == 1
    error = capsys.readouterr().err
    assert "no topic /front/image" in error and IMAGE_TOPIC in error
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, topic="/camera/camera_info") == 1
    assert "sensor_msgs/msg/CameraInfo, not an image" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_exists_is_left_alone(mcap_bag, tmp_path, artifact_folder, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "dear").write_text("data")
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder) == 1
    assert "exists" in capsys.readouterr().err
    assert (tmp_path / "out" / "dear").read_text() == "data"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_bag_is_told_and_leaves_no_half_output(bag, tmp_path, artifact_folder, capsys, share):
    file = bag if bag.is_file() else next(path for path in bag.iterdir() if path.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    assert run_bag(bag, tmp_path / "out", artifact_folder) == 1
    assert str(bag) in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [bag.name]


def test_what_is_no_bag_is_told(tmp_path, artifact_folder, capsys):
    (tmp_path / "text.bag").write_text("not a bag")
    (tmp_path / "folder").mkdir()
    for name in ("text.bag", "folder", "nothing"):
        assert run_bag(tmp_path / name, tmp_path / "out", artifact_folder) == 1
        assert name in capsys.readouterr().err


def test_bad_frames_are_dropped_by_reason_and_the_others_come_out(tmp_path, artifact_folder, capsys):
    types = get_typestore(Stores.ROS2_HUMBLE)
    header_type, time_type = types.types["std_msgs/msg/Header"], types.types["builtin_interfaces/msg/Time"]
    image_type = types.types["sensor_msgs/msg/Image"]
    good = np.full(64 * 64 * 3, 90, np.uint8)
    changes = [("bgr8", 64, good), ("what8", 64, good), ("bgr8", 64, good[:100]), ("bgr8", 0, good), ("bgr8", 64, good)]
    with Writer(tmp_path / "in", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/image", "sensor_msgs/msg/Image", typestore=types)
        for second, (encoding, height, data) in enumerate(changes):
            message = image_type(header_type(time_type(second, 0), "eye"), height, 64, encoding, 0, 192, data)
            writer.write(connection, second, types.serialize_cdr(message, "sensor_msgs/msg/Image"))
    assert run_bag(tmp_path / "in", tmp_path / "out", artifact_folder, topic="/image") == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames_in"], summary["frames_out"], sum(summary["dropped"].values())) == (5, 2, 3)
    assert any("what8" in reason for reason in summary["dropped"])
    assert [message.header.stamp.sec for _, message in read_bag(tmp_path / "out")["/depth/image"]] == [0, 4]


def test_a_bag_beside_which_an_old_partial_lies_is_written_all_the_same(mcap_bag, tmp_path, artifact_folder):
    (tmp_path / ".out.left").mkdir()
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder) == 0
    shutil.rmtree(tmp_path / ".out.left")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mcap", "out"]


@pytest.mark.shared
def test_the_nyu_bag_gives_ten_frames_for_ten(shared, tmp_path, artifact_folder, capsys):
    assert run_bag(shared / "data" / "bags" / "nyu_raw_mcap", tmp_path / "out", artifact_folder) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames_in"], summary["frames_out"], summary["camera_infos_out"]) == (10, 10, 10)


@pytest.mark.shared
def test_the_seven_scenes_bag_gives_depth_from_its_compressed_images(shared, tmp_path, artifact_folder, capsys):
    topic = "/camera/rgb/image_color/compressed"
    assert run_bag(shared / "data" / "bags" / "sevenscenes_mcap", tmp_path / "out", artifact_folder, topic=topic) == 0
    summary = json.loads(capsys.readouterr().out)
    assert (summary["frames_in"], summary["frames_out"]) == (30, 30)


def test_a_compressed_topic_finds_the_camera_info_of_its_raw_sibling(tmp_path, artifact_folder):
    types = get_typestore(Stores.ROS2_HUMBLE)
    kind = "sensor_msgs/msg/CompressedImage"
    with Writer(tmp_path / "in", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image = writer.add_connection(f"{IMAGE_TOPIC}/compressed", kind, typestore=types)
        info = writer.add_connection("/camera/camera_info", "sensor_msgs/msg/CameraInfo", typestore=types)
        for topic, message_type, stamp, message in messages(types):
            if topic == IMAGE_TOPIC:
                png = cv2.imencode(".png", message.data.reshape(120, 160, 3))[1].reshape(-1)
                compressed = types.types[kind](message.header, "png", png)
                writer.write(image, stamp, types.serialize_cdr(compressed, kind))
            else:
                writer.write(info, stamp, types.serialize_cdr(message, message_type))
    assert run_bag(tmp_path / "in", tmp_path / "out", artifact_folder, topic=f"{IMAGE_TOPIC}/compressed") == 0
    found = read_bag(tmp_path / "out")
    assert [stamp_ns(message) for _, message in found["/depth/camera_info"]] == STAMPS_NS
    assert len(found["/depth/image"]) == 4


def test_an_error_of_the_estimator_is_not_taken_for_a_damaged_bag(mcap_bag, tmp_path):
    def broken(frame, k, unknown):
        raise KeyError("a bug of ours")

    class Broken:
        def estimator(self):
            return broken

        def facts(self):
            return {}

    request = Request(Broken(), IMAGE_TOPIC)
    with pytest.raises(KeyError, match="a bug of ours"):
        write_depth_bags({tmp_path / "out": [mcap_bag]}, request, lambda tasks: local_pool(WINDOWS, 1))
    assert not (tmp_path / "out").exists()


def test_depth_may_be_millimeters_with_zero_beyond_the_maximum(mcap_bag, tmp_path, artifact_folder):
    run_bag(mcap_bag, tmp_path / "meters", artifact_folder)
    meters = read_bag(tmp_path / "meters")["/depth/image"][0][1].data.view(np.float32)
    limit = round(float(np.nanmedian(meters)), 3)
    run_bag(mcap_bag, tmp_path / "out", artifact_folder, "--depth-encoding", "16UC1", "--max-depth", limit)
    found = read_bag(tmp_path / "out")
    assert "/depth/image" not in found and len(found["/depth/camera_info"]) == 4
    message = found["/depth/image_raw"][0][1]
    assert (message.encoding, message.step) == ("16UC1", 448)
    within = meters <= np.float32(limit)
    np.testing.assert_allclose(message.data.view(np.uint16)[within], meters[within] * 1000, atol=0.51)
    assert not message.data.view(np.uint16)[~within].any()


def test_a_bag_without_camera_info_gives_unscaled_depth_and_says_so(mcap_bag, tmp_path, artifact_folder, capsys):
    options = ["--camera-info-topic", "/none"]
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, *options) == 0
    assert json.loads(capsys.readouterr().out)["unscaled"] == {"there is no camera_info": 4}
    in_words = [one for one in arguments(mcap_bag, tmp_path / "told", artifact_folder, *options) if one != "--json"]
    assert main(in_words) == 0
    assert "4 not scaled to the camera's focal length: there is no camera_info" in capsys.readouterr().out
    assert run_bag(mcap_bag, tmp_path / "off", artifact_folder, *options, "--focal-scale", "off") == 0
    assert json.loads(capsys.readouterr().out)["unscaled"] == {}


@pytest.mark.parametrize(
    ("option", "value"), [("--focal-scale", "half"), ("--max-depth", "-1")], ids=["focal scale", "max depth"]
)
def test_a_setting_that_is_none_is_told_before_any_work(mcap_bag, tmp_path, artifact_folder, capsys, option, value):
    assert run_bag(mcap_bag, tmp_path / "out", artifact_folder, option, value) == 1
    assert value in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
