"""fastdepth calibrate-scale: the scale that was put in is found, its spread told, the parameter written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from recorded import BAGS, IMAGE_TOPIC, INFO_TOPIC, K, frames, messages
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.bags.calibration import Distance, Measured, fit
from fastdepth_ros.bags.messages import image_message
from fastdepth_ros.bags.reader import BagError
from fastdepth_ros.cli import main
from fastdepth_ros.depth.estimator import DepthEstimator, DepthResult
from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.depth.geometry import Crop, focal_ratio, focal_scale, trained_view
from fastdepth_ros.depth.options import EstimatorOptions

TYPES = get_typestore(Stores.ROS2_HUMBLE)
DEPTH_TOPIC = "/sensor/depth/image"
SCALE = 1.7


def network_depth(model: Path, bgr: np.ndarray) -> np.ndarray:
    """float32 120x160: what the network says, on the camera's grid; 0 where it says nothing."""
    artifact = find_artifact(model)
    estimator = DepthEstimator(artifact.load(), artifact.network, EstimatorOptions(output_size="camera"))
    return np.nan_to_num(estimator(Frame(bgr, "bgr")).depth)


@pytest.fixture(scope="module")
def bag(tmp_path_factory, artifact_folder) -> Path:
    """The recorded frames, and a sensor that measures `SCALE` times what the network says, a third of it nothing."""

    def truth_of(picture: np.ndarray) -> np.ndarray:
        truth = SCALE * network_depth(artifact_folder, picture)
        truth[::3] = np.inf
        return truth

    return with_truth(tmp_path_factory.mktemp("calibration") / "in", truth_of)


def with_truth(path: Path, truth_of: Callable[[np.ndarray], np.ndarray]) -> Path:
    """The recorded frames, and a depth sensor beside them: float32 meters of each BGR frame."""
    pictures = iter(frames())
    with Writer(path, version=8, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {
            topic: writer.add_connection(topic, kind, typestore=TYPES)
            for topic, kind in ((IMAGE_TOPIC, "sensor_msgs/msg/Image"), (INFO_TOPIC, "sensor_msgs/msg/CameraInfo"),
                                (DEPTH_TOPIC, "sensor_msgs/msg/Image"))
        }  # fmt: skip
        for topic, kind, stamp, one in messages(TYPES):
            writer.write(connections[topic], stamp, TYPES.serialize_cdr(one, kind))
            if topic == IMAGE_TOPIC:
                image = image_message(stamp, "eye", truth_of(next(pictures)), "32FC1")
                writer.write(connections[DEPTH_TOPIC], stamp, TYPES.serialize_cdr(image, kind))
    return path


def calibrate(bag: Path, model: Path, *more: object) -> int:
    given = ["calibrate-scale", "--bag", bag, "--model", model, "--image-topic", IMAGE_TOPIC, "--rate", 100, *more]
    return main([str(one) for one in given])


def test_the_scale_of_a_sensor_is_found_with_its_spread_and_written(bag, artifact_folder, tmp_path, capsys):
    file = tmp_path / "robot.yaml"
    assert calibrate(bag, artifact_folder, "--depth-topic", DEPTH_TOPIC, "--json", "--out", file) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["scale"] == pytest.approx(SCALE, rel=1e-3)
    assert found["iqr"] == pytest.approx([SCALE, SCALE], rel=0.01)
    assert found["by_frame"]["p05"] == pytest.approx(found["by_frame"]["p95"], rel=0.01)
    assert found["frames"] == 4 and 0.5 * 4 * 224**2 < found["pixels"] < 0.75 * 4 * 224**2
    ratio = focal_ratio(K, trained_view(120, 160).onto_grid(224, 224), find_artifact(artifact_folder).trained_focal)
    assert found["auto"] == pytest.approx(focal_scale(ratio))
    assert float(yaml.safe_load(file.read_text())["/**"]["ros__parameters"]["focal_scale"]) == pytest.approx(
        SCALE, rel=1e-3
    )
    assert [path.name for path in tmp_path.iterdir()] == ["robot.yaml"]


def test_the_bag_with_the_fitted_scale_has_the_sensors_depth(bag, artifact_folder, tmp_path, capsys):
    options = ["--image-topic", IMAGE_TOPIC, "--out", tmp_path / "out", "--model", artifact_folder, "--json"]
    options += ["--truth-topic", DEPTH_TOPIC, "--focal-scale", SCALE]
    assert main([str(one) for one in ["bag", bag, *options]]) == 0
    metrics = json.loads(capsys.readouterr().out)["metrics"]
    assert metrics["rel"] < 0.01 and metrics["scale"]["median"] == pytest.approx(1, abs=2e-3)


def test_a_known_distance_of_the_middle_or_of_a_region_gives_the_scale(artifact_folder, tmp_path, capsys):
    bag = BAGS["mcap"](tmp_path)
    assert calibrate(bag, artifact_folder, "--distance", 2.5, "--region", 60, 40, 20, 12) == 0
    told = capsys.readouterr().out
    region = [network_depth(artifact_folder, bgr)[40:52, 60:80] for bgr in frames()]
    expected = np.median([np.median(2.5 / depth[depth > 0]) for depth in region])
    assert float(told.split()[3].rstrip(",")) == pytest.approx(expected, rel=0.05)
    assert "half of the pixels lie in" in told and "camera_info alone" in told
    picture = tmp_path / "scale.png"
    assert calibrate(bag, artifact_folder, "--distance", 2.5, "--json", "--picture", picture) == 0
    assert len(np.unique(cv2.imread(str(picture)).reshape(-1, 3), axis=0)) > 20
    assert json.loads(capsys.readouterr().out)["pixels"] == 4 * 22 * 22


RESULT = DepthResult(np.ones((56, 56), np.float32), Crop(10, 20, 28, 28).onto_grid(56, 56), {})


def test_a_region_of_the_frame_is_taken_to_the_depths_grid():
    truth = Distance(3.0, (22, 12, 4, 6)).truth(RESULT, (60, 80))
    rows, columns = np.nonzero(truth)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 15, 4, 11)
    assert (truth[truth > 0] == 3).all()


@pytest.mark.parametrize("region", [(0, 0, 5, 5), (70, 50, 20, 20), (-1, 12, 4, 6)])
def test_a_region_that_the_network_does_not_see_is_told(region):
    with pytest.raises(FrameError, match="lies outside of the"):
        Distance(3.0, region).truth(RESULT, (60, 80))


def test_a_few_wrong_pixels_and_one_large_frame_do_not_draw_the_scale():
    generator = np.random.default_rng(0)
    good = [Measured(np.full(500, 2.0), 2 * generator.normal(1.2, 0.05, 500), 1.0) for _ in range(9)]
    good[0].truth[:100] = 80
    fitted = fit([*good, Measured(np.ones(50_000), np.full(50_000, 3.0), None)])
    assert fitted["scale"] == pytest.approx(1.2, abs=0.02)
    assert fitted["iqr"][0] == pytest.approx(1.17, abs=0.02) and 1.22 < fitted["iqr"][1] < 1.27
    assert fitted["auto"] == 1.0 and fitted["frames"] == 10
    with pytest.raises(BagError, match="no frame could be compared"):
        fit([])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--depth-topic", "/no/such"], "no topic /no/such"),
        (["--depth-topic", IMAGE_TOPIC], "4 frames: a depth image is 32FC1"),
        (["--distance", "-1"], "-1.0 m makes no sense"),
        (["--distance", "99999"], "focal_scale can be 0.01 to 100"),  # millimeters
        (["--distance", "1", "--picture", "scale.jpg"], "written as .png"),
        (["--distance", "2", "--region", "0", "0", "0", "5"], "0x5 pixels is empty"),
        (["--distance", "2", "--region", "0", "0", "999", "5"], "4 frames: region"),
        (["--depth-topic", DEPTH_TOPIC, "--region", "0", "0", "9", "9"], "--region says where --distance is"),
    ],
)
def test_what_cannot_be_calibrated_is_told_and_nothing_written(bag, artifact_folder, tmp_path, capsys, options, told):
    assert calibrate(bag, artifact_folder, *options, "--out", tmp_path / "robot.yaml") == 1
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_the_notes_on_the_bag_are_told(bag, artifact_folder, capsys):
    options = ["--depth-topic", DEPTH_TOPIC, "--camera-info-topic", "/elsewhere"]
    note = f"no camera_info on /elsewhere; the bag has {INFO_TOPIC}"
    assert calibrate(bag, artifact_folder, *options) == 0
    assert note in capsys.readouterr().out
    assert calibrate(bag, artifact_folder, *options, "--json") == 0
    assert note in json.loads(capsys.readouterr().out)["notes"][0]


@pytest.mark.shared
def test_the_kinects_own_depth_says_that_its_camera_needs_hardly_a_scale(shared, capsys):
    bag = shared / "data" / "bags" / "nyu_raw_mcap"
    model = Path(__file__).resolve().parents[2] / "models" / "fastdepth-pruned"
    options = ["--bag", bag, "--model", model, "--depth-topic", "/camera/depth/image_raw", "--rate", "100", "--json"]
    assert main([str(one) for one in ["calibrate-scale", *options]]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["auto"] == pytest.approx(1, abs=1e-3) and found["frames"] == 10
    assert 0.85 < found["scale"] < 1.1


def relative_bag(path: Path, shifts: list[float]) -> Path:
    """Frames whose truth is 1 / (0.4 d + shift), d being what the relative network of test/foreign.py says of them."""
    from foreign import known_function

    shift_of = iter(shifts)

    def truth_of(picture: np.ndarray) -> np.ndarray:
        truth = 1 / (0.4 * known_function(picture[..., ::-1]) + next(shift_of))
        truth[:30] = 0.5  # a fifth of the sensor's pixels is wrong
        return truth.astype(np.float32)

    return with_truth(path, truth_of)


@pytest.mark.needs("onnx")
@pytest.mark.parametrize(("shifts", "metric"), [([0.1, 0.11, 0.1, 0.09], True), ([0.1, 2.0, 0.1, 3.0], False)])
def test_scale_and_shift_of_a_relative_network_are_fitted_and_kept(tmp_path, capsys, shifts, metric):
    from foreign import NETWORKS, write

    given = [write("midas-small", tmp_path), "--out", tmp_path / "midas", "--license", "MIT", "--yes"]
    assert main([str(one) for one in ["models", "import", *given, *NETWORKS["midas-small"].options]]) == 0
    bag = relative_bag(tmp_path / "in", shifts)
    assert calibrate(bag, tmp_path / "midas", "--distance", 2) == 1
    assert "need many distances" in capsys.readouterr().err
    for _ in range(2):  # again, with the pair of the first time in the manifest
        assert calibrate(bag, tmp_path / "midas", "--depth-topic", DEPTH_TOPIC, "--json") == 0
        found = json.loads(capsys.readouterr().out)
        artifact = find_artifact(tmp_path / "midas")
        depth = artifact.manifest["outputs"]["depth"]
        assert depth["scale"] == found["scale"] and depth["spread"] == found["spread"]
        assert depth["metric"] is metric is artifact.is_metric
        if metric:
            assert found["scale"] == pytest.approx(0.4, rel=0.05) and found["shift"] == pytest.approx(0.1, abs=0.02)
    if metric:
        result = artifact.estimator(artifact.load(), EstimatorOptions(max_depth_m=100.0))(Frame(frames()[0], "bgr"))
        assert 0.5 < np.median(result.depth) < 2.5


def test_inverse_depth_beyond_infinity_is_infinite():
    from fastdepth_ros.depth.network import Network

    network = Network(kind="inverse depth", scale=0.5, shift=-0.25, metric=True)
    said = np.array([[1.0, 2.0, 4.0, np.inf, -1.0, np.nan]], np.float32)  # of d 1, 0.5, 0.25, 0, -1 and none
    np.testing.assert_allclose(network.meters(said, 1.0), [[4, np.inf, np.inf, np.inf, np.inf, np.nan]])
    shifted = Network(kind="inverse depth", scale=0.5, shift=0.25)
    np.testing.assert_allclose(shifted.meters(np.array([[np.inf, -1.0]], np.float32), 1.0), [[4, np.inf]])
