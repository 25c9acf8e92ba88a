"""Frame to network input: the right part of it, in RGB, whatever the order of its channels."""

from __future__ import annotations

import numpy as np
import pytest

from fastdepth_ros.depth.frame import Frame, FrameError
from fastdepth_ros.depth.geometry import Crop, Placement, trained_view
from fastdepth_ros.depth.network import NetworkInput

CORNERS = {"red": (250, 10, 20), "green": (30, 240, 40), "blue": (50, 60, 230), "yellow": (220, 210, 5)}


def network_input(frame: Frame, crop: Crop, size_px: int, channels: str = "rgb") -> np.ndarray:
    """`crop` of a frame, stretched to a square."""
    shape = frame.pixels.shape[:2]
    placement = Placement(crop, Crop(0, 0, size_px, size_px), crop.onto_grid(size_px, size_px), shape)
    return NetworkInput(size_px, size_px).pixels(frame, placement, channels)


def quadrants(height: int = 480, width: int = 640) -> np.ndarray:
    """RGB: red, green over blue, yellow."""
    image = np.empty((height, width, 3), np.uint8)
    half, middle = height // 2, width // 2
    image[:half, :middle], image[:half, middle:] = CORNERS["red"], CORNERS["green"]
    image[half:, :middle], image[half:, middle:] = CORNERS["blue"], CORNERS["yellow"]
    return image


def in_order(rgb: np.ndarray, order: str) -> np.ndarray:
    alpha = np.random.default_rng(0).integers(0, 256, (*rgb.shape[:2], 1), dtype=np.uint8)
    planes = {"r": rgb[..., :1], "g": rgb[..., 1:2], "b": rgb[..., 2:], "a": alpha}
    return np.concatenate([planes[letter] for letter in order], axis=-1)


@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra"])
def test_each_channel_order_gives_the_same_rgb_without_alpha(order):
    small = network_input(Frame(in_order(quadrants(), order), order), trained_view(480, 640), 224)
    assert small.shape == (224, 224, 3)
    assert small.dtype == np.uint8
    assert small.flags.c_contiguous
    for (row, column), color in zip([(20, 20), (20, 200), (200, 20), (200, 200)], CORNERS.values()):
        assert tuple(small[row, column]) == color
    # and the seams lie in the middle
    assert tuple(small[110, 110]) == CORNERS["red"]
    assert tuple(small[114, 114]) == CORNERS["yellow"]


@pytest.mark.parametrize("order", ["rgb", "bgr", "rgba", "bgra"])
def test_a_backend_that_takes_bgr_gets_the_same_pixels_in_bgr(order):
    frame, view = Frame(in_order(quadrants(), order), order), trained_view(480, 640)
    turned = network_input(frame, view, 224, "bgr")
    assert turned.flags.c_contiguous
    np.testing.assert_array_equal(turned[..., ::-1], network_input(frame, view, 224))


@pytest.mark.parametrize("shape", [(480, 640), (480, 640, 1)])
def test_gray_becomes_three_equal_channels(shape):
    gray = np.full(shape, 77, np.uint8)
    np.testing.assert_array_equal(network_input(Frame(gray, "mono"), trained_view(480, 640), 224), 77)


def test_only_the_field_of_view_counts():
    crop = trained_view(480, 640)
    frame, masked = quadrants(), np.zeros((480, 640, 3), np.uint8)
    inside = np.s_[crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    masked[inside] = frame[inside]
    np.testing.assert_array_equal(network_input(Frame(masked), crop, 224), network_input(Frame(frame), crop, 224))
    wider = Crop(0, 0, 480, 640)
    assert (network_input(Frame(masked), wider, 224) != network_input(Frame(frame), wider, 224)).any()


def test_the_resize_is_bilinear_with_pixel_centers_at_whole_numbers():
    ramp = np.broadcast_to((2 * np.arange(112) + 16).astype(np.uint8)[None, :, None], (84, 112, 3))
    small = network_input(Frame(ramp), Crop(0, 0, 84, 112), 56)
    # two pixels meet in each: those at 2i and 2i + 1 mix to the value at 2i + 1/2
    np.testing.assert_array_equal(small[20], np.repeat(4 * np.arange(56) + 17, 3).reshape(56, 3))


def test_padded_rows_and_read_only_memory_are_read_in_place():
    memory = np.zeros((480, 700, 3), np.uint8)
    memory[:, :640] = quadrants()
    memory.flags.writeable = False
    crop = trained_view(480, 640)
    np.testing.assert_array_equal(
        network_input(Frame(memory[:, :640]), crop, 224), network_input(Frame(quadrants()), crop, 224)
    )


def test_a_frame_of_the_network_size_is_copied_not_lent():
    pixels = quadrants(224, 224)
    small = network_input(Frame(pixels), Crop(0, 0, 224, 224), 224)
    np.testing.assert_array_equal(small, pixels)
    assert not np.shares_memory(small, pixels)


@pytest.mark.parametrize(
    ("pixels", "order", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), "rgb", "float32"),
        (np.zeros((4, 4, 4), np.uint8), "rgb", r"\(4, 4, 4\).*rgb"),
        (np.zeros((4, 4), np.uint8), "bgr", r"\(4, 4\)"),
        (np.zeros((4, 4, 3), np.uint8), "mono", "mono"),
        (np.zeros((1, 4, 4, 3), np.uint8), "rgb", r"\(1, 4, 4, 3\)"),
        (np.zeros((0, 4, 3), np.uint8), "rgb", "empty"),
        (np.zeros((4, 4, 3), np.uint8), "grb", "'grb'.*rgb, bgr, rgba, bgra, mono"),
    ],
)
def test_a_frame_refuses_pixels_that_do_not_fit_its_order(pixels, order, message):
    with pytest.raises(FrameError, match=message):
        Frame(pixels, order)
