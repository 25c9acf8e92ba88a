"""Depth for photographs that have none, from a trained network: a data set for a smaller one to learn from."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from fastdepth_ros.data.photographs import Photographs
from fastdepth_ros.nn.network import DepthNetwork

BATCH = 32
QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 95)
MAX_MM = np.iinfo(np.uint16).max


def label_photographs(photographs: Photographs, network: DepthNetwork, out: Path, *, side_px: int) -> int:
    """Write a `folder` data set: one view of 4:3 of each photograph, with the network's depth in millimetres.

    Of an upright or square photograph every other view is of the top, the rest of the bottom. What is there already
    stays: a killed run goes on. ``split.csv`` comes last.

    Args:
        side_px: of the network's square input, a multiple of 32.

    Returns:
        How many photographs were labelled now.
    """
    for kind in ("rgb", "depth"):
        (out / kind).mkdir(parents=True, exist_ok=True)
    names = [f"{index:06d}" for index in range(len(photographs))]
    missing = [index for index, name in enumerate(names) if not (out / "depth" / f"{name}.png").exists()]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    with tqdm(total=len(missing), desc="labelling", unit="photo") as progress:
        for start in range(0, len(missing), BATCH):
            batch = missing[start : start + BATCH]
            views = [_view(photographs[index], bottom=index % 2 == 1) for index in batch]
            for index, view, depth in zip(batch, views, _depths(network, views, side_px, device)):
                bgr = cv2.cvtColor(view, cv2.COLOR_RGB2BGR)
                millimetres = np.clip(depth * 1000, 1, MAX_MM).round().astype(np.uint16)
                _write(out / "rgb" / f"{names[index]}.jpg", cv2.imencode(".jpg", bgr, QUALITY)[1])
                _write(out / "depth" / f"{names[index]}.png", cv2.imencode(".png", millimetres)[1])
            progress.update(len(batch))
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([("name", "split"), *((name, "train") for name in names)])
    _write(out / "split.csv", np.frombuffer(table.getvalue().encode(), np.uint8))
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


def _write(path: Path, content: np.ndarray) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_bytes(content.tobytes())
    os.replace(partial, path)
