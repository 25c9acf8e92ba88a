"""Google's MobileNet v1 classifier (TF-Slim or Keras, Apache-2.0) as tensors of our encoder.

That network takes 2x - 1 where ours takes x in [0, 1], stores kernels as HWIO and adds 1e-3 to a variance where ours
adds 1e-5. All three are folded into the tensors. It pads a stride of 2 below and to the right, ours above and to the
left, so that features agree only between networks that are padded alike.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.channels import UNPRUNED

EPSILON = 1e-3  # of its batch norms
OUR_EPSILON = 1e-5
LAYERS = 13  # separable layers after the first convolution
LARGEST = UNPRUNED.encoder[-2] * UNPRUNED.encoder[-1]  # numbers of one variable; a file may claim any shape
KERAS_SUFFIXES = (".h5", ".hdf5")
_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}


def read_tfslim_mobilenet(path: Path) -> dict[str, Tensor]:
    """The encoder's state dict, from TF-Slim's variables in an `.npz` or from the weights of Keras in an `.h5`.

    Args:
        path: an `.npz` holds `MobilenetV1/Conv2d_0/weights` (3, 3, 3, 32),
            `MobilenetV1/Conv2d_N_depthwise/depthwise_weights` (3, 3, C, 1), `MobilenetV1/Conv2d_N_pointwise/weights`
            (1, 1, C, D), and the `BatchNorm` of each. An `.h5`, such as `mobilenet_1_0_224_tf_no_top.h5`, holds the
            same arrays in the layers `conv1`, `conv_dw_N`, `conv_pw_N` and the `_bn` of each.

    Returns:
        float32 tensors named `0.conv.weight`, `0.bn.weight`, `1.dw.conv.weight` and so on.

    Raises:
        FastDepthError: no such file, a variable missing, numbers that are not finite, or h5py not installed.
    """
    variables = _keras_variables(path) if path.suffix in KERAS_SUFFIXES else _tfslim_variables(path)
    tensors: dict[str, Tensor] = {}
    try:
        for ours, (theirs, kernel, _) in _blocks().items():
            tensors |= _block(variables, f"MobilenetV1/{theirs}", kernel, ours)
    except KeyError as error:
        raise FastDepthError(f"{path} is no MobileNet v1 of TF-Slim: it lacks {error}") from error
    return tensors


def _blocks() -> dict[str, tuple[str, str, str]]:
    """Layer of ours: that of TF-Slim, what this calls the kernel, and the layer of Keras."""
    blocks = {"0": ("Conv2d_0", "weights", "conv1")}
    for layer in range(1, LAYERS + 1):
        blocks[f"{layer}.dw"] = (f"Conv2d_{layer}_depthwise", "depthwise_weights", f"conv_dw_{layer}")
        blocks[f"{layer}.pw"] = (f"Conv2d_{layer}_pointwise", "weights", f"conv_pw_{layer}")
    return blocks


def _tfslim_variables(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files if name.startswith("MobilenetV1/Conv2d_")}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise FastDepthError(f"{path} is no NumPy archive: {error}") from error


def _keras_variables(path: Path) -> dict[str, np.ndarray]:
    """The variables of a Keras file under TF-Slim's names; of a whole saved model, its weights."""
    try:
        import h5py
    except ImportError as error:
        raise FastDepthError(f"{path} needs h5py", "pip install 'fastdepth_ros[train]'") from error
    variables = {}
    try:
        with h5py.File(path, "r") as file:
            layers = file.get("model_weights", file)
            for theirs, kernel, keras in _blocks().values():
                name = kernel.replace("weights", "kernel")
                variables[f"MobilenetV1/{theirs}/{kernel}"] = _weight(layers[keras], keras, name)
                for each in _NORM:
                    norm = _weight(layers[f"{keras}_bn"], f"{keras}_bn", each)
                    variables[f"MobilenetV1/{theirs}/BatchNorm/{each}"] = norm
    except FastDepthError as error:
        raise FastDepthError(f"{path}: {error}") from error
    except (OSError, KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise FastDepthError(f"{path} holds no weights of Keras' MobileNet: {error}") from error
    return variables


def _weight(layer: Any, layer_name: str, name: str) -> np.ndarray:
    """One array of a layer; Keras nests it under the layer's name, or the model's, as `NAME:0`."""
    found: list[Any] = []
    layer.visititems(lambda at, item: found.append(item) if at.rpartition("/")[2] == f"{name}:0" else None)
    if len(found) != 1:
        raise FastDepthError(f"it has {len(found)} arrays {name}:0 in the layer {layer_name}, needs one")
    if found[0].size > LARGEST:
        raise FastDepthError(f"{name}:0 of {layer_name} has shape {found[0].shape}, larger than any of MobileNet v1")
    return np.asarray(found[0][()])


def _block(variables: dict[str, np.ndarray], theirs: str, kernel: str, ours: str) -> dict[str, Tensor]:
    """Convolution and batch norm of one layer."""
    weight = variables[f"{theirs}/{kernel}"].astype(np.float64)  # (H, W, I, O), depthwise (H, W, C, 1)
    weight = weight.transpose(2, 3, 0, 1) if kernel == "depthwise_weights" else weight.transpose(3, 2, 0, 1)
    norm = {name: variables[f"{theirs}/BatchNorm/{name}"].astype(np.float64) for name in _NORM}
    if ours == "0":  # w * (2x - 1) = 2w * x - sum(w)
        norm["moving_mean"] = norm["moving_mean"] + weight.sum(axis=(1, 2, 3))
        weight = 2 * weight
    norm["moving_variance"] = norm["moving_variance"] + (EPSILON - OUR_EPSILON)
    arrays = {f"{ours}.conv.weight": weight} | {f"{ours}.bn.{_NORM[name]}": value for name, value in norm.items()}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32)) for name, array in arrays.items()}
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise FastDepthError(f"{theirs}: {name} holds numbers that are not finite")
    return tensors
