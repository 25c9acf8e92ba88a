"""Import of foreign ONNX networks: equal to the plain graph, right in geometry and scale, bad files refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

from foreign import NETWORKS, Graph, build, expected, known_function, random_network, sky_function, write  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402
from verbs import refused, run  # noqa: E402

from fastdepth_ros.artifact.artifact import Artifact, find_artifact  # noqa: E402
from fastdepth_ros.backends import BackendOptions  # noqa: E402
from fastdepth_ros.depth.camera_info import camera_info_fields, frame_camera  # noqa: E402
from fastdepth_ros.depth.estimator import EstimatorOptions  # noqa: E402
from fastdepth_ros.depth.frame import Frame, FrameError  # noqa: E402
from fastdepth_ros.errors import FastDepthError  # noqa: E402

ENGINES = ["onnxruntime", pytest.param("openvino", marks=pytest.mark.needs("openvino"))]
ONE_THREAD = BackendOptions(threads=1)
FRAMES = [(480, 640), (720, 1280), (640, 480)]
FOCAL_PX = 555.0


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> dict[str, Artifact]:
    """The six networks as artifacts."""
    folder = tmp_path_factory.mktemp("imported")
    for name, network in NETWORKS.items():
        file = write(name, folder)
        given = ("--out", folder / name, "--license", "MIT", *network.options)
        assert run("models", "import", file, *given, "--yes") == 0
    return {name: find_artifact(folder / name) for name in NETWORKS}


def noise(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def matrix(shape: tuple[int, int], fx: float = FOCAL_PX, fy: float = FOCAL_PX) -> np.ndarray:
    return np.array([fx, 0, shape[1] / 2 - 3, 0, fy, shape[0] / 2 + 5, 0, 0, 1.0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", NETWORKS)
def test_an_imported_network_says_what_its_plain_graph_says(imported, name, engine):
    artifact, network = imported[name], NETWORKS[name]
    rgb = noise(network.shape)
    given = (np.diag([120, 130, 1]).astype(np.float32),) if network.camera else ()
    outputs = artifact.load(engine, ONE_THREAD).infer(rgb, *given)
    wanted = expected(network, rgb, 120)
    if name == "midas-small":
        wanted = 1 / wanted
    if name == "depth-anything-3":
        wanted = np.where(sky_function(rgb), np.inf, wanted)
        assert np.isinf(wanted).any()
    np.testing.assert_allclose(outputs.depth, wanted, rtol=1e-5)
    if "confidence" in network.outputs:
        np.testing.assert_allclose(outputs.confidence, 1 / (1 + np.exp(-expected(network, rgb, 120))), rtol=1e-5)
    assert (outputs.confidence is None) == ("confidence" not in network.outputs)


@pytest.mark.parametrize("engine", ENGINES)
def test_each_of_the_six_is_verified(imported, engine, capsys):
    for artifact in imported.values():
        assert run("models", "verify", artifact.folder) == 0
        assert f"{engine}: {engine}" in capsys.readouterr().out


def test_channels_may_be_swapped_by_an_option_as_of_any_artifact(imported):
    rgb, artifact = noise((256, 256)), imported["midas-small"]
    bgr = np.ascontiguousarray(rgb[..., ::-1])
    swapped = artifact.load(options=BackendOptions(channels="bgr")).infer(bgr).depth
    np.testing.assert_array_equal(swapped, artifact.load().infer(rgb).depth)


def seen_by_hand(name: str, shape: tuple[int, int], field: str) -> tuple[float, float, float, float]:
    """Left, top, width and height, in frame pixels, of what the depth of a network shows: worked out anew."""
    height, width = shape
    network = NETWORKS[name]
    rows, columns = network.shape
    if name == "fastdepth-256x320" and field == "trained":
        h, w = round(0.912 * height), round(1.216 * height)
        h, w = (h, w) if w <= width else (round(0.75 * width), width)
        return (width - w) // 2, (height - h) // 2, w, h
    if name in ("depth-anything-v2", "depth-anything-3"):
        if width / height > columns / rows:
            w = round(height * columns / rows)
            return (width - w) // 2, 0, w, height
        h = round(width * rows / columns)
        return 0, (height - h) // 2, width, h
    if name in ("metric3d", "unidepth"):  # all of it, but for depth pixels that show a part of the border
        ratio, step = min(rows / height, columns / width), network.pooled
        inner = {"h": round(height * ratio), "w": round(width * ratio)}
        left, top = (columns - inner["w"]) // 2, (rows - inner["h"]) // 2
        lost_left, lost_top = -left % step, -top % step
        w = (left + inner["w"]) // step * step - left - lost_left
        h = (top + inner["h"]) // step * step - top - lost_top
        across, down = width / inner["w"], height / inner["h"]
        return lost_left * across, lost_top * down, w * across, h * down
    return 0, 0, width, height


@pytest.mark.parametrize("shape", FRAMES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_depth_camera_info_is_that_of_points_projected_by_hand(imported, name, shape):
    k = matrix(shape)
    for field in ("trained", "full"):
        estimate = imported[name].estimator(imported[name].load(options=ONE_THREAD), EstimatorOptions(field))
        result = estimate(Frame(noise(shape)), k)
        info = SimpleNamespace(
            height=shape[0], width=shape[1], k=k, r=np.eye(3).ravel(), d=[], distortion_model="plumb_bob",
            p=np.hstack([k.reshape(3, 3), np.zeros((3, 1))]).ravel(), binning_x=0, binning_y=0, roi=None,
        )  # fmt: skip
        fields = camera_info_fields(frame_camera(info, shape), result.from_frame, result.depth.shape)
        left, top, width, height = seen_by_hand(name, shape, field)
        for x, y, z in ((0.1, -0.2, 1.0), (-1.0, 0.7, 3.0), (0.0, 0.0, 2.0)):
            u, v = FOCAL_PX * x / z + k[2], FOCAL_PX * y / z + k[5]
            by_hand = (
                (u + 0.5 - left) * result.depth.shape[1] / width - 0.5,
                (v + 0.5 - top) * result.depth.shape[0] / height - 0.5,
            )
            for matrix_of_depth in (fields["k"].reshape(3, 3), fields["p"].reshape(3, 4)[:, :3]):
                projected = matrix_of_depth @ [x, y, z]
                np.testing.assert_allclose(projected[:2] / projected[2], by_hand, rtol=0, atol=1e-6)


@pytest.mark.parametrize("output", ["network", "camera"])
@pytest.mark.parametrize("shape", FRAMES, ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_landmarks_of_a_frame_are_found_in_the_depth_where_from_frame_says(imported, name, shape, output):
    rows, columns = np.indices(shape)
    artifact, spread = imported[name], min(shape) / 40
    estimate = artifact.estimator(artifact.load(options=ONE_THREAD), EstimatorOptions("trained", output))
    for v, u in ((0.5, 0.5), (0.3, 0.42), (0.68, 0.6)):
        v, u = v * shape[0], u * shape[1]
        blob = np.exp(-((rows - v) ** 2 + (columns - u) ** 2) / (2 * spread**2))
        picture = np.zeros((*shape, 3), np.uint8)
        picture[..., 0] = np.round(250 * blob)
        result = estimate(Frame(picture), matrix(shape))
        depth = 1 / result.depth if name == "midas-small" else result.depth
        depth = np.nan_to_num(depth - np.nanmin(depth), nan=0.0)
        depth[depth < 0.05 * depth.max()] = 0
        y, x = np.indices(depth.shape)
        found = (depth * x).sum() / depth.sum(), (depth * y).sum() / depth.sum()
        np.testing.assert_allclose(found, (result.from_frame @ [u, v, 1])[:2], rtol=0, atol=0.5)


@pytest.mark.parametrize(
    ("name", "factor"),
    [
        ("depth-anything-v2", 1.0),
        ("depth-anything-3", 555 * 378 / 640 / 300),  # 640x480 loses 6 rows to 640x474: both axes by 378 / 640, nearly
        ("metric3d", (555 * 821 / 640 + 555 * 616 / 480) / 2 / 1000),  # 640x480 is 821x616 in the middle of 1064x616
        ("midas-small", 1.0),
        ("unidepth", 555 * 252 / 480 / 100),  # the network multiplies by fx / 100 at its input
        ("fastdepth-256x320", ((555 * 320 / 584 / 227.3) * (555 * 256 / 438 / 303.8)) ** 0.5),  # of the crop 584x438
    ],
)
def test_depth_follows_the_lens_by_the_focal_rule(imported, name, factor):
    gray = np.full((480, 640, 3), 128, np.uint8)
    artifact = imported[name]
    result = artifact.estimator(artifact.load(options=ONE_THREAD))(Frame(gray), matrix((480, 640)))
    said = known_function(gray)[0, 0]
    wanted = (1 / said if name == "midas-small" else said) * factor
    np.testing.assert_allclose(np.median(result.depth), wanted, rtol=2e-4)
    follows = name not in ("depth-anything-v2", "midas-small")
    assert ("does not follow the lens" in result.unscaled) != follows


def test_a_focal_scale_by_the_user_takes_the_place_of_any_rule(imported):
    gray = np.full((480, 640, 3), 128, np.uint8)
    for name in ("depth-anything-v2", "metric3d"):
        options = EstimatorOptions(focal_scale=2.0)
        result = imported[name].estimator(imported[name].load(options=ONE_THREAD), options)(Frame(gray))
        np.testing.assert_allclose(result.depth, 2 * known_function(gray)[0, 0], rtol=1e-5)
        assert not result.unscaled


def test_a_network_that_takes_the_camera_says_so_where_it_is_unknown(imported):
    artifact = imported["unidepth"]
    estimate = artifact.estimator(artifact.load(options=ONE_THREAD))
    assert estimate.takes_camera and estimate.wants_camera
    with pytest.raises(FrameError, match="takes the camera matrix as an input, and no camera_info"):
        estimate(Frame(noise((480, 640))), None, unknown="no camera_info")


def test_sky_is_infinite_on_both_grids_uncalibrated_confidence_is_none(imported):
    picture = np.full((480, 640, 3), 90, np.uint8)
    picture[:200] = (20, 30, 250)
    artifact = imported["depth-anything-3"]
    backend = artifact.load(options=ONE_THREAD)
    for output in ("network", "camera"):
        result = artifact.estimator(backend, EstimatorOptions("full", output))(Frame(picture), matrix((480, 640)))
        share = np.isinf(result.depth).mean()
        assert 0.39 < share < 0.43 and np.isfinite(result.depth[result.depth.shape[0] // 2]).any()
        assert not np.isnan(result.depth[:-10][10:]).all()
    assert imported["metric3d"].confidence_state == "uncalibrated"
    backend = imported["metric3d"].load(options=ONE_THREAD)
    assert imported["metric3d"].estimator(backend)(Frame(picture), matrix((480, 640))).confidence is None


def test_depth_out_of_the_valid_range_is_nan_or_infinite(tmp_path):
    file = write("depth-anything-v2", tmp_path)
    options = ("--size", "252x336", "--normalize", "imagenet", "--valid-range", 0.6, 3, "--license", "MIT", "--yes")
    assert run("models", "import", file, "--out", tmp_path / "out", *options) == 0
    artifact = find_artifact(tmp_path / "out")
    picture = np.zeros((252, 336, 3), np.uint8)
    picture[:, 100:200, 0], picture[:, 200:, 0] = 128, 255
    depth = artifact.estimator(artifact.load(options=ONE_THREAD))(Frame(picture)).depth
    assert np.isnan(depth[:, :99]).all() and np.isfinite(depth[:, 101:199]).all() and np.isinf(depth[:, 201:]).all()


def test_what_was_understood_is_shown_before_anything_is_written(tmp_path, capsys):
    file = write("unidepth", tmp_path)
    out = ("--out", tmp_path / "out", "--license", "MIT", *NETWORKS["unidepth"].options)
    assert run("models", "import", file, *out) == 1
    shown = capsys.readouterr().out
    for words in ("image (float32 1x3x252x336), nchw, 252x336  [file]", "intrinsics (float32 1x3x3)  [file]", "--yes",
                  "confidence, uncalibrated", "input  [file]", "frame, pad, linear  [option]"):  # fmt: skip
        assert words in shown
    assert not (tmp_path / "out").exists()


def test_a_random_network_runs_in_each_engine_as_it_ran_before(tmp_path):
    import onnxruntime

    model = random_network()
    onnx.save(model, tmp_path / "net.onnx")
    options = ("--normalize", "imagenet", "--license", "MIT", "--yes")
    assert run("models", "import", tmp_path / "net.onnx", "--out", tmp_path / "out", *options) == 0
    rgb = noise((56, 84))
    mean, std = np.array([123.675, 116.28, 103.53]), np.array([58.395, 57.12, 57.375])
    planes = ((rgb - mean) / std).transpose(2, 0, 1)[None].astype(np.float32)
    (plain,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": planes})
    artifact = find_artifact(tmp_path / "out")
    assert plain.std() > 0.1
    for engine in ("onnxruntime", "openvino") if "openvino" in installed() else ("onnxruntime",):
        np.testing.assert_allclose(artifact.load(engine).infer(rgb).depth, plain[0, 0], rtol=2e-4)


def test_an_imported_network_is_quantized(tmp_path):
    pytest.importorskip("torch", reason="torch is not installed")
    import cv2

    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), noise((112, 168)))
    onnx.save(random_network(), tmp_path / "net.onnx")
    assert run("models", "import", tmp_path / "net.onnx", "--out", tmp_path / "out", "--normalize", "imagenet",
               "--license", "MIT", "--yes") == 0  # fmt: skip
    for precision in ("int8", "fp16"):
        given = (
            "--model",
            tmp_path / "out",
            "--to",
            precision,
            "--images",
            tmp_path / "pictures",
            "--frames",
            1,
            "--float-convolutions",
            1,
        )
        assert run("quantize", *given, "--out", tmp_path / precision) == 0
        reduced = find_artifact(tmp_path / precision).load("onnxruntime", BackendOptions(precision=precision))
        rgb = noise((56, 84))
        off_m = np.abs(reduced.infer(rgb).depth - find_artifact(tmp_path / "out").load().infer(rgb).depth)
        assert 0 < off_m.max() < 2


@pytest.mark.needs("tvm")
def test_tvm_refuses_an_imported_network_and_says_what_runs_it(imported, tmp_path, capsys):
    line = refused(capsys, "compile", "--model", imported["midas-small"].folder, "--out", tmp_path / "out")
    assert "is an imported network" in line and "run it in onnxruntime or openvino" in line


def installed() -> set[str]:
    from importlib.util import find_spec

    return {name for name in ("openvino",) if find_spec(name)}


@pytest.mark.parametrize(
    ("dtype", "options", "seen"),
    [
        (TensorProto.UINT8, (), lambda rgb: rgb.astype(float)),
        (TensorProto.FLOAT16, ("--normalize", "none"), lambda rgb: rgb.astype(float)),
        (TensorProto.FLOAT, ("--normalize", "symmetric"), lambda rgb: rgb / 127.5 - 1),
        (TensorProto.FLOAT, ("--normalize", "unit", "--bgr"), lambda rgb: rgb[..., ::-1] / 255),
        (TensorProto.FLOAT, ("--mean", 10, 20, 30, "--std", 2, 4, 8), lambda rgb: (rgb - [10, 20, 30]) / [2, 4, 8]),
    ],
)
def test_types_normalization_masks_and_order_are_inside_the_graph(tmp_path, dtype, options, seen):
    """A network whose depth is 300 + its first plus twice its third channel, valid by its second one."""
    graph = Graph()
    x = graph.add("Cast", "image", to=TensorProto.FLOAT)
    parts = [graph.add("Slice", x, np.array([c]), np.array([c + 1]), np.array([3])) for c in range(3)]
    depth = graph.add("Add", graph.add("Add", parts[0], np.float32(300)), graph.add("Mul", parts[2], np.float32(2)))
    graph.add("Identity", graph.add("Squeeze", depth, np.array([0, 3])), output="depth")  # rows and columns alone
    graph.add("Mul", parts[1], np.float32(4), output="valid")
    taken = [helper.make_tensor_value_info("image", dtype, [1, 32, 48, 3])]
    given = [helper.make_tensor_value_info("depth", TensorProto.FLOAT, [32, 48]),
             helper.make_tensor_value_info("valid", TensorProto.FLOAT, [1, 32, 48, 1])]  # fmt: skip
    onnx.save(
        helper.make_model(
            helper.make_graph(graph.nodes, "g", taken, given, graph.weights),
            opset_imports=[helper.make_opsetid("", 17)], ir_version=8,
        ),
        tmp_path / "net.onnx",
    )  # fmt: skip
    said = ("--out", tmp_path / "out", "--license", "MIT", "--valid-output", "valid", "--yes")
    assert run("models", "import", tmp_path / "net.onnx", *said, *options) == 0
    rgb = noise((32, 48))
    channels = seen(rgb)
    wanted = np.where(4 * channels[..., 1] < 0.5, np.nan, 300 + channels[..., 0] + 2 * channels[..., 2])
    depth = find_artifact(tmp_path / "out").load("onnxruntime").infer(rgb).depth
    np.testing.assert_allclose(depth, wanted, rtol=1e-5)
    assert np.isnan(depth).any() and np.isfinite(depth).any()


def spoiled(tmp_path: Path, change: object, name: str = "midas-small") -> Path:
    model = build(NETWORKS[name])
    change(model)
    onnx.save(model, tmp_path / "bad.onnx")
    return tmp_path / "bad.onnx"


def foreign_op(model) -> None:
    model.opset_import.append(helper.make_opsetid("trt.plugins", 1))
    model.graph.node[0].domain, model.graph.node[0].op_type = "trt.plugins", "SpecialScale"


def newer(model) -> None:
    model.opset_import[0].version = 40


def classifier(model) -> None:
    model.graph.node[-1].op_type = "GlobalAveragePool"


def constant(model) -> None:
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(np.zeros((1, 3, 1, 1), np.float32), "c2"))


def infinite(model) -> None:
    model.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(np.full((1, 3, 1, 1), np.inf, np.float32), "c2"))


def two_maps(model) -> None:
    for name in ("one", "two"):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 256, 256]))
        model.graph.node.append(helper.make_node("Identity", [model.graph.node[-1].input[0]], [name]))
    del model.graph.output[0]


def gray(model) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1


def more_inputs(model) -> None:
    model.graph.input.append(helper.make_tensor_value_info("prompt", TensorProto.FLOAT, [1, 1, 256, 256]))


def external(model) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (foreign_op, ("trt.plugins::SpecialScale", "standard operators")),
        (newer, ("opset 40", "opset 17")),
        (classifier, ("no map of depth", "classifier")),
        (constant, ("same depth everywhere", "normalization")),
        (infinite, ("no finite depth", "normalization")),
        (two_maps, ("2 outputs that may be the depth: one 1x1x256x256, two", "--depth-output")),
        (gray, ("no image inputs of three channels", "one color image")),
        (more_inputs, ("prompt (float32 1x1x256x256)", "one image")),
        (external, ("weights.bin, which is not beside it", "copy")),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path, capsys, change, words):
    options = ("--out", tmp_path / "out", "--normalize", "imagenet", "--license", "MIT", "--yes")
    line = refused(capsys, "models", "import", spoiled(tmp_path, change), *options)
    for word in words:
        assert word in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("left_out", "given", "word"),
    [
        ("--size", (), "say it by --size"),
        ("--normalize", (), "say it by --normalize"),
        ("--license", (), "say it by --license"),
        ("", ("--focal", "input"), "takes no camera matrix"),
        ("", ("--focal", "canonical:300", "--fit", "stretch"), "squeezes"),
        ("", ("--depth-output", "nothing"), "no output 'nothing', it has predicted_depth"),
        ("", ("--valid-range", "5", "1"), "should rise"),
    ],
)
def test_an_option_that_is_missing_or_contradicts_the_file_is_said(tmp_path, capsys, left_out, given, word):
    options = {"--size": "252x336", "--normalize": "imagenet", "--license": "MIT"}
    said = [part for name, value in options.items() if name != left_out for part in (name, value)]
    file = write("depth-anything-v2", tmp_path)
    line = refused(capsys, "models", "import", file, "--out", tmp_path / "out", *said, *given, "--yes")
    assert word in line


def test_a_size_other_than_the_files_and_a_size_it_cannot_run_are_refused(tmp_path, capsys):
    options = ("--out", tmp_path / "out", "--normalize", "imagenet", "--license", "MIT", "--yes")
    assert "takes 256x256 pixels, --size is 128x128" in refused(
        capsys, "models", "import", write("midas-small", tmp_path), *options, "--size", "128x128"
    )
    model = random_network()
    for value in (model.graph.input[0], model.graph.output[0]):
        for axis in (2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = "side"
    model.graph.node.append(helper.make_node("Add", ["depth", "bias"], ["shifted"]))
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros((1, 1, 56, 84), np.float32), "bias"))
    model.graph.output[0].name = "shifted"
    onnx.save(model, tmp_path / "open.onnx")
    line = refused(capsys, "models", "import", tmp_path / "open.onnx", *options, "--size", "70x84")
    assert "at 70x84" in line and "multiples of 14" in line


def test_files_that_are_too_large_or_no_onnx_are_refused(tmp_path, capsys, monkeypatch):
    options = ("--out", tmp_path / "out", "--normalize", "imagenet", "--license", "MIT", "--yes")
    (tmp_path / "text.onnx").write_text("no network")
    assert "no ONNX file" in refused(capsys, "models", "import", tmp_path / "text.onnx", *options)
    monkeypatch.setattr("fastdepth_ros.deploy.foreign_onnx.LARGEST_BYTES", 100)
    assert "the limit is" in refused(capsys, "models", "import", write("midas-small", tmp_path), *options)


def test_numbers_that_contradict_meters_warn_on_real_pictures(tmp_path, capsys):
    import cv2

    (tmp_path / "pictures").mkdir()
    cv2.imwrite(str(tmp_path / "pictures" / "a.png"), noise((240, 320)))
    options = ("--out", tmp_path / "out", "--license", "MIT", "--images", tmp_path / "pictures", "--yes")
    file = write("unidepth", tmp_path)
    model = onnx.load(file)
    scale = next(node for node in model.graph.node if node.op_type == "Div").input[1]
    for tensor in model.graph.initializer:
        if tensor.name == scale:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.float32(1e6), scale))
    onnx.save(model, file)
    assert run("models", "import", file, "--normalize", "imagenet", *options) == 0
    assert "no scene is: check kind, scale" in capsys.readouterr().err


def test_a_range_and_a_training_view_are_refused_where_there_are_none(imported):
    artifact = imported["midas-small"]
    backend = artifact.load(options=ONE_THREAD)
    with pytest.raises(FastDepthError, match="max_depth_m is 5, but the depth of this model is not in meters"):
        artifact.estimator(backend, EstimatorOptions(max_depth_m=5.0))
    with pytest.raises(FastDepthError, match="no training camera .focal rule none"):
        artifact.estimator(backend, EstimatorOptions(outside_training_view="invalid"))
