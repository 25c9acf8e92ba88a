"""A backend that several threads use is called once at a time."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fastdepth_ros.backends import BackendError
from fastdepth_ros.node.engine import LockedBackend


class Touchy:
    """An engine that does not bear two calls at once."""

    name = model_format = module = install = engine = computes = "touchy"
    channels = "rgb"

    def __init__(self) -> None:
        self.inside, self.most = 0, 0
        self.go_on = threading.Event()
        self.go_on.set()

    def infer(self, rgb: np.ndarray) -> np.ndarray:
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.002)
        self.go_on.wait(10)
        self.inside -= 1
        return rgb[..., 0].astype(np.float32)


def test_calls_of_several_threads_do_not_overlap_and_each_gets_its_own():
    touchy = Touchy()
    backend = LockedBackend(touchy)  # type: ignore[arg-type]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda value: backend.infer(np.full((2, 2, 3), value, np.uint8))[0, 0], range(40)))
    assert found == list(range(40)) and touchy.most == 1


def test_a_call_that_does_not_return_is_told_to_the_next():
    touchy = Touchy()
    touchy.go_on.clear()
    backend = LockedBackend(touchy, wait_s=0.05)  # type: ignore[arg-type]
    rgb = np.zeros((2, 2, 3), np.uint8)
    with ThreadPoolExecutor(1) as pool:
        hung = pool.submit(backend.infer, rgb)
        while not touchy.inside:
            time.sleep(0.001)
        with pytest.raises(BackendError, match="touchy has been busy"):
            backend.infer(rgb)
        touchy.go_on.set()
        hung.result(10)
    assert backend.infer(rgb).shape == (2, 2)
