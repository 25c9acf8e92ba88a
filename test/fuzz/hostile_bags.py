"""Bags of every format that a disk, a network or somebody has damaged."""

from __future__ import annotations

import io
import re
import shutil
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

from hostile_messages import DAMAGES, IN_PLACE
from recorded import IMAGE_TOPIC, write_long, write_rosbag1
from rosbags.rosbag2 import StoragePlugin

from fastdepth_ros.cli import main

FRAMES = 3
BAGS = {
    "mcap": lambda path: write_long(path, FRAMES),
    "mcap, packed chunks": lambda path: write_long(path, FRAMES, compress="STORAGE"),
    "mcap, packed messages": lambda path: write_long(path, FRAMES, compress="MESSAGE"),
    "sqlite3": lambda path: write_long(path, FRAMES, plugin=StoragePlugin.SQLITE3),
    "sqlite3, packed file": lambda path: write_long(path, FRAMES, plugin=StoragePlugin.SQLITE3, compress="FILE"),
    "sqlite3, packed messages": lambda path: write_long(path, FRAMES, plugin=StoragePlugin.SQLITE3, compress="MESSAGE"),
    "ROS 1": lambda path: write_rosbag1(path.with_suffix(".bag")),
}


def read_all(random: Random, folder: Path) -> str:
    """Damage a bag and have `fastdepth bag` make depth of it.

    Returns:
        What became of it: "depth", or the first words of the refusal.
    """
    good = _good_bag(random.choice(list(BAGS)), folder)
    bag = folder / f"bad{good.suffix}"
    _damage(random, good, bag)
    out = folder / "out"
    said = io.StringIO()
    arguments = ["bag", str(bag), "--image-topic", IMAGE_TOPIC, "--out", str(out), "--workers", "1", "--copy", "/*"]
    arguments += ["--backend", "onnxruntime"]  # OpenVINO reserves more addresses at each load than the limit allows
    with redirect_stderr(said), redirect_stdout(said):
        code = main(arguments)
    for path in (bag, out, out.with_name(f".{out.name}.parts")):
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    assert code in (0, 1) and "Traceback" not in said.getvalue(), said.getvalue()
    if code == 0:
        return "depth"
    reason = re.split(r"fastdepth bag: ", said.getvalue())[-1].replace(str(bag), "BAG")
    return re.sub(r"'.*?'|\d+", "", reason.splitlines()[0])[:50]


def _good_bag(kind: str, folder: Path) -> Path:
    path = folder / kind
    found = path if kind != "ROS 1" else path.with_suffix(".bag")
    return found if found.exists() else BAGS[kind](path)


def _damage(random: Random, good: Path, bad: Path) -> None:
    if good.is_dir():
        shutil.copytree(good, bad)
        chosen = random.choice([*bad.iterdir(), *(path for path in bad.iterdir() if path.suffix != ".yaml")])
    else:
        chosen = Path(shutil.copy(good, bad))
    data = bytearray(chosen.read_bytes())
    if random.random() < 0.05:
        chosen.unlink()
        return
    damages = random.choice([DAMAGES, IN_PLACE, IN_PLACE])
    for _ in range(random.choice([1, 1, 2, 4, 16, 64])):
        damage = random.choice(damages)
        start = random.choice([0, max(0, len(data) - 2000), random.randrange(len(data) + 1)])  # indexes lie at the ends
        piece = data[start : start + 2000]
        data[start : start + 2000] = damage(random, piece)
    chosen.write_bytes(data)
