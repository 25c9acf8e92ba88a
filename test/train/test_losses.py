"""The loss against numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from fastdepth_ros.train.losses import log_depth_loss

SHAPE = (2, 1, 32, 32)


def target(seed: int = 0) -> torch.Tensor:
    return 0.5 + 5 * torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


def test_the_truth_itself_costs_nothing():
    assert log_depth_loss(target(), target()).item() == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("ratio", [2.0, 0.5, 1.1])
def test_a_wrong_scale_costs_its_logarithm_and_half_of_its_square(ratio):
    expected = abs(math.log(ratio)) * (1 + math.sqrt(1 - 0.5))
    assert log_depth_loss(target() * ratio, target()).item() == pytest.approx(expected, rel=1e-3)
    forgiven = log_depth_loss(target() * ratio, target(), invariance=1.0).item()
    assert forgiven == pytest.approx(abs(math.log(ratio)), abs=2e-4)  # a root is never taken of 0


def test_a_step_costs_where_it_is_at_each_scale():
    """A vertical edge of log height a: 1 of 31, 15, 7 and 3 differences; half of the pixels are off by a."""
    a = math.log(1.5)
    truth = torch.ones(SHAPE)
    depth = truth.clone()
    depth[..., 16:] = 1.5
    plain = log_depth_loss(depth, truth, gradient_weight=0).item()
    assert plain == pytest.approx(a / 2 + math.sqrt(a * a / 2 - 0.5 * (a / 2) ** 2), rel=1e-4)
    with_edges = log_depth_loss(depth, truth, gradient_weight=1).item()
    assert with_edges - plain == pytest.approx(a * (1 / 31 + 1 / 15 + 1 / 7 + 1 / 3) / 4, rel=1e-4)


def test_worse_costs_more():
    losses = [log_depth_loss(target() * ratio, target()).item() for ratio in (1, 1.1, 1.3, 2, 4)]
    assert losses == sorted(losses)
    noise = [log_depth_loss(target() + sigma * target(1), target()).item() for sigma in (0, 0.1, 0.5)]
    assert noise == sorted(noise)


def test_pixels_without_truth_neither_count_nor_learn():
    truth = target()
    truth[:, :, :10] = 0
    depth = target(1).requires_grad_()
    loss = log_depth_loss(depth, truth)
    loss.backward()
    assert depth.grad is not None
    assert (depth.grad[:, :, :10] == 0).all()
    assert (depth.grad[:, :, 10:] != 0).any()
    elsewhere = target(1)
    elsewhere[:, :, :10] = 99
    torch.testing.assert_close(log_depth_loss(elsewhere, truth), loss.detach())


def test_an_image_without_any_truth_costs_nothing_and_breaks_nothing():
    depth = target(1).requires_grad_()
    loss = log_depth_loss(depth, torch.zeros(SHAPE))
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-3)
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()


def test_a_prediction_of_zero_costs_much_and_stays_finite():
    depth = torch.zeros(SHAPE, requires_grad=True)
    loss = log_depth_loss(depth, target())
    loss.backward()
    assert 2 < loss.item() < 20
    assert depth.grad is not None
    assert torch.isfinite(depth.grad).all()


def test_following_the_gradient_finds_the_truth():
    depth = torch.full(SHAPE, 2.0, requires_grad=True)
    optimizer = torch.optim.Adam([depth], lr=0.1)
    first = log_depth_loss(depth, target()).item()
    for _ in range(100):
        optimizer.zero_grad()
        loss = log_depth_loss(depth, target())
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2 * first
