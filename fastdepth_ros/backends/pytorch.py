"""PyTorch: the reference that every other backend is compared with."""

from __future__ import annotations

import numpy as np

from fastdepth_ros.backends.base import BACKENDS, BackendError, BackendOptions, ModelFile, Outputs, engine_text


@BACKENDS.register("pytorch")
class PyTorchBackend:
    """Runs `model.safetensors` on the torch device that `device` names: cpu, cuda, cuda:1, ...

    Raises:
        BackendError: the device is not there, or the file does not hold the network of its manifest.
    """

    model_format = "safetensors"
    module = "torch"
    install = "pip install 'fastdepth_ros[torch]'"

    def __init__(self, model: ModelFile, options: BackendOptions) -> None:
        import torch

        if options.precision != "fp32":
            raise BackendError(
                f"pytorch is the reference, in fp32; {options.precision} runs in onnxruntime or openvino"
            )
        from fastdepth_ros.nn.checkpoints import CheckpointError, load_checkpoint
        from fastdepth_ros.nn.deployed import Deployed, deployed, sharpen

        try:
            if options.thread_limit:
                torch.set_num_threads(options.thread_limit)
            network, _ = load_checkpoint(model.path)
            self._device = torch.device(options.device)
            runnable = deployed(network)
            if isinstance(runnable, Deployed) and self._device.type == "cpu":
                sharpen(runnable.network)  # what others are compared with should be right to the last digits
            self._network = runnable.to(self._device)
        except (AssertionError, CheckpointError, RuntimeError) as error:  # a torch without CUDA asserts that it has it
            raise BackendError(f"pytorch cannot load {model.path} on {options.device!r}: {error}") from error
        self._torch = torch
        self.computes, self.channels = "fp32", options.channels
        self.engine = engine_text(f"pytorch {torch.__version__}", str(self._device), self.computes)

    def infer(self, pixels: np.ndarray, camera: np.ndarray | None = None) -> Outputs:
        with self._torch.inference_mode():
            tensor = self._torch.from_numpy(pixels).to(self._device)[None]
            rgb = tensor if self.channels == "rgb" else tensor.flip(-1)
            return Outputs(*(output[0, 0].cpu().numpy() for output in self._network(rgb)))
