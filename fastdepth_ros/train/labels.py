"""Depth for photographs that have none, from a trained network: a data set for a smaller one to learn from."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fastdepth_ros.data.folder_writer import FolderWriter
from fastdepth_ros.data.photographs import Photographs
from fastdepth_ros.depth.geometry import trained_view
from fastdepth_ros.nn.checkpoints import fingerprint
from fastdepth_ros.nn.network import DepthNetwork

BATCH = 32


def label_photographs(photographs: Photographs, network: DepthNetwork, out: Path, *, side_px: int) -> int:
    """Write a `folder` data set: one view of 4:3 of each photograph, with the network's depth.

    Of an upright or square photograph every other view is of the top, the rest of the bottom. The network sees all of
    the view, who is trained on it only the part that `trained_view` keeps, enlarged: the depth is as much smaller.
    What is there already stays: a killed run goes on.

    Args:
        side_px: of the network's square input, a multiple of 32.

    Returns:
        How many photographs were labelled now.

    Raises:
        DatasetError: the folder holds the pairs of other photographs, another network or another side.
    """
    job = {"photographs": photographs.fingerprint, "network": fingerprint(network), "side_px": side_px}
    writer = FolderWriter(out, job)
    names = [f"{index:06d}" for index in range(len(photographs))]
    missing = [index for index, name in enumerate(names) if not writer.has(name)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with tqdm(total=len(missing), desc="labelling", unit="photo") as progress:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            views = [_view(photographs[index], bottom=index % 2 == 1) for index in batch]
            for index, view, depth in zip(batch, views, _depths(network, views, side_px, device)):
                enlarged = view.shape[0] / trained_view(*view.shape[:2]).height
                writer.add(names[index], view, depth / enlarged)
            progress.update(len(batch))
    writer.finish(names)
    return len(missing)


def _view(rgb: np.ndarray, *, bottom: bool) -> np.ndarray:
    """The largest part of shape 4:3, of the trained view's shape; of a wider photograph the middle."""
    height, width = rgb.shape[:2]
    rows, columns = min(height, round(width * 0.75)), min(width, round(height / 0.75))
    top, left = (height - rows if bottom else 0), (width - columns) // 2
    return rgb[top : top + rows, left : left + columns]


def _depths(network: DepthNetwork, views: list[np.ndarray], side_px: int, device: torch.device) -> list[np.ndarray]:
    inputs = np.stack([cv2.resize(view, (side_px, side_px), interpolation=cv2.INTER_LINEAR) for view in views])
    with torch.inference_mode():
        rgb = torch.from_numpy(inputs).to(device).permute(0, 3, 1, 2).float() / 255
        maps = network.half_resolution(rgb)[:, 0].cpu().numpy()  # (N, side / 2, side / 2) metres
    return [cv2.resize(depth, view.shape[1::-1], interpolation=cv2.INTER_LINEAR) for depth, view in zip(maps, views)]
