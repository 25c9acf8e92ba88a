"""A long run: python test/fuzz/campaign.py --messages 1000000 --bags 1000

Numbered inputs, each from its number alone: the same number gives the same input.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "bags"), str(HERE.parents[1])]

from limits import deadline, in_child, limit_memory, peak_mb  # noqa: E402

BATCH = {"messages": 20_000, "bags": 50}


def message_batch(first: int, count: int) -> dict[str, Any]:
    """Some hostile messages, in this process, which is limited from here on.

    Returns:
        What became of them, what broke with its number, the slowest one in s with its number, memory.
    """
    import cv2
    from hostile_messages import Steps

    cv2.setNumThreads(1)
    steps = Steps()
    return _batch(first, count, lambda number: steps(Random(number)))


def bag_batch(first: int, count: int) -> dict[str, Any]:
    """The same for hostile bags."""
    import cv2
    from hostile_bags import read_all

    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        return _batch(first, count, lambda number: read_all(Random(number), Path(folder)))


def _batch(first: int, count: int, run: Any) -> dict[str, Any]:
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)  # what the decoders say about each damaged image
    limit_memory()
    became: Counter[str] = Counter()
    broken: dict[str, str] = {}
    slowest = (0.0, first)
    for number in range(first, first + count):
        started = time.perf_counter()
        try:
            with deadline():
                became[run(number)] += 1
        except BaseException:
            broken[str(number)] = traceback.format_exc()
        slowest = max(slowest, (time.perf_counter() - started, number))
    return {"became": became, "broken": broken, "slowest": slowest, "peak_mb": peak_mb()}


def main() -> int:
    from tqdm import tqdm

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--bags", type=int, default=1000)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    given = parser.parse_args()
    code = 0
    for kind, batch in (("messages", message_batch), ("bags", bag_batch)):
        total: dict[str, Any] = {"became": Counter(), "broken": {}, "slowest": (0.0, 0), "peak_mb": 0.0}
        with tqdm(total=getattr(given, kind), unit=kind[:-1]) as progress:
            while progress.n < progress.total:
                count = min(BATCH[kind], progress.total - progress.n)
                done = in_child(batch, given.first + progress.n, count)
                total["became"] += done["became"]
                total["broken"] |= done["broken"]
                for most in ("slowest", "peak_mb"):
                    total[most] = max(total[most], done[most])
                progress.update(count)
        print(json.dumps({kind: sum(total["became"].values()), **total}, indent=2))
        code |= bool(total["broken"])
    return code


if __name__ == "__main__":
    raise SystemExit(main())
