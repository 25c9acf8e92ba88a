"""Splits NYU's labeled training pairs: one tenth, in blocks, chooses checkpoints and never trains.

Usage: python models/held_out.py ROOT OUT

Writes OUT/split.csv with the splits train, held-out, unused and test, beside links to ROOT/rgb and ROOT/depth. NYU's
pairs are ordered by scene: a pair that is chosen at random has its neighbor in the training set. Pairs at fewer than
GAP indices from a block are unused.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

GAP = 20
# First and last index of each block, 1-based: long runs of training pairs that few others are near to.
BLOCKS = ((203, 228), (735, 758), (1059, 1087), (1366, 1393))


def role(index: int, split: str) -> str:
    """The split of a pair in the new table."""
    if split != "train":
        return split
    distance = min(max(first - index, index - last, 0) for first, last in BLOCKS)
    return "held-out" if distance == 0 else "unused" if distance < GAP else "train"


def main(root: Path, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name in ("rgb", "depth"):
        if not (out / name).exists():
            (out / name).symlink_to((root / name).resolve())
    with (root / "split.csv").open(newline="") as lines:
        rows = [(int(row["index"]), row["split"]) for row in csv.DictReader(lines)]
    with (out / "split.csv").open("w", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(("index", "split"))
        table.writerows((index, role(index, split)) for index, split in rows)
    counts = [role(*row) for row in rows]
    print({name: counts.count(name) for name in sorted(set(counts))})


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
