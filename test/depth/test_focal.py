"""The focal scale: one view has one depth, whatever camera took it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from networks import fastdepth

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import Backend, BackendOptions, Outputs
from fastdepth_ros.data.nyu import open_nyu_labeled
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.geometry import Focal, field_of_view, fixed_focal_scale, focal_ratio, focal_scale
from fastdepth_ros.depth.options import EstimatorOptions

KINECT = np.array([518.858, 0, 324.58, 0, 519.470, 252.74, 0, 0, 1])
TRAINED = Focal(198.9, 265.8)


class Flat:
    """A backend for which everything is 2 m away."""

    engine, channels = "flat", "rgb"

    def infer(self, rgb: np.ndarray) -> Outputs:
        return Outputs(np.full(rgb.shape[:2], 2, np.float32))


def scale_of(k: np.ndarray, height: int, width: int, field: str = "trained") -> float:
    onto_input = field_of_view(field, height, width).onto_grid(224, 224)
    return focal_scale(focal_ratio(k, onto_input, TRAINED))


def at_resolution(k: np.ndarray, factor: float) -> np.ndarray:
    """K of the same camera with so many times the pixels along each side."""
    k = k * factor
    k[[2, 5]], k[8] = k[[2, 5]] + (factor - 1) / 2, 1
    return k


@pytest.fixture(scope="module")
def bundled() -> tuple[Backend, Focal | None]:
    artifact = find_artifact()
    return artifact.load("onnxruntime", BackendOptions(threads=1)), artifact.trained_focal


def test_the_training_camera_has_scale_one():
    assert scale_of(KINECT, 480, 640) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("field", ["trained", "full"])
@pytest.mark.parametrize("factor", [0.5, 2, 3])
def test_another_resolution_of_a_view_has_the_same_scale(factor, field):
    height, width = round(480 * factor), round(640 * factor)
    assert scale_of(at_resolution(KINECT, factor), height, width, field) == pytest.approx(
        scale_of(KINECT, 480, 640, field), rel=3e-3
    )


def test_a_lens_of_twice_the_focal_length_doubles_the_depth():
    k = KINECT * np.array([2, 1, 1, 1, 2, 1, 1, 1, 1])
    assert scale_of(k, 480, 640) == pytest.approx(2, abs=2e-3)


def test_the_full_view_shows_things_smaller_and_scales_down_further():
    crop = field_of_view("trained", 480, 640)
    expected = np.sqrt(crop.width / 640 * crop.height / 480)
    assert scale_of(KINECT, 480, 640, "full") == pytest.approx(expected, abs=1e-3)


def test_the_geometric_mean_counts_where_a_view_is_squeezed():
    ratio = focal_ratio(KINECT, field_of_view("full", 480, 960).onto_grid(224, 224), TRAINED)
    assert ratio[0] < 0.7 * ratio[1]
    assert focal_scale(ratio) == pytest.approx((ratio[0] * ratio[1]) ** 0.5)


def test_the_same_view_at_another_resolution_has_the_same_depth(bundled):
    """The bundled network on a picture of 1280x960 and on the same at 640x480 and 320x240."""
    backend, trained = bundled
    small = np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    large = cv2.resize(small, (1280, 960), interpolation=cv2.INTER_CUBIC)
    estimator = DepthEstimator(backend, fastdepth(trained))
    depths = []
    for factor in (2, 1, 0.5):
        picture = cv2.resize(large, (round(640 * factor), round(480 * factor)), interpolation=cv2.INTER_AREA)
        result = estimator(Frame(picture), at_resolution(KINECT, factor))
        assert not result.unscaled
        depths.append(result.depth)
    assert depths[0].std() > 0.02
    for depth in depths[1:]:
        assert np.median(np.abs(depth / depths[0] - 1)) < 0.01


def test_a_view_through_a_longer_lens_has_the_same_depth_but_further(bundled):
    """A camera that sees the middle half of another's view, at the same number of pixels."""
    backend, trained = bundled
    picture = cv2.resize(np.random.default_rng(2).integers(0, 256, (6, 8, 3), dtype=np.uint8), (640, 480))
    estimator = DepthEstimator(backend, fastdepth(trained))
    wide, long = KINECT, KINECT * np.array([2, 1, 1, 1, 2, 1, 1, 1, 1])
    near, far = estimator(Frame(picture), wide), estimator(Frame(picture), long)
    assert far.focal_scale == pytest.approx(2 * near.focal_scale)
    np.testing.assert_allclose(far.depth, 2 * near.depth, rtol=1e-5)


@pytest.mark.shared
@pytest.mark.parametrize("zoom", [1.5, 2.0])
def test_through_a_longer_lens_the_scale_brings_depth_nearer_to_the_truth(shared, bundled, zoom):
    """The middle of images of NYU, which is what a longer lens sees."""
    dataset = open_nyu_labeled(shared / "data" / "nyu_labeled", "test")
    backend, trained = bundled
    height, width = round(480 / zoom), round(640 / zoom)
    top, left = (480 - height) // 2, (640 - width) // 2
    k = KINECT - np.array([0, 0, left, 0, 0, top, 0, 0, 0])
    off = {}
    for setting in ("off", "auto"):
        estimator = DepthEstimator(
            backend, fastdepth(trained), EstimatorOptions(output_size="camera", focal_scale=setting)
        )
        ratios = []
        for index in range(0, len(dataset), 25):
            pair = dataset[index]
            view = slice(top, top + height), slice(left, left + width)
            depth = estimator(Frame(np.ascontiguousarray(pair.rgb[view])), k).depth
            ratios.append(np.nanmedian(pair.depth[view] / depth))
        off[setting] = abs(np.log(np.median(ratios)))
    assert off["auto"] < 0.75 * off["off"]


@pytest.mark.parametrize(
    ("setting", "k", "trained", "expected", "why"),
    [
        ("auto", KINECT * np.array([2, 1, 1, 1, 2, 1, 1, 1, 1]), TRAINED, 4.0, ""),
        ("auto", None, TRAINED, 2.0, "camera is unknown"),
        ("auto", KINECT, None, 2.0, "does not follow the lens"),
        ("auto", KINECT * 1e300, TRAINED, 2.0, "1e+300 times the training camera's is not credible"),
        ("auto", KINECT / 1e4, TRAINED, 2.0, "0.0001 times"),
        ("off", KINECT * 2, TRAINED, 2.0, ""),
        ("1.5", None, None, 3.0, ""),
    ],
)
def test_what_the_setting_makes_of_two_meters(setting, k, trained, expected, why):
    estimator = DepthEstimator(Flat(), fastdepth(trained), EstimatorOptions(focal_scale=setting))  # type: ignore[arg-type]
    result = estimator(Frame(np.zeros((480, 640, 3), np.uint8)), k)
    np.testing.assert_allclose(result.depth, expected, rtol=2e-3)
    assert why in result.unscaled and bool(why) == bool(result.unscaled)
    assert result.focal_scale == pytest.approx(expected / 2, rel=2e-3)


def test_a_setting_is_auto_off_or_a_number():
    assert fixed_focal_scale("auto") is None
    assert fixed_focal_scale("off") == fixed_focal_scale(False) == 1
    assert fixed_focal_scale("1.25") == fixed_focal_scale(1.25) == 1.25
    for wrong in ("half", "", 0, -1, 0.009, 101, "nan", "inf", True, None, [1.0]):
        with pytest.raises(ValueError, match="auto, off, or a number, 0.01 to 100"):
            fixed_focal_scale(wrong)
