"""The registry of backends, and what each engine promises."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import setuptools

from fastdepth_ros.artifact.golden import golden_frame
from fastdepth_ros.backends import (
    BACKENDS,
    BackendError,
    BackendOptions,
    ModelFile,
    Outputs,
    backend_class,
    backend_names,
)
from fastdepth_ros.backends.base import CheckedBackend
from fastdepth_ros.backends.onnxruntime import computes, provider_options
from fastdepth_ros.jobs.cores import available_cores

ROOT = Path(__file__).resolve().parents[2]
SIZE_PX, OPSET = 224, 17
FILES = {"onnxruntime": "model.onnx", "openvino": "model.onnx", "pytorch": "model.safetensors"}
MODULES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "pytorch": "torch"}
NOISE = np.random.default_rng(0).integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)


def load(folder: Path, backend: str, options: BackendOptions | None = None):
    model = ModelFile(folder / FILES[backend], (SIZE_PX, SIZE_PX), OPSET if FILES[backend] == "model.onnx" else None)
    return engine_class(backend)(model, options or BackendOptions(threads=1))


def engine_class(backend: str):
    pytest.importorskip(MODULES[backend], reason=f"{MODULES[backend]} is not installed")
    return backend_class(backend)


def test_the_engines_are_there():
    assert set(FILES) <= set(backend_names())
    assert backend_names() == sorted(backend_names())


@pytest.mark.parametrize("backend", FILES)
def test_an_engine_is_had_by_its_name(backend):
    assert engine_class(backend).__module__ == f"fastdepth_ros.backends.{backend}"


@pytest.mark.parametrize("name", ["tensorflow", "", "ONNXRuntime"])
def test_an_unknown_backend_lists_what_there_is(name):
    with pytest.raises(BackendError) as refusal:
        backend_class(name)
    assert repr(name) in str(refusal.value)
    for known in backend_names():
        assert known in str(refusal.value)


def test_a_backend_that_is_not_installed_names_the_extra_that_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # Python's own way to say that an import is not there
    with pytest.raises(BackendError) as refusal:
        backend_class("pytorch")
    assert "'pytorch' is not installed" in str(refusal.value)
    assert "pip install 'fastdepth_ros[torch]'" in str(refusal.value)
    assert "onnxruntime" in str(refusal.value)
    with pytest.raises(BackendError, match=r"pytorch \(not installed: pip install 'fastdepth_ros\[torch\]'\)"):
        backend_class("tensorflow")
    assert backend_class("onnxruntime").module == "onnxruntime"


def test_the_extras_that_backends_name_exist(monkeypatch):
    found = {}
    monkeypatch.setattr(setuptools, "setup", found.update)
    monkeypatch.chdir(ROOT)
    runpy.run_path("setup.py")
    for name in backend_names():
        for extra in re.findall(r"\[(\w+)\]", BACKENDS[name].install):
            assert extra in found["extras_require"]


def test_a_backend_registers_with_one_decorator(monkeypatch):
    monkeypatch.setattr(BACKENDS, "_items", dict(BACKENDS._items))

    @BACKENDS.register("paper")
    class Paper:
        model_format, module, install, infer = "txt", "no_such_engine", "buy a pencil", None

    assert "paper" in backend_names()
    with pytest.raises(BackendError, match="not installed: buy a pencil"):
        backend_class("paper")


@pytest.mark.parametrize("backend", FILES)
def test_depth_is_float32_meters_on_the_input_grid(artifact_folder, backend):
    depth = load(artifact_folder, backend).infer(NOISE).depth
    assert depth.shape == (SIZE_PX, SIZE_PX)
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert (depth >= 0).all()


@pytest.mark.parametrize("backend", FILES)
def test_depth_belongs_to_the_caller(artifact_folder, backend):
    engine = load(artifact_folder, backend)
    first = engine.infer(NOISE).depth
    kept = first.copy()
    second = engine.infer(golden_frame(SIZE_PX)).depth
    assert (second != kept).any()
    np.testing.assert_array_equal(first, kept)
    first[:] = 0
    np.testing.assert_array_equal(engine.infer(NOISE).depth, kept)


def test_the_engines_agree(artifact_folder):
    engines = [load(artifact_folder, backend) for backend in FILES]
    for rgb in (NOISE, golden_frame(SIZE_PX), np.zeros_like(NOISE), np.full_like(NOISE, 255)):
        first, *others = (engine.infer(rgb).depth for engine in engines)
        for other in others:
            np.testing.assert_allclose(first, other, rtol=0, atol=1e-4)


@pytest.mark.parametrize("backend", FILES)
def test_the_number_of_threads_does_not_change_the_depth(artifact_folder, backend):
    depths = [load(artifact_folder, backend, BackendOptions(threads=threads)).infer(NOISE).depth for threads in (1, 2)]
    np.testing.assert_allclose(*depths, atol=1e-5)


@pytest.mark.parametrize("device", ["cpu", "CPU"])
def test_openvino_keeps_to_the_threads_however_its_device_is_spelled(artifact_folder, device):
    engine = load(artifact_folder, "openvino", BackendOptions(threads=1, device=device))
    assert engine._request.get_compiled_model().get_property("INFERENCE_NUM_THREADS") == 1


@pytest.mark.parametrize("backend", FILES)
def test_power_save_does_not_change_the_depth(artifact_folder, backend):
    saving = load(artifact_folder, backend, BackendOptions(power_save=True))
    np.testing.assert_allclose(saving.infer(NOISE).depth, load(artifact_folder, backend).infer(NOISE).depth, atol=1e-5)


def test_power_save_takes_half_the_cores_unless_told_how_many():
    assert BackendOptions(power_save=True).thread_limit == max(1, available_cores() // 2)
    assert BackendOptions(threads=3, power_save=True).thread_limit == 3
    assert BackendOptions().thread_limit == 0


@pytest.mark.parametrize("backend", FILES)
def test_bgr_pixels_give_the_same_depth_where_the_backend_is_told(artifact_folder, backend):
    engine = load(artifact_folder, backend, BackendOptions(threads=1, channels="bgr"))
    assert engine.channels == "bgr"
    bgr = np.ascontiguousarray(NOISE[..., ::-1])
    np.testing.assert_allclose(
        engine.infer(bgr).depth, load(artifact_folder, backend).infer(NOISE).depth, rtol=0, atol=1e-5
    )


@pytest.mark.parametrize(("name", "value"), [("precision", "int4"), ("channels", "grb")])
def test_an_option_that_there_is_not_lists_those_that_there_are(name, value):
    with pytest.raises(BackendError, match=rf"{name} is '{value}', it can be (fp32, fp16, bf16, int8|rgb, bgr)"):
        BackendOptions(**{name: value})


@pytest.mark.parametrize(("backend", "precision"), [("pytorch", "int8"), ("onnxruntime", "bf16")])
def test_a_precision_that_an_engine_does_not_compute_in_is_refused(artifact_folder, backend, precision):
    with pytest.raises(BackendError, match=precision):
        load(artifact_folder, backend, BackendOptions(precision=precision))


@pytest.mark.parametrize(
    ("provider", "precision", "features", "said"),
    [
        ("CPU", "fp32", (), "fp32"),
        ("CPU", "int8", (), "int8"),
        ("CPU", "fp16", ("avx512_fp16",), "fp16 file, f32 arithmetic"),  # it has no such kernels for x86
        ("CPU", "fp16", ("asimdhp",), "fp16"),
        ("CUDA", "fp16", (), "fp16"),
        ("CUDA", "int8", (), "int8 file, f32 arithmetic"),
        ("Tensorrt", "int8", (), "int8"),
    ],
)
def test_onnxruntime_says_in_what_a_provider_computes(provider, precision, features, said):
    assert computes(f"{provider}ExecutionProvider", precision, features) == said


def test_tensorrt_keeps_an_engine_for_its_own_weights_and_release(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model = ModelFile(tmp_path / "model.onnx", (SIZE_PX, SIZE_PX), facts={"sha256": "abc" * 20})
    options = BackendOptions(device="tensorrt", precision="fp16")
    told = provider_options("TensorrtExecutionProvider", model, options, "1.31.1")
    folder = tmp_path / "fastdepth_ros" / "tensorrt-onnxruntime-1.31.1" / ("abc" * 20)[:16]
    assert folder.is_dir()
    assert told["trt_engine_cache_enable"] and told["trt_engine_cache_path"] == str(folder)
    assert told["trt_fp16_enable"] and not told["trt_int8_enable"]
    assert provider_options("CPUExecutionProvider", model, options, "1.31.1") == {}


def test_openvino_lists_its_devices_when_it_lacks_one(artifact_folder):
    with pytest.raises(BackendError, match=r"openvino has no device 'abacus' here, it has .*cpu"):
        load(artifact_folder, "openvino", BackendOptions(device="abacus"))


@pytest.mark.parametrize("backend", FILES)
def test_the_engine_says_its_version_and_device(artifact_folder, backend):
    engine = load(artifact_folder, backend)
    assert re.fullmatch(rf"{backend} \d+\.\d+\S* \(cpu\)", engine.engine)
    assert engine.computes == "fp32"


def test_onnxruntime_lists_its_devices_when_it_lacks_one(artifact_folder):
    with pytest.raises(BackendError, match=r"'abacus'.*cpu"):
        load(artifact_folder, "onnxruntime", BackendOptions(device="abacus"))


@pytest.mark.parametrize("device", ["abacus", "cuda:99", "mps:7"])
def test_pytorch_refuses_a_device_that_is_not_there(artifact_folder, device):
    with pytest.raises(BackendError, match=device):
        load(artifact_folder, "pytorch", BackendOptions(device=device))


@pytest.mark.parametrize("backend", FILES)
@pytest.mark.parametrize("content", [b"", b"not a model"])
def test_a_file_that_is_no_model_is_named(tmp_path, backend, content):
    (tmp_path / FILES[backend]).write_bytes(content)
    with pytest.raises(BackendError, match=re.escape(FILES[backend])):
        load(tmp_path, backend)


def test_onnxruntime_refuses_a_model_of_another_input_than_it_was_told(artifact_folder):
    with pytest.raises(BackendError, match=r"224.*160"):
        backend_class("onnxruntime")(ModelFile(artifact_folder / "model.onnx", (160, 160), OPSET), BackendOptions())


@pytest.mark.needs("onnx")
def test_onnxruntime_refuses_float_input(artifact_folder, tmp_path):
    import onnx

    model = onnx.load(artifact_folder / "model.onnx")
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(BackendError, match="float"):
        load(tmp_path, "onnxruntime")


@pytest.mark.parametrize("opset", [16, None])
def test_onnxruntime_refuses_another_opset_than_the_manifests(artifact_folder, opset):
    with pytest.raises(BackendError, match=rf"opset 17.*{opset}"):
        backend_class("onnxruntime")(
            ModelFile(artifact_folder / "model.onnx", (SIZE_PX, SIZE_PX), opset), BackendOptions()
        )


class Foreign:
    """A backend of another distribution that returns what a test wants."""

    model_format, module, install, engine, computes, channels = "onnx", "numpy", "", "foreign 1.0 (cpu)", "fp32", "rgb"
    returned: object = None

    def infer(self, pixels: np.ndarray) -> object:
        return self.returned


def test_an_array_of_a_third_party_is_depth_and_anything_else_is_refused():
    foreign, depth = Foreign(), np.ones((4, 4), np.float32)
    checked = CheckedBackend(foreign)
    for returned in (depth, Outputs(depth)):
        foreign.returned = returned
        outputs = checked.infer(NOISE)
        assert outputs.depth is depth and outputs.confidence is None
    assert checked.engine == "foreign 1.0 (cpu)"
    for returned in (None, {"depth": depth}, depth[None], [1.0]):
        foreign.returned = returned
        with pytest.raises(BackendError, match=r"(?s)foreign 1.0 .cpu. returned .*should return Outputs or a depth"):
            checked.infer(NOISE)
