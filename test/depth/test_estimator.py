"""The hot path end to end, on ONNX Runtime with a network whose answer is known: depth = max(0, (red - 10) / 20)."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from networks import fastdepth

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import Backend, BackendOptions, ModelFile, Outputs, backend_class
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.depth.geometry import TRAINED_FOCAL, Crop, Focal, trained_view
from fastdepth_ros.depth.options import EstimatorOptions

RED = Path(__file__).resolve().parents[1] / "models" / "red_to_depth.onnx"  # test/small_models.py made it
SIZE_PX = 224
OPSET = 17
HEIGHT, WIDTH = 60, 80


def red_to_depth(rgb: np.ndarray) -> np.ndarray:
    return np.maximum(0, (rgb[..., 0].astype(np.float32) - 10) / 20)


@pytest.fixture(scope="module")
def backend() -> Backend:
    """ONNX Runtime running `red_to_depth`."""
    return backend_class("onnxruntime")(ModelFile(RED, (SIZE_PX, SIZE_PX), OPSET), BackendOptions(threads=1))


def ramp(axis: int, height: int = HEIGHT, width: int = WIDTH) -> Frame:
    """Red is three times the pixel's row or column, plus 12: its depth tells where it lies."""
    red = 3 * np.indices((height, width))[axis] + 12
    return Frame(np.repeat(red[..., None], 3, axis=-1).astype(np.uint8))


def position_px(depth: np.ndarray) -> np.ndarray:
    """The row or column of `ramp` that has a depth; OpenCV rounds red by up to 0.75, which is 0.25 pixels."""
    return (depth.astype(np.float64) * 20 + 10 - 12) / 3


@pytest.mark.parametrize("field", ["trained", "full"])
def test_the_network_grid_lies_where_from_frame_says(backend, field):
    for axis in (0, 1):
        result = DepthEstimator(backend, fastdepth(), EstimatorOptions(field_of_view=field))(ramp(axis))
        assert result.depth.shape == (SIZE_PX, SIZE_PX)
        assert result.depth.dtype == np.float32
        rows, columns = np.indices(result.depth.shape)
        pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(rows.size)])
        frame_pixels = (np.linalg.inv(result.from_frame) @ pixels)[1 - axis].reshape(rows.shape)
        off_px = (position_px(result.depth) - frame_pixels)[4:-4, 4:-4]  # the border is repeated outside the view
        assert np.abs(off_px).max() < 0.3
        assert abs(off_px.mean()) < 0.06


@pytest.mark.parametrize("shape", [(60, 80), (80, 60), (40, 80), (80, 40), (32, 32)])
def test_the_camera_grid_has_depth_on_its_pixel_and_nan_outside_the_view(backend, shape):
    crop = trained_view(*shape)
    for axis in (0, 1):
        result = DepthEstimator(backend, fastdepth(), EstimatorOptions(output_size="camera"))(ramp(axis, *shape))
        assert result.depth.shape == shape
        assert result.depth.dtype == np.float32
        np.testing.assert_array_equal(result.from_frame, np.eye(3))
        inside = np.zeros(shape, bool)
        inside[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width] = True
        np.testing.assert_array_equal(np.isfinite(result.depth), inside)
        assert np.isnan(result.depth[~inside]).all()
        view = position_px(result.depth)[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        expected = np.indices(shape)[axis][crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
        off_px = (view - expected)[2:-2, 2:-2]
        assert np.abs(off_px).max() < 0.3
        assert abs(off_px.mean()) < 0.06


def test_the_full_field_fills_the_camera_grid(backend):
    result = DepthEstimator(backend, fastdepth(), EstimatorOptions(field_of_view="full", output_size="camera"))(ramp(0))
    assert np.isfinite(result.depth).all()


@pytest.mark.parametrize("output", ["network", "camera"])
def test_a_depth_of_zero_becomes_nan(backend, output):
    pixels = np.full((HEIGHT, WIDTH, 3), 210, np.uint8)
    pixels[:, : WIDTH // 2] = 5
    depth = DepthEstimator(backend, fastdepth(), EstimatorOptions(field_of_view="full", output_size=output))(
        Frame(pixels)
    ).depth
    middle = depth.shape[1] // 2
    assert np.isnan(depth[:, : middle - 5]).all()
    np.testing.assert_allclose(depth[:, middle + 5 :], 10)
    assert not (depth == 0).any()
    assert (np.isnan(depth) | (depth > 0)).all()


@pytest.mark.parametrize("output", ["network", "camera"])
def test_every_stage_is_timed(backend, output):
    estimator, frame = DepthEstimator(backend, fastdepth(), EstimatorOptions(output_size=output)), ramp(0)
    started = time.perf_counter()
    stages_ms = estimator(frame).stages_ms
    wall_ms = (time.perf_counter() - started) * 1e3
    assert set(stages_ms) == {"preprocess", "infer", "postprocess"}
    assert all(duration > 0 for duration in stages_ms.values())
    assert sum(stages_ms.values()) <= wall_ms


def test_every_channel_order_gives_the_same_depth(backend):
    estimator = DepthEstimator(backend, fastdepth())
    rgb = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    alpha = np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    expected = estimator(Frame(rgb)).depth
    np.testing.assert_array_equal(estimator(Frame(rgb[..., ::-1], "bgr")).depth, expected)
    np.testing.assert_array_equal(estimator(Frame(np.concatenate([rgb, alpha], -1), "rgba")).depth, expected)
    np.testing.assert_array_equal(estimator(Frame(np.concatenate([rgb[..., ::-1], alpha], -1), "bgra")).depth, expected)
    gray = estimator(Frame(rgb[..., 0].copy(), "mono")).depth
    np.testing.assert_array_equal(gray, expected)


@pytest.mark.parametrize("output", ["network", "camera"])
def test_a_result_is_not_overwritten_by_the_next_frame(backend, output):
    estimator = DepthEstimator(backend, fastdepth(), EstimatorOptions(output_size=output))
    first = estimator(ramp(0)).depth
    kept = first.copy()
    estimator(ramp(1))
    np.testing.assert_array_equal(first, kept)


def test_the_frame_size_may_change_from_one_frame_to_the_next(backend):
    estimator = DepthEstimator(backend, fastdepth(), EstimatorOptions(output_size="camera"))
    for shape in [(60, 80), (50, 40), (60, 80)]:
        assert estimator(ramp(1, *shape)).depth.shape == shape


def test_from_frame_is_the_trained_views_map(backend):
    result = DepthEstimator(backend, fastdepth())(Frame(np.full((480, 640, 3), 99, np.uint8)))
    np.testing.assert_allclose(result.from_frame, Crop(21, 28, 438, 584).onto_grid(SIZE_PX, SIZE_PX))


def test_a_frame_that_is_too_small_is_refused(backend):
    with pytest.raises(FrameError, match="20x40"):
        DepthEstimator(backend, fastdepth())(Frame(np.zeros((40, 20, 3), np.uint8)))


def test_unknown_settings_list_the_known_ones():
    with pytest.raises(ValueError, match=r"'grid'.*network, camera"):
        EstimatorOptions(output_size="grid")
    with pytest.raises(ValueError, match=r"'wide'.*trained, full"):
        EstimatorOptions(field_of_view="wide")


@pytest.mark.parametrize("name", ["onnxruntime", pytest.param("pytorch", marks=pytest.mark.needs("torch"))])
def test_an_artifact_gives_the_depth_that_its_backend_infers(artifact_folder, name):
    artifact = find_artifact(artifact_folder)
    backend = artifact.load(name, BackendOptions(threads=1))
    pixels = np.random.default_rng(3).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
    result = DepthEstimator(backend, artifact.network, EstimatorOptions(field_of_view="full"))(Frame(pixels))
    inferred = backend.infer(pixels).depth
    np.testing.assert_array_equal(result.depth, np.where(inferred > 0, inferred, np.nan))
    np.testing.assert_allclose(result.from_frame, np.eye(3), atol=1e-12)


@pytest.mark.parametrize("output", ["network", "camera"])
def test_depth_beyond_the_maximum_is_infinite_and_never_clipped(backend, output):
    frame = ramp(1)
    options = EstimatorOptions(field_of_view="full", output_size=output)
    whole = DepthEstimator(backend, fastdepth(), options)(frame).depth
    limit = float(np.nanmedian(whole))
    result = DepthEstimator(
        backend, fastdepth(), EstimatorOptions(field_of_view="full", output_size=output, max_depth_m=limit)
    )(frame)
    beyond = whole > limit
    assert 0.3 < beyond.mean() < 0.7
    assert np.isposinf(result.depth[beyond]).all() and result.max_depth_m == limit
    np.testing.assert_array_equal(result.depth[~beyond], whole[~beyond])


@pytest.mark.parametrize("output", ["network", "camera"])
def test_an_infinity_of_the_engine_is_no_depth(backend, output):
    class Overflowing:
        engine, channels = "overflowing", "rgb"

        def infer(self, rgb: np.ndarray) -> Outputs:
            return Outputs(np.full(rgb.shape[:2], np.inf, np.float32))

    depth = DepthEstimator(Overflowing(), fastdepth(), EstimatorOptions(output_size=output))(ramp(0)).depth
    assert np.isnan(depth).all()


# the focal lengths at the network input are 1.2 times and half of the training camera's: only the height is too wide
WIDE_K = np.array([1.2 * 198.9 * 80 / 224, 0, 40, 0, 0.5 * 265.8 * 60 / 224, 30, 0, 0, 1])


@pytest.mark.parametrize("output", ["network", "camera"])
@pytest.mark.parametrize(
    ("k", "share"), [(WIDE_K, (0.5, 1.0)), (None, (54.72 / 60, 72.96 / 80))], ids=["known camera", "unknown camera"]
)
def test_depth_outside_of_the_training_view_can_be_invalid(backend, output, k, share):
    options, focal = {"field_of_view": "full", "output_size": output}, Focal(198.9, 265.8)
    frame = ramp(0)
    kept = DepthEstimator(backend, fastdepth(focal), EstimatorOptions(**options))(frame, k).depth
    assert np.isfinite(kept).all()
    options = EstimatorOptions(outside_training_view="invalid", **options)
    depth = DepthEstimator(backend, fastdepth(focal), options)(frame, k).depth
    valid = np.isfinite(depth)
    np.testing.assert_array_equal(depth[valid], kept[valid])
    for axis in (0, 1):
        inside = np.flatnonzero(valid.any(axis=1 - axis))
        assert inside.size / valid.shape[axis] == pytest.approx(share[axis], abs=0.05)
        assert abs(inside[0] - (valid.shape[axis] - 1 - inside[-1])) <= 1  # around the middle


def test_the_trained_view_of_an_unknown_camera_is_all_valid(backend):
    depth = DepthEstimator(backend, fastdepth(TRAINED_FOCAL), EstimatorOptions(outside_training_view="invalid"))(
        ramp(0)
    ).depth
    assert np.isfinite(depth).all()


def test_the_filter_over_time_works_on_what_is_scaled_and_before_the_limit(backend):
    frames = [Frame(np.full((HEIGHT, WIDTH, 3), red, np.uint8)) for red in (210, 212)]  # 10 m and 10.1 m
    estimator = DepthEstimator(
        backend, fastdepth(), EstimatorOptions(focal_scale=2, temporal_filter=0.5, max_depth_m=20.15)
    )
    first, second = (estimator(frame, stamp_ns=number).depth for number, frame in enumerate(frames))
    np.testing.assert_allclose(first, 20)
    assert (second > 20).all() and np.isfinite(second).all()  # unfiltered it were 20.2, which is beyond


@pytest.mark.parametrize(
    "options",
    [
        {"focal_scale": "half"},
        {"max_depth_m": -1.0},
        {"max_depth_m": float("nan")},
        {"outside_training_view": "blur"},
        {"temporal_filter": 1.0},
        {"temporal_filter": -0.1},
    ],
    ids=str,
)
def test_a_setting_that_is_none_is_refused(options):
    with pytest.raises(ValueError, match=str(next(iter(options.values())))):
        EstimatorOptions(**options)
