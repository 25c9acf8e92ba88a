"""Networks as the estimator knows them, for tests of the hot path."""

from __future__ import annotations

from fastdepth_ros.depth.geometry import Focal
from fastdepth_ros.depth.network import FocalRule, Network, NetworkInput


def fastdepth(trained: Focal | None = None, size_px: int = 224) -> Network:
    """FastDepth with a square input.

    Args:
        trained: focal lengths of its training camera at the input; None: its scale follows no lens.
    """
    return Network(NetworkInput(size_px, size_px), FocalRule("trained", trained) if trained else FocalRule())
