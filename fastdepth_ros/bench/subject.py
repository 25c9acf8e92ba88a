"""Subject of a measurement: a function that loads something and returns a call to time, in its own process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.backends import BackendOptions
from fastdepth_ros.depth.frame import Frame

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TVM_NUM_THREADS")


class Loaded(NamedTuple):
    """Content of a subject's process: a call to time, the engine's name for itself and, if it is a backend, what
    it computes (`Backend.computes`)."""

    run: Callable[[], object]
    engine: str
    computes: str = ""


@dataclass(frozen=True)
class Subject:
    """One row of the figures.

    Args:
        name: unlike all others.
        load: picklable function that loads it.
        threads: threads of the engine; 0 leaves the number to it.
        facts: entries for the report.
        at_least: timed runs in a turn, where it needs more than the others to be seen undisturbed.
        beside_busy: it is timed while another process keeps a core busy.
    """

    name: str
    load: Callable[[], Loaded]
    threads: int = 0
    facts: Mapping[str, Any] = field(default_factory=dict)
    at_least: int = 1
    beside_busy: bool = False

    def environment(self) -> dict[str, str]:
        """Environment of the subject's process: libraries read their number of threads there."""
        return dict.fromkeys(THREAD_VARIABLES, str(self.threads)) if self.threads else {}


def test_frame(size_px: tuple[int, int]) -> np.ndarray:
    """uint8 (height, width, 3): a fixed noisy frame; how long a network takes does not depend on it."""
    return np.random.default_rng(0).integers(0, 256, (*size_px, 3), dtype=np.uint8)


def load_estimator(model: str, backend: str, options: BackendOptions, size_px: tuple[int, int]) -> Loaded:
    """Our hot path: a bgr8 frame in memory to an array of meters.

    Raises:
        FastDepthError: as they say.
    """
    artifact = find_artifact(model)
    engine = artifact.load(backend, options)
    camera = np.array([size_px[1], 0, size_px[1] / 2, 0, size_px[1], size_px[0] / 2, 0, 0, 1.0])
    k = camera if artifact.network.takes_camera else None
    run = partial(artifact.estimator(engine), Frame(test_frame(size_px), "bgr"), k)
    return Loaded(run, engine.engine, engine.computes)


def load_onnx(path: Path, threads: int) -> Loaded:
    """Any ONNX file in ONNX Runtime, from noise."""
    import onnxruntime

    from fastdepth_ros.backends.onnxruntime import session_options

    session = onnxruntime.InferenceSession(str(path), session_options(threads), providers=["CPUExecutionProvider"])
    rng, feed = np.random.default_rng(0), {}
    for entry in session.get_inputs():
        if entry.type == "tensor(uint8)":
            feed[entry.name] = rng.integers(0, 256, entry.shape, dtype=np.uint8)
        else:
            feed[entry.name] = rng.random(entry.shape, dtype=np.float32)
    return Loaded(lambda: session.run(None, feed), f"onnxruntime {onnxruntime.__version__} (cpu)")


def load_torch_eager(checkpoint: Path, threads: int, size_px: tuple[int, int]) -> Loaded:
    """PyTorch as the authors' scripts run it: their view of the frame, the module as it was trained, float32."""
    import torch

    from fastdepth_ros.data.authors import authors_view
    from fastdepth_ros.nn.checkpoints import load_checkpoint

    if threads:
        torch.set_num_threads(threads)
    network, _ = load_checkpoint(checkpoint)
    network.eval()
    frame = test_frame(size_px)

    def run() -> np.ndarray:
        rgb = np.asarray(authors_view(frame[..., ::-1], 224), dtype=np.float32) / 255
        with torch.no_grad():
            return network(torch.from_numpy(rgb.transpose(2, 0, 1).copy())[None]).squeeze().numpy()

    return Loaded(run, f"torch {torch.__version__} eager (cpu)")
