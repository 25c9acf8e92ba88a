"""TF-Slim's MobileNet v1: our encoder, padded as TF-Slim pads, computes the same from its variables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402

from fastdepth_ros.nn.channels import ENCODER_STRIDES, PRUNED, UNPRUNED  # noqa: E402
from fastdepth_ros.nn.checkpoints import CheckpointError  # noqa: E402
from fastdepth_ros.nn.importers.importer import load_imagenet_encoder  # noqa: E402
from fastdepth_ros.nn.network import FastDepth, initialize  # noqa: E402

GOOGLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "weights" / "mobilenet_v1_1.0_224_imagenet.npz"


@pytest.fixture(scope="module")
def random_archive(tmp_path_factory):
    """Variables of TF-Slim's names and shapes with random values."""
    rng = np.random.default_rng(3)
    variables: dict[str, np.ndarray] = {}

    def block(name: str, kernel: str, shape: tuple[int, ...], outputs: int) -> None:
        taps = shape[0] * shape[1] * (1 if kernel == "depthwise_weights" else shape[2])
        variables[f"{name}/{kernel}"] = rng.normal(0, (2 / taps) ** 0.5, shape).astype(np.float16)
        for norm, low, high in (
            ("gamma", 0.5, 1.5), ("beta", -0.2, 0.5), ("moving_mean", -0.2, 0.2), ("moving_variance", 0.005, 1.5)
        ):  # fmt: skip
            variables[f"{name}/BatchNorm/{norm}"] = rng.uniform(low, high, outputs).astype(np.float32)

    block("MobilenetV1/Conv2d_0", "weights", (3, 3, 3, 32), 32)
    for layer, (inputs, outputs) in enumerate(zip(UNPRUNED.encoder, UNPRUNED.encoder[1:]), start=1):
        block(f"MobilenetV1/Conv2d_{layer}_depthwise", "depthwise_weights", (3, 3, inputs, 1), inputs)
        block(f"MobilenetV1/Conv2d_{layer}_pointwise", "weights", (1, 1, inputs, outputs), outputs)
    path = tmp_path_factory.mktemp("tfslim") / "mobilenet.npz"
    np.savez(path, **variables)
    return path


def test_the_encoder_computes_what_random_variables_say(random_archive):
    assert_same_features(random_archive)


@pytest.mark.shared
def test_the_encoder_computes_what_the_published_variables_say():
    assert_same_features(GOOGLE)


def test_a_missing_variable_is_named(random_archive, tmp_path):
    with np.load(random_archive) as archive:
        kept = {name: archive[name] for name in archive.files if "Conv2d_5_pointwise/BatchNorm/beta" not in name}
    np.savez(tmp_path / "cut.npz", **kept)
    with pytest.raises(CheckpointError, match="Conv2d_5_pointwise/BatchNorm/beta"):
        load_imagenet_encoder(FastDepth(UNPRUNED), tmp_path / "cut.npz")


def test_a_file_that_is_no_archive_is_refused(tmp_path):
    (tmp_path / "half.npz").write_bytes(b"PK\x03\x04 half")
    with pytest.raises(CheckpointError, match=r"half\.npz"):
        load_imagenet_encoder(FastDepth(UNPRUNED), tmp_path / "half.npz")


def test_pruned_and_folded_encoders_are_refused(random_archive):
    for network in (FastDepth(PRUNED), FastDepth(UNPRUNED, batch_norm=False)):
        with pytest.raises(CheckpointError, match="unpruned"):
            load_imagenet_encoder(network, random_archive)


@pytest.fixture
def keras_file(random_archive, tmp_path):
    """The same variables as Keras stores them in mobilenet_1_0_224_tf_no_top.h5."""
    import h5py

    path = tmp_path / "mobilenet_1_0_224_tf_no_top.h5"
    with np.load(random_archive) as archive, h5py.File(path, "w") as file:
        for name in archive.files:
            _, layer, *rest = name.split("/")
            _, number, *kind = layer.split("_")
            keras = f"conv_{'dw' if kind == ['depthwise'] else 'pw'}_{number}" if kind else "conv1"
            if rest[0] == "BatchNorm":
                file[f"{keras}_bn/{keras}_bn/{rest[1]}:0"] = archive[name]
            else:
                file[f"{keras}/{keras}/{rest[0].replace('weights', 'kernel')}:0"] = archive[name]
    return path


def test_a_file_of_keras_gives_the_features_of_the_same_variables(random_archive, keras_file):
    assert_same_features(random_archive, keras_file)
    ours, theirs = FastDepth(UNPRUNED), FastDepth(UNPRUNED)
    load_imagenet_encoder(ours, random_archive)
    load_imagenet_encoder(theirs, keras_file)
    for name, value in ours.encoder.state_dict().items():
        assert torch.equal(value, theirs.encoder.state_dict()[name]), name


def test_a_damaged_file_of_keras_says_what_it_lacks(keras_file, tmp_path):
    import h5py

    with h5py.File(keras_file, "a") as file:
        del file["conv_pw_5_bn/conv_pw_5_bn/beta:0"]
    with pytest.raises(CheckpointError, match=r"0 arrays beta:0 in the layer conv_pw_5_bn"):
        load_imagenet_encoder(FastDepth(UNPRUNED), keras_file)
    with h5py.File(keras_file, "a") as file:
        file.create_dataset("conv_pw_5_bn/conv_pw_5_bn/beta:0", (1 << 40,), "f4", chunks=(1 << 20,))
    with pytest.raises(CheckpointError, match="larger than any of MobileNet v1"):
        load_imagenet_encoder(FastDepth(UNPRUNED), keras_file)
    with h5py.File(keras_file, "a") as file:
        del file["conv_dw_2"]
    with pytest.raises(CheckpointError, match="conv_dw_2"):
        load_imagenet_encoder(FastDepth(UNPRUNED), keras_file)
    (tmp_path / "half.h5").write_bytes(keras_file.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=r"half\.h5 holds no weights of Keras' MobileNet"):
        load_imagenet_encoder(FastDepth(UNPRUNED), tmp_path / "half.h5")


def assert_same_features(path: Path, read: Path | None = None) -> None:
    network = FastDepth(UNPRUNED)
    initialize(network, seed=0)
    load_imagenet_encoder(network, read or path)
    encoder = network.encoder.eval().double()  # of random layers, single precision alone differs by more
    pad_as_tensorflow(encoder)
    rgb = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        ours, theirs = encoder(rgb)[-1], forward_of_variables(path, 2 * rgb - 1)
    assert ours.shape == theirs.shape == (1, 1024, 2, 3)
    assert float(theirs.std()) > 0.01  # features, not a constant
    torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-3)


def pad_as_tensorflow(encoder: nn.Module) -> None:
    """A stride of 2 is padded below and to the right; the first layer's padding is TF-Slim's 0, our mid-gray."""
    first = True
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
            sides = (0, 1, 0, 1) if module.stride == (2, 2) else (1, 1, 1, 1)
            module.padding = (0, 0)
            value = 0.5 if first else 0.0
            module.register_forward_pre_hook(lambda _, x, s=sides, v=value: (functional.pad(x[0], s, value=v),))
            first = False


def forward_of_variables(path: Path, x):
    """The network as TF-Slim defines it: (1, 3, H, W) in [-1, 1] to (1, 1024, H / 32, W / 32)."""
    with np.load(path) as archive:
        variables = {name: torch.from_numpy(archive[name].astype(np.float64)) for name in archive.files}

    def norm(x, name: str):
        gamma, beta, mean, variance = (
            variables[f"MobilenetV1/{name}/BatchNorm/{each}"]
            for each in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return functional.batch_norm(x, mean, variance, gamma, beta, eps=1e-3).clamp(0, 6)

    def pad(x, stride: int):
        return functional.pad(x, (0, 1, 0, 1) if stride == 2 else (1, 1, 1, 1))

    kernel = variables["MobilenetV1/Conv2d_0/weights"].permute(3, 2, 0, 1)
    x = norm(functional.conv2d(pad(x, 2), kernel, stride=2), "Conv2d_0")
    for layer in range(1, 14):
        stride = ENCODER_STRIDES[layer]
        kernel = variables[f"MobilenetV1/Conv2d_{layer}_depthwise/depthwise_weights"].permute(2, 3, 0, 1)
        x = functional.conv2d(pad(x, stride), kernel, stride=stride, groups=x.shape[1])
        x = norm(x, f"Conv2d_{layer}_depthwise")
        kernel = variables[f"MobilenetV1/Conv2d_{layer}_pointwise/weights"].permute(3, 2, 0, 1)
        x = norm(functional.conv2d(x, kernel), f"Conv2d_{layer}_pointwise")
    return x
