"""The node as its executable runs it, with one more backend: ONNX Runtime that goes wrong as the file $FAULT says."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from pathlib import Path

import numpy as np

from fastdepth_ros.backends.base import BACKENDS, Outputs
from fastdepth_ros.backends.onnxruntime import OnnxRuntimeBackend

FAULT = Path(os.environ["FAULT"])


@BACKENDS.register("faulty")  # before the table of parameters lists the backends
class FaultyBackend(OnnxRuntimeBackend):
    def infer(self, rgb: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        fault = FAULT.read_text() if FAULT.exists() else ""
        if fault == "fail":
            raise RuntimeError("the device was lost")
        if fault.startswith("slow"):
            time.sleep(float(fault.split()[1]))
        if fault in ("hang once", "hang", "hang and hold Python"):
            if fault == "hang once":
                FAULT.unlink()
            (ctypes.PyDLL(None) if "Python" in fault else ctypes.CDLL(None)).sleep(3600)
        return super().infer(rgb)


if __name__ == "__main__":
    from fastdepth_ros.node.node import main

    sys.exit(main())
