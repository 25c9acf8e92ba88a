"""Head of a network that says how sure the depth of a pixel is: a second output, beside frozen depth."""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.layers import upsample

FACTOR = 1.25  # depth within this factor of the truth is right, as of the metric delta1
FORMS = ("laplace", "logit")
HIDDEN = 8
MAPS = 2  # of the decoder, from the coarsest: those at 1/16 and 1/8 of the input; a finer one adds time alone
LARGEST = 8.0  # of the logarithm of b either way: beyond it, probabilities are 0 or 1 in float32


class ConfidenceHead(nn.Module):
    """Probability that a pixel's depth is within a factor of 1.25 of the truth, from maps of the decoder.

    Args:
        inputs: channels of the maps, each of twice the size of the one before it.
        form: meaning of the last convolution: "laplace", the logarithm of the scale b of a Laplace distribution of the
            log error, p = 1 - exp(-ln(1.25) / b); or "logit", that of p.
        hidden: channels between both 1x1 convolutions.
        calibrated_on: data that it was calibrated on; "" if it is not.

    Raises:
        FastDepthError: an unknown form.
    """

    def __init__(self, inputs: Sequence[int], form: str, hidden: int = HIDDEN, calibrated_on: str = "") -> None:
        super().__init__()
        if form not in FORMS:
            raise FastDepthError(f"form of a confidence head is {form!r}, it can be {', '.join(FORMS)}")
        self.form, self.hidden, self.calibrated_on = form, hidden, calibrated_on
        self.first = nn.ModuleList(nn.Conv2d(count, hidden, 1, bias=not number) for number, count in enumerate(inputs))
        self.last = nn.Conv2d(hidden, 1, 1)

    def description(self) -> dict[str, Any]:
        """JSON description from which the head can be built again, for maps of the same channels."""
        return {"form": self.form, "hidden": self.hidden, "calibrated_on": self.calibrated_on, "maps": len(self.first)}

    def said(self, maps: Sequence[Tensor]) -> Tensor:
        """Output of the last convolution, of the size of the finest map: of two (N, 1, 28, 28). Maps that are finer yet
        are not read."""
        x = self.first[0](maps[0])
        for convolution, finer in zip(list(self.first)[1:], maps[1:]):
            x = upsample(x) + convolution(finer)
        return self.last(torch.relu(x))

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Probability of each pixel of the input: maps of 14, 28, ... to (N, 1, 224, 224)."""
        return functional.interpolate(
            self.probability(self.said(maps)), scale_factor=2.0 ** (5 - len(self.first)), mode="nearest"
        )

    def probability(self, said: Tensor) -> Tensor:
        if self.form == "logit":
            return torch.sigmoid(said)
        return 1 - torch.exp(-log(FACTOR) * torch.exp(-said.clamp(-LARGEST, LARGEST)))

    def loss(self, said: Tensor, log_error: Tensor) -> Tensor:
        """Mean negative log likelihood: of the log error for "laplace", of its being small for "logit".

        Args:
            log_error: logarithm of depth over truth, of the shape of `said`.
        """
        if self.form == "logit":
            right = (log_error.abs() < log(FACTOR)).float()
            return nn.functional.binary_cross_entropy_with_logits(said, right)
        return (said + log_error.abs() * torch.exp(-said.clamp(min=-LARGEST))).mean()

    def rescale(self, factor: float, shift: float) -> None:
        """Replace what the last convolution says by `factor` times it plus `shift`: with a factor above 0, a monotone
        map of the probability that costs nothing."""
        with torch.no_grad():
            self.last.weight.mul_(factor)
            self.last.get_parameter("bias").mul_(factor).add_(shift)
