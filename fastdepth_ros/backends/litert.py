"""LiteRT, the runtime of TensorFlow Lite with XNNPACK: the usual engine of small Arm boards."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from fastdepth_ros.backends.base import BACKENDS, BackendError, BackendOptions, ModelFile, Outputs, engine_text
from fastdepth_ros.jobs.cores import available_cores

BYTES = np.arange(256, dtype=np.uint8)
PRECISIONS = ("fp32", "int8")


class Port(NamedTuple):
    """The only input or output of a .tflite file.

    Args:
        shape: sizes with the batch of one; -1 is an axis that is not fixed.
        dtype: float32, uint8 or int8.
        scale, zero_point: value = (stored - zero_point) * scale, where it stores bytes.
    """

    tensor: int
    shape: tuple[int, ...]
    dtype: np.dtype
    scale: float
    zero_point: int

    def values(self) -> np.ndarray:
        """float32 (256,): value of each byte of memory, where it stores bytes."""
        return (BYTES.view(self.dtype).astype(np.float32) - self.zero_point) * np.float32(self.scale)

    def stored(self, values: np.ndarray) -> np.ndarray:
        """Values as they are stored, rounded and clipped to its bytes; float32 as they are."""
        if self.dtype == np.float32:
            return values.astype(np.float32)
        limits = np.iinfo(self.dtype)
        return np.clip(np.rint(values / self.scale) + self.zero_point, limits.min, limits.max).astype(self.dtype)


@BACKENDS.register("litert")
class LiteRtBackend:
    """Runs `model.tflite`, in float32 or int8, on the CPU.

    Raises:
        BackendError: another device or precision, or the file is not what its manifest says.
    """

    model_format = "tflite"
    module = "ai_edge_litert"
    install = "pip install 'fastdepth_ros[litert]'"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        if options.device != "cpu" or options.precision not in PRECISIONS:
            raise BackendError(
                f"litert runs {' or '.join(PRECISIONS)} on the cpu, not {options.precision} on {options.device!r}",
                "choose another backend for that",
            )
        self._interpreter, self._taken, self._given = open_tflite(model.path, options.thread_limit)
        wanted = (1, *model.input_px, 3)
        if self._taken.shape != wanted or model.takes_camera or model.outputs != ("depth",):
            raise BackendError(
                f"{model.path} takes one image {self._taken.shape} and gives depth, its manifest says {wanted} and "
                f"{', '.join(model.outputs)}{' of a camera' if model.takes_camera else ''}"
            )
        self._table = _input_table(self._taken, model.facts)
        self._convert = options.channels != model.facts.get("channels", "rgb")
        self._is_inverse = bool(model.facts.get("reciprocal"))
        self.computes, self.channels = options.precision, options.channels
        self.engine = engine_text(f"litert {version('ai-edge-litert')}", "cpu", self.computes)

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        ordered = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if self._convert else pixels
        taken = ordered if self._table is None else cv2.LUT(ordered, self._table)
        self._interpreter.set_tensor(self._taken.tensor, taken[None])
        self._interpreter.invoke()
        given = self._interpreter.get_tensor(self._given.tensor).reshape(self._given.shape[1:3])
        depth = given if given.dtype == np.float32 else cv2.LUT(given.view(np.uint8), self._given.values())
        if self._is_inverse:
            with np.errstate(divide="ignore"):
                depth = 1 / depth
        return Outputs(depth)


def open_tflite(path: Path, threads: int) -> tuple[Any, Port, Port]:
    """An interpreter of a .tflite file that is ready to run, its input and its output.

    Args:
        threads: number of threads; 0: all cores.

    Raises:
        BackendError: no .tflite file, an operator that LiteRT lacks, or other inputs and outputs than one image of
            fixed size and one map, in float32 or bytes.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        interpreter = Interpreter(model_path=str(path), num_threads=threads or available_cores())
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise BackendError(f"litert cannot load {path}: {error}") from error
    taken, given = ([_port(path, entry) for entry in details] for details in _ends(interpreter))
    if len(taken) != 1 or len(given) != 1:
        raise BackendError(
            f"{path} has {len(taken)} inputs and {len(given)} outputs", "it should have an image and a depth, one each"
        )
    (image,), (depth,) = taken, given
    if len(image.shape) != 4 or image.shape[0] != 1 or image.shape[3] != 3 or min(image.shape) < 1:
        raise BackendError(
            f"{path} takes {image.shape}, it should take an image (1, height, width, 3) of fixed size",
            "convert it again with that",
        )
    rows_and_columns = depth.shape[1:3]
    if depth.shape not in ((1, *rows_and_columns), (1, *rows_and_columns, 1)) or min(rows_and_columns, default=0) < 2:
        raise BackendError(f"{path} gives {depth.shape}, it should give a depth (1, rows, columns, 1)")
    return interpreter, image, depth


def _input_table(taken: Port, facts: Mapping[str, Any]) -> np.ndarray | None:
    """Table from pixel values to what the file takes, (1, 256, channels of the network); None: the pixel values.

    Without mean and std in the manifest bytes are the pixels, and floats are 0 to 1.
    """
    if "mean" in facts:
        return taken.stored((BYTES[:, None] - np.asarray(facts["mean"])) / np.asarray(facts["std"]))[None]
    if taken.dtype == np.float32:
        return (BYTES / np.float32(255))[None, :, None]
    return None if taken.dtype == np.uint8 else (BYTES ^ 128).view(np.int8)[None, :, None]


def _ends(interpreter: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return interpreter.get_input_details(), interpreter.get_output_details()


def _port(path: Path, entry: dict[str, Any]) -> Port:
    dtype, (scale, zero_point) = np.dtype(entry["dtype"]), entry["quantization"]
    if dtype not in (np.float32, np.uint8, np.int8) or (dtype != np.float32 and not scale > 0):
        raise BackendError(
            f"{path}: {entry['name']} is {dtype} with scale {scale}, it should be float32 or quantized bytes"
        )
    return Port(entry["index"], tuple(map(int, entry["shape_signature"])), dtype, float(scale), int(zero_point))
