"""Notes about a bag's camera, and about files that are no images."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fastdepth_ros.bags.camera import depth_lens_note, lens_note
from fastdepth_ros.cli import main
from fastdepth_ros.depth.frame import FrameError, decode_message


@pytest.mark.parametrize(
    ("topic", "model", "d", "words"),
    [
        ("/camera/image_raw", "plumb_bob", [0.1, 0, 0, 0, 0], "a lens that distorts (plumb_bob)"),
        ("/camera/image_raw", "equidistant", [0.0] * 4, "a fisheye lens (equidistant)"),
        ("/camera/image_raw", "plumb_bob", [0.0] * 5, ""),
        ("/camera/image_rect", "plumb_bob", [0.1, 0, 0, 0, 0], ""),
    ],
)
def test_a_lens_that_distorts_is_told_unless_the_frames_are_rectified(topic, model, d, words):
    note = lens_note(topic, SimpleNamespace(distortion_model=model, d=d, k=[1.0] * 9))
    assert words in note and bool(note) is bool(words)


@pytest.mark.parametrize("named", ["h264", "jxl", "rgb8; jpegxl compressed bgr8", ""])
def test_a_compressed_frame_that_cannot_be_decoded_is_told_with_its_format(named):
    message = SimpleNamespace(format=named, data=np.frombuffer(b"\0\0\0\1\x67" + bytes(99), np.uint8))
    with pytest.raises(FrameError) as told:
        decode_message(message)
    assert repr(named) in str(told.value) or (named and named in str(told.value))


def test_without_a_camera_info_nothing_is_told_of_the_lens():
    assert lens_note("/camera/image_raw", None) == depth_lens_note(None) == ""


def test_a_folder_and_a_pointer_of_lfs_are_no_images(tmp_path, capsys):
    (tmp_path / "x.jpg").write_text("version https://git-lfs.github.com/spec/v1\n")
    for given, words in ((tmp_path, "is a folder"), (tmp_path / "x.jpg", "is a Git LFS pointer")):
        assert main(["image", str(given), "--out", str(tmp_path / "out")]) == 1
        assert words in capsys.readouterr().err
