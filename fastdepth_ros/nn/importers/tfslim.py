"""Google's MobileNet v1 classifier (TF-Slim, Apache-2.0) as tensors of our encoder.

TF-Slim's network takes 2x - 1 where ours takes x in [0, 1], stores kernels as HWIO and adds 1e-3 to a variance where
ours adds 1e-5. All three are folded into the tensors. TF-Slim pads a stride of 2 below and to the right, ours above and
to the left, so that features agree only between networks that are padded alike.
"""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from fastdepth_ros.errors import FastDepthError

EPSILON = 1e-3  # of TF-Slim's batch norms
OUR_EPSILON = 1e-5
LAYERS = 13  # separable layers after the first convolution


def read_tfslim_mobilenet(path: Path) -> dict[str, Tensor]:
    """The encoder's state dict, from an `.npz` of TF-Slim's variables under their own names.

    Args:
        path: holds `MobilenetV1/Conv2d_0/weights` (3, 3, 3, 32), `MobilenetV1/Conv2d_N_depthwise/depthwise_weights`
            (3, 3, C, 1), `MobilenetV1/Conv2d_N_pointwise/weights` (1, 1, C, D), and the `BatchNorm` of each.

    Returns:
        float32 tensors named `0.conv.weight`, `0.bn.weight`, `1.dw.conv.weight` and so on.

    Raises:
        ValueError: no such archive, a variable missing, or numbers that are not finite.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            variables = {name: archive[name] for name in archive.files if name.startswith("MobilenetV1/Conv2d_")}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise FastDepthError(f"{path} is no NumPy archive: {error}") from error
    blocks = {"0": ("Conv2d_0", "weights")}
    for layer in range(1, LAYERS + 1):
        blocks[f"{layer}.dw"] = (f"Conv2d_{layer}_depthwise", "depthwise_weights")
        blocks[f"{layer}.pw"] = (f"Conv2d_{layer}_pointwise", "weights")
    tensors: dict[str, Tensor] = {}
    try:
        for ours, (theirs, kernel) in blocks.items():
            tensors |= _block(variables, f"MobilenetV1/{theirs}", kernel, ours)
    except KeyError as error:
        raise FastDepthError(f"{path} is no MobileNet v1 of TF-Slim: it lacks {error}") from error
    return tensors


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


_NORM = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
