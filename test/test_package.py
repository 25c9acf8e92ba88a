"""The package as ROS tools see it: package.xml, executables, completion, containers, files of other programs."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import yaml

from fastdepth_ros.cli import VERBS

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ET.parse(ROOT / "package.xml").getroot()
SCRIPTS = sorted(path.name for path in (ROOT / "scripts").iterdir())
# of Foxglove's last open source release and of Lichtblick: packages/suite-base/src/panels/index.ts
PANELS = {"Image", "3D", "DiagnosticSummary", "DiagnosticStatusPanel"}
OF_ROS = re.compile(r"rclpy|launch\w*|ament_\w+|cv_bridge|\w+_(msgs|srvs|interfaces)(_py)?")
ANALYZER = {"type", "path", "contains", "startswith", "expected", "timeout", "num_items", "regex", "remove_prefix"}


def entry_points() -> list[str]:
    return re.findall(r'^ +"(\w+) = [\w.]+:\w+"', (ROOT / "setup.py").read_text(), re.M)


def test_package_xml_has_no_fault_for_catkin_pkg():
    package = pytest.importorskip("catkin_pkg.package", reason="catkin_pkg is not installed")
    warnings: list[str] = []
    parsed = package.parse_package(str(ROOT), warnings=warnings)
    parsed.validate(warnings=warnings)
    assert not warnings
    assert parsed.authors and {url.type for url in parsed.urls} == {"website", "repository", "bugtracker"}
    assert {condition.condition for condition in parsed.exec_depends if condition.condition} == {
        "$FASTDEPTH_DESKTOP == 1", "$FASTDEPTH_DOWNSTREAM == 1",
    }  # fmt: skip


def test_the_changelog_is_read_by_catkin_pkg_once_it_is_released():
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="catkin_pkg is not installed")
    text = (ROOT / "CHANGELOG.rst").read_text()
    title = "0.1.0 (2026-12-01)"  # what catkin_prepare_release writes
    released = text.replace("Forthcoming\n-----------", f"{title}\n{'-' * len(title)}")
    parsed = changelog.populate_changelog_from_rst(changelog.Changelog("fastdepth_ros"), released)
    [(version, _, [items])] = parsed.foreach_version()
    assert version == "0.1.0" and len(items.bullets) > 50


def test_package_xml_and_setup_py_have_the_same_version():
    assert f'version="{MANIFEST.findtext("version")}"' in (ROOT / "setup.py").read_text()


def test_packages_that_launch_files_start_are_in_package_xml():
    named = {element.text for element in MANIFEST.findall("exec_depend")}
    started = {
        keyword.value.value
        for path in (ROOT / "launch").glob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "package" and isinstance(keyword.value, ast.Constant)
    }
    assert {"rviz2", "depth_image_proc"} < started
    assert started - {"fastdepth_ros"} <= named


@pytest.mark.parametrize(
    ("folders", "kinds"),
    [(["fastdepth_ros", "launch"], ["exec_depend"]), (["test"], ["exec_depend", "test_depend"])],
)
def test_packages_of_ros_that_are_imported_are_in_package_xml(folders, kinds):
    named = {element.text for kind in kinds for element in MANIFEST.findall(kind)}
    texts = [path.read_text() for folder in folders for path in (ROOT / folder).rglob("*.py")]
    imported = {name for text in texts for name in re.findall(r"^ *(?:from|import) (\w+)", text, re.M)}
    of_ros = {name for name in imported if OF_ROS.fullmatch(name)}
    assert {"rclpy", "sensor_msgs"} <= of_ros <= named


def test_executables_in_the_global_path_begin_with_the_packages_name():
    names = entry_points()
    assert "fastdepth_node" in names and all(name.startswith("fastdepth") for name in names)
    assert set(names) <= set(SCRIPTS)  # else ros2 run does not find what pip installs


@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - set(entry_points())))
@pytest.mark.parametrize("installed_by", ["pip", "colcon"])
def test_an_executable_outside_the_path_runs_where_it_is_installed(tmp_path, name, installed_by):
    """pip's interpreter is beside the script, colcon's is the sourced one."""
    interpreter = tmp_path / ("bin" if installed_by == "pip" else "sourced") / "python3"
    interpreter.parent.mkdir()
    interpreter.write_text(f'#!/bin/sh\necho "$@"\nexec {sys.executable} -c "import sys; print(sys.argv)" "$@"\n')
    interpreter.chmod(0o755)
    script = tmp_path / "lib" / "fastdepth_ros" / name
    script.parent.mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / name, script)
    path = os.environ["PATH"] if installed_by == "pip" else f"{interpreter.parent}:{os.environ['PATH']}"
    done = subprocess.run([script, "a bag", "--rate", "2"], capture_output=True, text=True, env={"PATH": path})
    assert done.stdout.endswith("play_bag())', 'a bag', '--rate', '2']\n"), done.stdout + done.stderr


@pytest.mark.needs("argcomplete")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fastdepth ex", {"export"}),
        ("fastdepth ", set(VERBS)),
        ("fastdepth demo --b", {"--bag", "--backend"}),
        ("fastdepth models ve", {"verify"}),
        ("fastdepth image --precision b", {"bf16"}),
    ],
)
def test_the_tab_key_completes_verbs_options_and_choices(tmp_path, line, words):
    command = tmp_path / "fastdepth"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m fastdepth_ros "$@"\n')
    command.chmod(0o755)
    script = f"""
        source {ROOT / "completion" / "fastdepth"}
        COMP_LINE={line!r} COMP_POINT={len(line)} COMP_TYPE=9
        _fastdepth {command}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert words <= {word.strip() for word in done.stdout.splitlines()}


@pytest.mark.parametrize("path", sorted((ROOT / "docker").iterdir()), ids=lambda path: path.name)
def test_a_container_runs_the_node_and_not_as_root(path):
    last = re.split(r"^FROM ", path.read_text(), flags=re.M)[-1]
    assert re.match(r"ros:\S+-ros-core\n", last)
    user = re.search(r"^USER (\w+)$", last, re.M)
    assert user and user[1] != "root" and f"useradd --create-home {user[1]}" in last
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", last, re.M)[1])
    assert Path(entry[-1]).name == "fastdepth_node"


def test_the_aggregator_takes_every_status_of_a_fastdepth_node():
    content = yaml.safe_load((ROOT / "config" / "diagnostic_aggregator.yaml").read_text())
    analyzers = [value for value in content["analyzers"]["ros__parameters"].values() if isinstance(value, dict)]
    assert analyzers and all(set(analyzer) <= ANALYZER for analyzer in analyzers)
    for name in ("fastdepth: depth", "front/fastdepth: camera_info"):
        assert any(part in name for analyzer in analyzers for part in analyzer["contains"])


def panels_of(layout: Any) -> set[str]:
    return {layout} if isinstance(layout, str) else panels_of(layout["first"]) | panels_of(layout["second"])


def topics_of(config: dict[str, Any]) -> set[str]:
    image = config.get("imageMode", {})
    named = (image.get("imageTopic"), image.get("calibrationTopic"), config.get("topicToRender"))
    return {topic for topic in named if topic} | set(config.get("topics", {}))


def test_the_layout_of_foxglove_has_its_panels_and_topics_of_the_node():
    layout = json.loads((ROOT / "foxglove" / "fastdepth.json").read_text())
    assert panels_of(layout["layout"]) == set(layout["configById"])
    assert {name.partition("!")[0] for name in layout["configById"]} <= PANELS
    topics = set().union(*map(topics_of, layout["configById"].values()))
    assert topics == {
        "/camera/image_raw", "/depth/image", "/depth/camera_info", "/depth/points", "/depth/confidence", "/diagnostics",
    }  # fmt: skip
