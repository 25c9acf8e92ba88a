"""Losses on log depth, (N, 1, H, W) each; pixels whose target is 0 do not count."""

from __future__ import annotations

import torch
from torch import Tensor

MIN_DEPTH_M = 0.05


def log_depth_loss(depth: Tensor, target: Tensor, *, invariance: float = 0.5, gradient_weight: float = 0.5) -> Tensor:
    """Mean absolute log error, scale-invariant spread (Eigen 2014) and gradient matching on four scales (MegaDepth).

    Args:
        depth, target: (N, 1, H, W) meters.
        invariance: share of the squared mean error that Eigen's term forgives.
        gradient_weight: weight of the gradient term.

    Returns:
        A scalar.

    >>> depth = torch.full((1, 1, 16, 16), 2.0)
    >>> log_depth_loss(depth, depth).item() < 1e-3 < log_depth_loss(2 * depth, depth).item()
    True
    """
    valid = target > 0
    difference = depth.clamp_min(MIN_DEPTH_M).log() - target.clamp_min(MIN_DEPTH_M).log()
    difference = torch.where(valid, difference, torch.zeros_like(difference))
    absolute = difference.abs().sum() / valid.sum().clamp_min(1)
    return absolute + _scale_invariant(difference, valid, invariance) + gradient_weight * _gradients(difference, valid)


def _scale_invariant(difference: Tensor, valid: Tensor, invariance: float) -> Tensor:
    count = valid.sum(dim=(1, 2, 3)).clamp_min(1)
    mean = difference.sum(dim=(1, 2, 3)) / count
    mean_square = difference.square().sum(dim=(1, 2, 3)) / count
    return (mean_square - invariance * mean.square()).clamp_min(1e-8).sqrt().mean()


def _gradients(difference: Tensor, valid: Tensor) -> Tensor:
    total = difference.new_zeros(())
    for step in (1, 2, 4, 8):
        d, v = difference[..., ::step, ::step], valid[..., ::step, ::step]
        for axis in (-1, -2):
            steps = d.diff(dim=axis).abs()
            both = v.narrow(axis, 1, v.shape[axis] - 1) & v.narrow(axis, 0, v.shape[axis] - 1)
            total = total + (steps * both).sum() / both.sum().clamp_min(1)
    return total / 4


def metric_loss(depth: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error in meters (the paper's).

    >>> metric_loss(torch.tensor([1.0, 2.0, 5.0]), torch.tensor([2.0, 2.0, 0.0])).item()
    0.5
    """
    valid = target > 0
    return (torch.where(valid, depth - target, torch.zeros_like(depth)).abs().sum()) / valid.sum().clamp_min(1)


LOSSES = {"l1": metric_loss, "log-depth": log_depth_loss}
