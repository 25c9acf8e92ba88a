"""Flicker of the depth of a still scene: a synthetic room, seen repeatedly with new noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastdepth_ros.artifact.artifact import Artifact
from fastdepth_ros.backends import Backend
from fastdepth_ros.data.synthetic.sequence import NOISE, room_sequence
from fastdepth_ros.depth.frame import Frame
from fastdepth_ros.depth.options import EstimatorOptions
from fastdepth_ros.metrics.depth import temporal_noise

FRAMES, SETTLED = 40, 20  # seen, and of them those that count: the filter needs some to settle
STRENGTHS = (0.0, 0.8)  # of the filter over time


def flicker(artifact: Artifact, backend: Backend) -> list[dict[str, Any]]:
    """`temporal_noise` of the network's depth for each strength of the filter over time, in `temporal_filter`."""
    (room,) = room_sequence(1)
    rng, scene = np.random.default_rng(0), room.rgb.astype(np.float32)
    noisy = [
        np.clip(scene + 255 * NOISE * rng.standard_normal(scene.shape, np.float32), 0, 255).astype(np.uint8)
        for _ in range(FRAMES)
    ]
    rows = []
    for strength in STRENGTHS:
        options = EstimatorOptions(focal_scale="off", temporal_filter=strength)
        estimator = artifact.estimator(backend, options)
        depths = np.stack([estimator(Frame(rgb)).depth for rgb in noisy])
        rows.append({"model": artifact.name, "temporal_filter": strength, **temporal_noise(depths[SETTLED:])})
    return rows
