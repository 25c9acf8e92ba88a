"""A backend that several threads use, one at a time."""

from __future__ import annotations

import threading

import numpy as np

from fastdepth_ros.backends.base import Backend, BackendError

WAIT_S = 5.0


class InTurn:
    """Wraps a loaded backend, for an engine may not be called twice at once; infers as `Backend.infer` does.

    Args:
        wait_s: for the call of another thread, before giving up.
    """

    def __init__(self, backend: Backend, wait_s: float = WAIT_S) -> None:
        self.name, self.model_format, self.engine = backend.name, backend.model_format, backend.engine
        self.module, self.install = backend.module, backend.install
        self.computes, self.channels = backend.computes, backend.channels
        self._backend, self._wait_s = backend, wait_s
        self._turn = threading.Lock()

    def infer(self, pixels: np.ndarray) -> np.ndarray:
        """Raises BackendError while another thread's call takes too long, besides what the backend raises."""
        if not self._turn.acquire(timeout=self._wait_s):
            raise BackendError(f"{self.engine} has been busy with another frame for {self._wait_s:g} s")
        try:
            return self._backend.infer(pixels)
        finally:
            self._turn.release()
