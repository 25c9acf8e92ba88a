"""Imported networks in the verbs: bags, images, evaluation, benchmark, at their own size and by their focal rule."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from recorded import BAGS, IMAGE_TOPIC, K, frames
from rosbags.highlevel import AnyReader

pytest.importorskip("onnx", reason="onnx is not installed")

from foreign import NETWORKS, known_function, write

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.cli import main

NAMES = ("depth-anything-v2", "metric3d", "unidepth")


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def imported(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("imported")
    for name in NAMES:
        given = ("--out", folder / name, "--license", "MIT", *NETWORKS[name].options)
        assert run("models", "import", write(name, folder), *given, "--yes") == 0
    return {name: folder / name for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_bag_gets_the_depth_of_an_imported_network_and_its_camera_info(imported, tmp_path, name):
    bag, out = BAGS["mcap"](tmp_path), tmp_path / "out"
    given = ("--image-topic", IMAGE_TOPIC, "--model", imported[name], "--backend", "onnxruntime", "--workers", 1)
    assert run("bag", bag, "--out", out, *given) == 0
    artifact = find_artifact(imported[name])
    with AnyReader([out]) as reader:
        found = {c.topic: reader.deserialize(raw, c.msgtype) for c, _, raw in reader.messages()}
    depth, info = (next(m for t, m in found.items() if t.endswith(end)) for end in ("depth/image", "depth/camera_info"))
    assert (info.height, info.width) == (depth.height, depth.width)
    cut = depth.height < artifact.depth_shape[0] or depth.width < artifact.depth_shape[1]
    assert cut == (NETWORKS[name].options.count("pad") == 1 and name == "metric3d")
    # the four corners of the depth, back through both cameras, lie on the frame's
    onto_frame = np.reshape(K, (3, 3)) @ np.linalg.inv(info.k.reshape(3, 3))
    (left, top), (right, bottom) = ((onto_frame @ [u, v, 1])[:2] + 0.5 for u, v in
                                    ((-0.5, -0.5), (depth.width - 0.5, depth.height - 0.5)))  # fmt: skip
    assert -1e-6 < left < 2 and -1e-6 < top < 2 and 158 < right < 160.001 and 118 < bottom < 120.001
    meters = np.frombuffer(depth.data, np.float32).reshape(depth.height, depth.width)
    said = known_function(frames()[-1][..., ::-1]).mean()
    factor = {"depth-anything-v2": 1.0, "metric3d": (130 * 821 / 160 + 131 * 616 / 120) / 2 / 1000,
              "unidepth": 130 * 336 / 160 / 100}[name]  # fmt: skip
    np.testing.assert_allclose(np.nanmean(meters), said * factor, rtol=0.02)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A data set whose truth is the known function, with its camera."""
    for folder in ("rgb", "depth"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    small = np.random.default_rng(1).integers(0, 256, (2, 6, 8, 3), dtype=np.uint8)
    for number, image in enumerate(small):
        rgb = cv2.resize(image, (640, 480), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "set" / "rgb" / f"{number}.png"), rgb[..., ::-1])
        depth = np.round(known_function(rgb) * 1000).astype(np.uint16)
        cv2.imwrite(str(tmp_path / "set" / "depth" / f"{number}.png"), depth)
    (tmp_path / "set" / "dataset.json").write_text('{"depth_scale_m": 0.001}')
    return tmp_path / "set"


def test_an_imported_network_is_evaluated_at_its_own_size(imported, pairs, capsys):
    given = ("--dataset", "folder", "--root", pairs, "--split", "test", "--backend", "onnxruntime", "--json")
    assert run("evaluate", "--model", imported["depth-anything-v2"], *given) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["delta1"] > 0.999 and figures["rmse"] < 0.02 and figures["focal_scale"] == 1
    assert run("evaluate", "--model", imported["depth-anything-v2"], *given, "--preprocess", "authors") == 1
    assert "take --preprocess node" in capsys.readouterr().err
    assert run("evaluate", "--model", imported["metric3d"], *given) == 1  # how far it says depends on the lens
    assert "has no camera, which focal rule canonical needs; write its intrinsics.json" in capsys.readouterr().err
    camera = {"width": 640, "height": 480, "fx": 779.5, "fy": 779.5}  # 1000 pixels at 821x616
    (pairs / "intrinsics.json").write_text(json.dumps(camera))
    assert run("evaluate", "--model", imported["metric3d"], *given) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["delta1"] > 0.99 and figures["focal_scale"] == pytest.approx(1, abs=1e-3)


def test_an_uncalibrated_confidence_is_calibrated_by_evaluate_record(imported, pairs, capsys):
    camera = {"width": 640, "height": 480, "fx": 100 * 640 / 336, "fy": 100 * 640 / 336}  # where it says the truth
    (pairs / "intrinsics.json").write_text(json.dumps(camera))
    assert find_artifact(imported["unidepth"]).confidence_state == "uncalibrated"
    given = ("--dataset", "folder", "--root", pairs, "--backend", "onnxruntime", "--record")
    assert run("evaluate", "--model", imported["unidepth"], *given) == 0
    assert "confidence is calibrated" in capsys.readouterr().err
    artifact = find_artifact(imported["unidepth"])
    assert artifact.confidence_state.startswith("calibrated on folder/test")
    from fastdepth_ros.depth.frame import Frame

    k = np.array([190.5, 0, 320, 0, 190.5, 240, 0, 0, 1])
    result = artifact.estimator(artifact.load())(Frame(np.full((480, 640, 3), 99, np.uint8)), k)
    assert result.confidence.shape == result.depth.shape
    assert 0.9 < result.confidence.min() <= result.confidence.max() <= 1


def test_an_imported_network_is_timed_and_computes_images(imported, tmp_path):
    from fastdepth_ros.backends import BackendOptions
    from fastdepth_ros.bench.subject import load_estimator

    loaded = load_estimator(str(imported["unidepth"]), "onnxruntime", BackendOptions(threads=1), (480, 640))
    assert loaded.run().depth.shape == (252, 336)
    cv2.imwrite(str(tmp_path / "a.png"), frames()[0])
    given = ("--model", imported["unidepth"], "--backend", "onnxruntime", "--out", tmp_path / "a.npy")
    assert run("image", tmp_path / "a.png", *given, "--focal-px", 130) == 0
    assert np.load(tmp_path / "a.npy").shape == (252, 336)
