"""A backend that goes wrong as a test wants it: fixture `odd_backend`."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from fastdepth_ros.backends import BACKENDS, Outputs
from fastdepth_ros.backends.onnxruntime import OnnxRuntimeBackend


@BACKENDS.register("odd")
class OddBackend(OnnxRuntimeBackend):
    """ONNX Runtime that is slow, off, broken or still loading; it does not bear two calls at once."""

    delay_s = 0.0
    off_m = 0.0
    error: BaseException | None = None  # of each load and each call
    loading, may_load = threading.Event(), threading.Event()

    @classmethod
    def reset(cls) -> None:
        cls.delay_s, cls.off_m, cls.error = 0.0, 0.0, None
        cls.loading.clear()
        cls.may_load.set()

    def __init__(self, *arguments: Any) -> None:
        self.loading.set()
        self.may_load.wait(60)
        if self.error is not None:
            raise self.error
        self._inside = threading.Lock()
        super().__init__(*arguments)

    def infer(self, rgb: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        assert self._inside.acquire(blocking=False), "called while another call was in it"
        try:
            time.sleep(self.delay_s)
            if self.error is not None:
                raise self.error
            return Outputs(super().infer(rgb).depth + np.float32(self.off_m))
        finally:
            self._inside.release()
