"""Console blocks of README and pages: what can run here runs, the others begin with `# not run here`.

A block runs in a folder that has a file or folder for each name in capitals, and the programs of the package in PATH.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import yaml
from processes import end

from fastdepth_ros.cli import VERBS

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "doc").glob("*.md"))]
LANGUAGES = {"bash", "text", "python", "yaml", "toml", "xml"}
MARK = "# not run here"
# What a command needs
MODULES = {
    "fastdepth video": "av", "fastdepth live": "rerun", "fastdepth view": "rerun", "fastdepth quantize": "onnx",
    "fastdepth compile": "tvm", "fastdepth export": "onnx", "fastdepth demo": "rclpy", "fastdepth_": "rclpy",
}  # fmt: skip
ENDLESS = {  # command -> what it prints once it works
    "fastdepth view": "http://", "fastdepth live": "http://", "fastdepth_node": "", "fastdepth_camera": "",
    "ros2 launch fastdepth_ros": "process started",
}  # fmt: skip
ASKS_A_GRAPH = re.compile(r"^ros2 (topic|param|node|lifecycle|service)\b", re.M)
PATIENCE_S = 120.0
LONGEST_S = 900.0  # of a block, on a busy machine


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    language: str
    text: str

    @property
    def title(self) -> str:
        return f"{self.page.stem}:{self.line}"

    @property
    def runs(self) -> bool:
        return not self.text.startswith(MARK)

    @property
    def commands(self) -> list[str]:
        """Commands without comments, lines that go on joined."""
        joined = self.text.replace("\\\n", " ")
        return [stripped for line in joined.splitlines() if (stripped := re.sub(r"(^|\s)#.*", "", line).strip())]


def blocks() -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in re.finditer(r"^```(\w*)\n(.*?)^```", text, re.M | re.S):
            yield Block(page, text[: found.start()].count("\n") + 1, found[1], found[2])


BLOCKS = list(blocks())
CONSOLE = [block for block in BLOCKS if block.language == "bash"]
# What two pages show runs once.
RUNNABLE = {tuple(block.commands): block for block in CONSOLE if block.runs}.values()


def parameter(block: Block) -> object:
    modules = {module for start, module in MODULES.items() if start in block.text}
    marks = [pytest.mark.needs(module) for module in sorted(modules)]
    return pytest.param(block, id=block.title, marks=marks)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.title)
def test_a_block_names_its_language(block):
    assert block.language in LANGUAGES


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.title)
def test_a_console_block_names_what_exists(block):
    """Verbs and their options, executables, launch files and their arguments, parameters, extras."""
    assert subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True).stderr == ""
    for command in block.commands:
        words = shlex.split(command)
        if words[:1] == ["fastdepth"]:
            options = {word.partition("=")[0] for word in words[2:] if word.startswith("--")}
            assert words[1] in VERBS and options <= options_of(words[1]), command
        if words[:3] in (["ros2", "run", "fastdepth_ros"], ["ros2", "launch", "fastdepth_ros"]):
            folder, given = {"run": ("scripts", []), "launch": ("launch", words[4:])}[words[1]]
            source = ROOT / folder / words[3]
            assert source.is_file(), command
            names = {word.partition(":=")[0] for word in given if ":=" in word}
            assert all(f'"{name}"' in source.read_text() for name in names), command
        for name in re.findall(r"-p (\w+):=", command):
            assert "fastdepth_" not in command or name in PARAMETERS, command
        for extras in re.findall(r"pip install (?:-e )?'(?:\.|fastdepth_ros)\[([\w,]+)\]'", command):
            assert all(f'"{extra}": [' in (ROOT / "setup.py").read_text() for extra in extras.split(",")), command


PARAMETERS = set(yaml.safe_load((ROOT / "config" / "fastdepth.yaml").read_text())["/**"]["ros__parameters"])


def options_of(verb: str) -> set[str]:
    parser = argparse.ArgumentParser()
    import_module(f"fastdepth_ros.cli.{verb.replace('-', '_')}").add_arguments(parser)
    parsers, found = [parser], set()
    while parsers:
        for action in parsers.pop()._actions:
            found.update(action.option_strings)
            if isinstance(action, argparse._SubParsersAction):
                parsers.extend(action.choices.values())
    return found


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file or folder for each name in capitals, made once."""
    import cv2
    import numpy as np

    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.artifact.golden import golden_frame
    from fastdepth_ros.backends import BackendOptions
    from fastdepth_ros.bags.synthetic_bag import IMAGE_TOPIC, TRUTH_TOPIC, write_synthetic_bag
    from fastdepth_ros.cli import main

    folder = tmp_path_factory.mktemp("files")
    write_synthetic_bag(folder / "DRIVE", frames=6, rate_hz=5.0)
    (folder / "MODEL").symlink_to(ROOT / "models" / "fastdepth-pruned")
    for name in ("DIR", "WALL", "CAMERA_BAG", "my_camera_bag"):
        (folder / name).symlink_to("DRIVE")
    depth = ["--image-topic", IMAGE_TOPIC, "--truth-topic", TRUTH_TOPIC, "--out", str(folder / "DEPTH_BAG")]
    assert main(["bag", str(folder / "DRIVE"), *depth]) == 0
    (folder / "metrics.json").symlink_to("DEPTH_BAG/metrics.json")
    backend = find_artifact("").load("onnxruntime", BackendOptions())
    np.save(folder / "depth.npy", backend.infer(golden_frame(224)).depth)
    shutil.copy(ROOT / "config" / "cameras.yaml", folder / "LIST.yaml")
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for name in ("room.jpg", "frame.jpg"):
        cv2.imwrite(str(folder / name), picture)
    writer = cv2.VideoWriter(str(folder / "room.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 10, (320, 240))
    for _ in range(20):
        writer.write(picture)
    writer.release()
    (folder / "SOURCE").symlink_to("room.mp4")
    return folder


@pytest.fixture
def folder(files: Path, tmp_path: Path) -> Path:
    """A folder of a user: the files, and the repository's own, of which pages may be written."""
    place = tmp_path / "user"
    place.mkdir()
    for path in [*files.iterdir(), *(ROOT / name for name in ("config", "fastdepth_ros", "launch", "models", "test"))]:
        (place / path.name).symlink_to(path)
    shutil.copytree(ROOT / "doc", place / "doc")
    return place


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    programs = tmp_path / "bin"
    programs.mkdir()
    modules = {
        "fastdepth": "fastdepth_ros", "fastdepth_node": "fastdepth_ros.node.node",
        "fastdepth_camera": "fastdepth_ros.ros_tools.camera",
    }  # fmt: skip
    for name, module in modules.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@"\n')
    (programs / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    for path in programs.iterdir():
        path.chmod(0o755)
    graph = {"ROS_DOMAIN_ID": str(os.getpid() % 100 + 101), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return {
        **os.environ, **graph, "ROS_LOG_DIR": str(tmp_path / "log"), "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_S + 60)
@pytest.mark.parametrize("block", [parameter(block) for block in RUNNABLE])
def test_a_console_block_runs(block, folder, environment):
    if "ros2 " in block.text:
        prefix = shutil.which("ros2") and subprocess.run(
            ["ros2", "pkg", "prefix", "fastdepth_ros"], capture_output=True
        )
        if not prefix or prefix.returncode:
            pytest.skip("ros2 is not installed")
    graph = GRAPH if ASKS_A_GRAPH.search(block.text) else []
    running = [subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True) for command in graph]
    try:
        if graph:
            time.sleep(8)  # discovery, and the first frames; what asks waits for a message anyway
        *before, last = block.commands
        sign = next((sign for start, sign in ENDLESS.items() if last.startswith(start)), None)
        if sign is None:
            run("\n".join(block.commands), folder, environment)
        else:
            if before:
                run("\n".join(before), folder, environment)
            run_until(sign, last, folder, environment)
    finally:
        for process in running:
            end(process)


GRAPH = [
    ["fastdepth_camera", "room.mp4", "--loop"],
    ["fastdepth_node", "--ros-args", "-r", "image:=/camera/image_raw", "-p", "hfov_deg:=60.0", "-p", "lazy:=false"],
]


def run(script: str, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=folder, env=environment, timeout=LONGEST_S,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout}"


def run_until(sign: str, command: str, folder: Path, environment: dict[str, str]) -> None:
    """Run what does not end by itself until it prints the sign, or for ten seconds where it prints nothing; Ctrl-C."""
    log = folder / "log.txt"
    with log.open("w") as output:
        running = subprocess.Popen(
            ["bash", "-c", f"exec {command}"], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + (PATIENCE_S if sign else 10)
        while time.monotonic() < deadline and running.poll() is None and not (sign and sign in log.read_text()):
            time.sleep(0.2)
        assert running.poll() is None, log.read_text()
        assert sign in log.read_text(), log.read_text()
        running.send_signal(signal.SIGINT)
        assert running.wait(60) in (0, 130), log.read_text()
    finally:
        end(running)


def test_the_tutorial_has_a_video_in_place_of_a_webcam():
    text = (ROOT / "doc" / "tutorial.md").read_text()
    assert "--camera room.mp4" in text and "fastdepth_camera room.mp4" in text


def test_a_block_that_names_what_does_not_exist_is_found():
    for text in ("fastdepth image a.jpg --colour", "ros2 launch fastdepth_ros fastdepth.launch.py imige:=/a"):
        with pytest.raises(AssertionError):
            test_a_console_block_names_what_exists(Block(PAGES[0], 1, "bash", text))
