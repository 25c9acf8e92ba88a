"""Labels: depth of photographs from a trained network, as a data set for a smaller one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fastdepth_ros.data.datasets import TRAINED, WHOLE
from fastdepth_ros.data.folder_writer import FolderWriter
from fastdepth_ros.data.photographs import Photographs
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.nn.checkpoints import fingerprint
from fastdepth_ros.nn.network import DepthNetwork

BATCH = 32


@dataclass(frozen=True)
class Teacher:
    """A network that labels, and the side of the input that it labels at, a multiple of 32."""

    network: DepthNetwork
    side_px: int


def label_photographs(
    photographs: Photographs, teachers: Sequence[Teacher], out: Path, *, view: str = TRAINED, flip: bool = False
) -> int:
    """Write a `folder` data set: one view of 4:3 of each photograph, with the depth of the teachers.

    The depth is the geometric mean over teachers, and with `flip` over the mirrored photograph too. Of an upright or
    square photograph every other view is of the top, the rest of the bottom. The network sees all of the view, who is
    trained on it only the part that `trained_view` keeps, enlarged: the depth is as much smaller. With `view` "whole" a
    photograph is a 4:3 picture that was squeezed to its shape: it stays as it is, and teacher and trained network see
    all of it. What is there already stays: a killed run goes on.

    Returns:
        How many photographs were labeled now.

    Raises:
        FastDepthError: no teacher, or the folder holds pairs of other photographs, teachers or settings.
    """
    if not teachers:
        raise FastDepthError("labels need a teacher")
    with FolderWriter(out, _job(photographs, teachers, view, flip)) as writer:
        names = [f"{index:06d}" for index in range(len(photographs))]
        missing = [index for index, name in enumerate(names) if not writer.has(name)]
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        for teacher in teachers:
            teacher.network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        with tqdm(total=len(missing), desc="labeling", unit="photo") as progress:
            for start in range(0, len(missing), BATCH):
                batch = missing[start : start + BATCH]
                pictures = [photographs[index] for index in batch]
                if view != WHOLE:
                    pictures = [_view(picture, bottom=index % 2 == 1) for index, picture in zip(batch, pictures)]
                for index, picture, depth in zip(batch, pictures, _mean_depths(teachers, pictures, flip, device)):
                    enlarged = 1.0 if view == WHOLE else picture.shape[0] / trained_view(*picture.shape[:2]).height
                    writer.add(names[index], picture, depth / enlarged)
                progress.update(len(batch))
        writer.finish(names, {"view": view} if view != TRAINED else None)
    return len(missing)


def _job(photographs: Photographs, teachers: Sequence[Teacher], view: str, flip: bool) -> dict[str, Any]:
    """Everything that the labels depend on. One teacher and no options are described as ever: such a job goes on."""
    prints, sides = [fingerprint(teacher.network) for teacher in teachers], [teacher.side_px for teacher in teachers]
    alone = len(teachers) == 1
    return {
        "photographs": photographs.fingerprint,
        "network": prints[0] if alone else prints,
        "side_px": sides[0] if alone else sides,
        **({"view": view} if view != TRAINED else {}),
        **({"flip": True} if flip else {}),
    }


def _view(rgb: np.ndarray, *, bottom: bool) -> np.ndarray:
    """The largest part of shape 4:3, of the trained view's shape; of a wider photograph the middle."""
    height, width = rgb.shape[:2]
    rows, columns = min(height, round(width * 0.75)), min(width, round(height / 0.75))
    top, left = (height - rows if bottom else 0), (width - columns) // 2
    return rgb[top : top + rows, left : left + columns]


def _mean_depths(
    teachers: Sequence[Teacher], views: list[np.ndarray], flip: bool, device: torch.device
) -> list[np.ndarray]:
    """Geometric means over the teachers: their errors are of factors. 0, unknown, where one of them says 0."""
    maps = [_depths(teacher, views, device) for teacher in teachers]
    if flip:
        mirrored = [np.ascontiguousarray(view[:, ::-1]) for view in views]
        maps += [[depth[:, ::-1] for depth in _depths(teacher, mirrored, device)] for teacher in teachers]
    if len(maps) == 1:
        return maps[0]
    with np.errstate(divide="ignore"):
        return [np.exp(np.mean([np.log(depth) for depth in depths], axis=0)) for depths in zip(*maps)]


def _depths(teacher: Teacher, views: list[np.ndarray], device: torch.device) -> list[np.ndarray]:
    size = (teacher.side_px, teacher.side_px)
    inputs = np.stack([cv2.resize(view, size, interpolation=cv2.INTER_LINEAR) for view in views])
    with torch.inference_mode():
        rgb = torch.from_numpy(inputs).to(device).permute(0, 3, 1, 2).float() / 255
        maps = teacher.network.half_resolution(rgb)[:, 0].cpu().numpy()  # (N, side / 2, side / 2) meters
    return [cv2.resize(depth, view.shape[1::-1], interpolation=cv2.INTER_LINEAR) for depth, view in zip(maps, views)]
