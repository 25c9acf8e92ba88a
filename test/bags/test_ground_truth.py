"""Depth against a depth sensor: decoded, registered, measured as `fastdepth evaluate` does."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from recorded import BAGS, IMAGE_TOPIC, INFO_TOPIC
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from running import read_bag, run_bag

from fastdepth_ros.bags.camera import camera_info_of_images
from fastdepth_ros.bags.ground_truth import registered, truth_errors, truth_pixels
from fastdepth_ros.depth.frame import FrameError
from fastdepth_ros.metrics.depth import NAMES

TYPES = get_typestore(Stores.ROS2_HUMBLE)
TRUTH_TOPIC = "/sensor/depth/image_raw"


def test_both_camera_matrices_register_the_truth():
    """A sensor of another size and field of view looks at a pattern over the directions; so does the depth grid."""
    frame_k = np.array([300.0, 0, 160, 0, 310, 118, 0, 0, 1])
    truth_k = np.array([420.0, 0, 310, 0, 425, 250, 0, 0, 1])
    from_frame = np.array([[0.5, 0, -20.0], [0, 0.6, -10.0], [0, 0, 1]])  # crop and scale

    def seen_through(matrix, shape):
        y, x = np.mgrid[: shape[0], : shape[1]]
        return 3 + np.sin(4 * (x - matrix[0, 2]) / matrix[0, 0]) + 0.5 * (y - matrix[1, 2]) / matrix[1, 1]

    truth = seen_through(truth_k.reshape(3, 3), (480, 640)).astype(np.float32)
    to_truth = truth_pixels(from_frame, (240, 320), frame_k, truth.shape, truth_k)
    found = registered(truth, to_truth, (120, 130))
    expected = seen_through(from_frame @ frame_k.reshape(3, 3), (120, 130))
    assert (found > 0).mean() > 0.9
    np.testing.assert_allclose(found[found > 0], expected[found > 0], atol=0.01)  # half a pixel
    wide = registered(truth, truth_pixels(np.eye(3), (2400, 3200), frame_k, truth.shape, truth_k), (2400, 3200))
    assert not wide[2000:, 3000:].any()


def test_without_matrices_only_images_of_one_size_register():
    np.testing.assert_array_equal(truth_pixels(np.eye(3), (4, 6), None, (4, 6), None), np.eye(3))
    with pytest.raises(FrameError, match="needs the camera_info of both"):
        truth_pixels(np.eye(3), (4, 6), np.ones(9), (8, 12), None)


def test_the_scale_is_what_brings_the_medians_together():
    truth = np.random.default_rng(0).uniform(1, 5, (20, 30)).astype(np.float32)
    row = truth_errors(truth / 2, np.where(truth > 4.5, 0, truth))
    assert row["scale"] == pytest.approx(2)
    assert row["errors"]["rel"] == pytest.approx(0.5)
    assert row["errors_scale_aligned"]["rmse"] == pytest.approx(0, abs=1e-6)
    assert row["pixels"] == np.count_nonzero(truth <= 4.5)
    with pytest.raises(FrameError, match="known nowhere"):
        truth_errors(truth, truth * 0)


def test_depth_beyond_the_maximum_counts_as_it_unless_the_truth_is_too():
    truth = np.array([[2.0, 3.0, 9.0, 9.0]], np.float32)
    depth = np.array([[2.0, np.inf, np.inf, 3.0]], np.float32)
    row = truth_errors(depth, truth, 4.0)
    assert row["pixels"] == 3
    assert row["errors"]["mae"] == pytest.approx((0 + 1 + 6) / 3)
    with pytest.raises(FrameError, match="known nowhere"):
        truth_errors(depth[:, 2:3], truth[:, 2:3], 4.0)


def bag_with_truth(path: Path, late_ns: int = 5_000_000) -> Path:
    """The recorded frames, and a flat wall 2 m away for all but the last."""
    from recorded import messages

    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}
        given = messages(TYPES)
        for topic, kind, stamp, one in given:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=TYPES)
            writer.write(connections[topic], stamp, TYPES.serialize_cdr(one, kind))
            if topic != IMAGE_TOPIC or stamp == given[-1][2]:
                continue
            if TRUTH_TOPIC not in connections:
                connections[TRUTH_TOPIC] = writer.add_connection(TRUTH_TOPIC, kind, typestore=TYPES)
            header = TYPES.types["std_msgs/msg/Header"](
                TYPES.types["builtin_interfaces/msg/Time"](*divmod(stamp + late_ns, 10**9)), "eye"
            )
            wall = np.full((120, 160), 2000, "<u2").reshape(-1).view(np.uint8)
            truth = TYPES.types[kind](header, 120, 160, "16UC1", 0, 320, wall)
            writer.write(connections[TRUTH_TOPIC], stamp + late_ns, TYPES.serialize_cdr(truth, kind))
    return path


@pytest.mark.parametrize("size", ["network", "camera"])
def test_a_bag_with_truth_gets_metrics_by_time_and_a_picture(tmp_path, artifact_folder, capsys, size):
    bag = bag_with_truth(tmp_path / "in")
    assert run_bag(bag, tmp_path / "out", artifact_folder, "--truth-topic", TRUTH_TOPIC, "--output-size", size) == 0
    shown = json.loads(capsys.readouterr().out)["metrics"]
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert shown["images"] == 3 and written["unmeasured"] == {"no truth within 20 ms of the frame": 1}
    depths = [one for _, one in read_bag(tmp_path / "out")["/depth/image"]]
    for row, one in zip(written["by_time"], depths):
        depth = one.data.view(np.float32)
        depth = depth[np.isfinite(depth)]
        assert row["truth_stamp_ns"] - row["stamp_ns"] == 5_000_000
        assert row["errors"]["mae"] == pytest.approx(np.abs(depth.astype(float) - 2).mean(), rel=2e-3)
        assert row["scale"] == pytest.approx(2 / np.median(depth), rel=1e-3)
    for name in NAMES:
        assert shown[name] == pytest.approx(np.mean([row["errors"][name] for row in written["by_time"]]))
    picture = cv2.imread(str(tmp_path / "out" / "metrics.png"))
    assert picture.shape == (900, 900, 3) and len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_truth_that_is_too_far_in_time_or_no_image_is_told(tmp_path, artifact_folder, capsys):
    bag = bag_with_truth(tmp_path / "in")
    options: tuple[object, ...] = ("--truth-topic", TRUTH_TOPIC, "--truth-tolerance", 0.001)
    assert run_bag(bag, tmp_path / "out", artifact_folder, *options) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics == {"images": 0, "unmeasured": {"no truth within 1 ms of the frame": 4}}
    assert run_bag(bag, tmp_path / "out2", artifact_folder, "--truth-topic", INFO_TOPIC) == 1
    assert "CameraInfo, not an image" in capsys.readouterr().err
    assert run_bag(BAGS["mcap"](tmp_path), tmp_path / "out3", artifact_folder, "--truth-topic", TRUTH_TOPIC) == 1
    assert f"no topic {TRUTH_TOPIC}" in capsys.readouterr().err


@pytest.mark.shared
def test_metrics_of_the_nyu_bag_are_those_of_evaluate_on_the_same_images(shared, tmp_path, capsys):
    from fastdepth_ros.cli import main
    from fastdepth_ros.data.nyu import open_nyu_labeled

    model = Path(__file__).resolve().parents[2] / "models" / "fastdepth-pruned"
    bag = shared / "data" / "bags" / "nyu_raw_mcap"
    truth = ("--truth-topic", "/camera/depth/image_raw")
    assert run_bag(bag, tmp_path / "out", model, *truth, "--backend", "onnxruntime") == 0  # which evaluate takes
    of_bag = json.loads(capsys.readouterr().out)["metrics"]
    ten = nyu_images_of_the_bag(shared / "data" / "nyu_labeled", tmp_path / "ten")
    assert len(open_nyu_labeled(ten, "test")) == 10
    options = ["--dataset", "nyu-labeled", "--root", str(ten), "--preprocess", "node", "--model", str(model), "--json"]
    assert main(["evaluate", *options]) == 0
    of_evaluate = json.loads(capsys.readouterr().out)
    assert of_bag["images"] == of_evaluate["images"] == 10
    for name in NAMES:
        assert of_bag[name] == pytest.approx(of_evaluate[name], abs=1e-3)
        assert of_bag["pooled"][name] == pytest.approx(of_evaluate["pooled"][name], abs=1e-3)


def nyu_images_of_the_bag(root: Path, folder: Path) -> Path:
    """A data set of the ten images from which the bag was made."""
    lines = (root / "split.csv").read_text().splitlines()
    ten = {1, 182, 359, 550, 693, 838, 1048, 1174, 1297, 1449}
    chosen = [line for line in lines[1:] if int("".join(c for c in line.split(",")[0] if c.isdigit())) in ten]
    folder.mkdir()
    (folder / "split.csv").write_text("\n".join([lines[0], *chosen]) + "\n")
    for name in ("rgb", "depth"):
        (folder / name).symlink_to(root / name)
    return folder


@pytest.mark.parametrize(
    ("topic", "msgtype"),
    [
        ("/eye/depth/image", "sensor_msgs/msg/Image"),
        ("/eye/depth/image/compressed", "sensor_msgs/msg/CompressedImage"),
        ("/eye/depth/image/compressedDepth", "sensor_msgs/msg/CompressedImage"),
    ],
)
def test_camera_info_lies_beside_the_image_whatever_its_transport(topic, msgtype):
    assert camera_info_of_images(topic, [SimpleNamespace(msgtype=msgtype)]) == "/eye/depth/camera_info"
