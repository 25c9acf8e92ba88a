"""LiteRT: a .tflite file gives the depth that its network computes, whatever its bytes stand for."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from fastdepth_ros.backends import Backend, BackendError, BackendOptions, ModelFile, backend_class

pytestmark = pytest.mark.needs("ai_edge_litert")
MODELS = Path(__file__).resolve().parents[1] / "models"
FILES = {"fp32": MODELS / "red_to_depth.tflite", "int8": MODELS / "red_to_depth_int8.tflite"}
ROUNDED_M = {"fp32": 1e-5, "int8": 0.0301}  # a step of the int8 file's output is 0.06 m
SHAPE = (32, 48)
NOISE = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
METERS = np.maximum(0, (NOISE[..., 0].astype(np.float32) - 10) / 20)


def load(precision: str = "fp32", path: Path | None = None, shape=SHAPE, facts=(), **options) -> Backend:
    model = ModelFile(path or FILES[precision], shape, facts=dict(facts))
    return backend_class("litert")(model, BackendOptions(precision=precision, **options))


@pytest.mark.parametrize("precision", FILES)
def test_depth_is_what_the_network_computes(precision):
    depth, confidence = load(precision).infer(NOISE)
    assert depth.dtype == np.float32 and confidence is None
    np.testing.assert_allclose(depth, METERS, rtol=0, atol=ROUNDED_M[precision])


@pytest.mark.parametrize("precision", FILES)
@pytest.mark.parametrize("options", [{"channels": "bgr"}, {"threads": 2}, {"power_save": True}])
def test_options_do_not_change_the_depth(precision, options):
    pixels = np.ascontiguousarray(NOISE[..., ::-1]) if "channels" in options else NOISE
    depth = load(precision, **options).infer(pixels).depth
    np.testing.assert_allclose(depth, load(precision).infer(NOISE).depth, rtol=0, atol=1e-6)


@pytest.mark.parametrize("precision", FILES)
def test_mean_and_std_of_the_manifest_are_applied(precision):
    facts = {"mean": [30.0, 0.0, 0.0], "std": [151.0, 1.0, 1.0]}
    value = (NOISE[..., 0].astype(np.float32) - 30) / 151
    if precision == "int8":
        value = np.rint(np.clip(value, 0, 1) * 255) / 255  # its bytes hold 0 to 1
    expected = np.maximum(0, value * 255 / 20 - 0.5)
    depth = load(precision, facts=facts).infer(NOISE).depth
    np.testing.assert_allclose(depth, expected, rtol=0, atol=ROUNDED_M[precision])


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
def test_a_network_of_bgr_gets_blue_first(channels):
    blue_first = np.maximum(0, (NOISE[..., 2].astype(np.float32) - 10) / 20)
    pixels = NOISE if channels == "rgb" else np.ascontiguousarray(NOISE[..., ::-1])
    depth = load(facts={"channels": "bgr"}, channels=channels).infer(pixels).depth
    np.testing.assert_allclose(depth, blue_first, rtol=0, atol=1e-5)


def test_a_reciprocal_is_taken_where_the_file_gives_inverse_depth():
    depth = load(facts={"reciprocal": True}).infer(NOISE).depth
    far = METERS == 0
    assert far.any() and (depth[far] > 1e6).all()
    np.testing.assert_allclose(depth[~far], 1 / METERS[~far], rtol=1e-4)


def test_depth_belongs_to_the_caller():
    engine = load()
    first = engine.infer(NOISE).depth
    kept = first.copy()
    engine.infer(255 - NOISE)
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(engine.infer(NOISE).depth, kept)


@pytest.mark.parametrize(("precision", "said"), [("fp32", r"\(cpu\)"), ("int8", r"\(cpu, int8\)")])
def test_the_engine_says_its_version_and_what_it_computes(precision, said):
    engine = load(precision)
    assert re.fullmatch(rf"litert \d+\.\d+\S* {said}", engine.engine) and engine.computes == precision


@pytest.mark.parametrize("options", [{"device": "cuda"}, {"precision": "bf16"}])
def test_another_device_or_precision_is_refused(options):
    with pytest.raises(BackendError, match="litert runs fp32 or int8 on the cpu, not .*; choose another backend"):
        backend_class("litert")(ModelFile(FILES["fp32"], SHAPE), BackendOptions(**options))


@pytest.mark.parametrize(
    "facts", [{"input_px": (224, 224)}, {"outputs": ("depth", "confidence")}, {"takes_camera": True}]
)
def test_another_interface_than_the_manifests_is_refused(facts):
    model = ModelFile(**{"path": FILES["fp32"], "input_px": SHAPE, **facts})
    with pytest.raises(BackendError, match=r"takes one image \(1, 32, 48, 3\) and gives depth, its manifest says"):
        backend_class("litert")(model, BackendOptions())


@pytest.mark.parametrize("content", [b"", b"no model", FILES["fp32"].read_bytes()[:300]])
def test_a_file_that_is_no_model_is_named(tmp_path, content):
    (tmp_path / "model.tflite").write_bytes(content)
    with pytest.raises(BackendError, match=r"litert cannot load .*model\.tflite"):
        load(path=tmp_path / "model.tflite")
