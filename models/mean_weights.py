"""Mean of the weights of two checkpoints of one network, of which the second went on from the first.

Usage: python models/mean_weights.py FIRST SECOND OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

from fastdepth_ros.nn.checkpoints import load_checkpoint, save_checkpoint


def main(first: Path, second: Path, out: Path) -> None:
    network, other = load_checkpoint(first)[0], load_checkpoint(second)[0].state_dict()
    for name, weights in network.state_dict().items():
        if weights.is_floating_point():  # a count of batches is none
            weights.add_(other[name]).div_(2)
    save_checkpoint(network, out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
