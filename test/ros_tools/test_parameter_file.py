"""A parameter file: what it gives a node; one parameter set there, and nothing else touched."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from fastdepth_ros.ros_tools.parameter_file import read_parameters, write_parameter

ROOT = Path(__file__).resolve().parents[2]


def test_a_missing_file_is_made(tmp_path):
    file = tmp_path / "new" / "robot.yaml"
    write_parameter(file, "focal_scale", "1.25")
    assert yaml.safe_load(file.read_text()) == {"/**": {"ros__parameters": {"focal_scale": "1.25"}}}
    write_parameter(file, "focal_scale", "1.5")
    assert file.read_text().count("focal_scale") == 1 and '"1.5"' in file.read_text()
    assert [path.name for path in file.parent.iterdir()] == ["robot.yaml"]


@pytest.mark.parametrize(
    "text",
    ["/**: {ros__parameters: {threads: 2}}\n", "/**:\n  ros__parameters:\n    focal_scale:\n    threads: 2\n"],
    ids=["in one line", "without a value"],
)
def test_a_file_of_another_style_stays_yaml(tmp_path, text):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    write_parameter(file, "focal_scale", "1.25")
    assert yaml.safe_load(file.read_text()) == {"/**": {"ros__parameters": {"focal_scale": "1.25", "threads": 2}}}


def test_a_value_of_several_lines_is_refused_and_left_alone(tmp_path):
    file = tmp_path / "robot.yaml"
    file.write_text(text := "/**:\n  ros__parameters:\n    focal_scale:\n    - 1\n    threads: 2\n")
    with pytest.raises(ValueError, match="focal_scale is not a single value"):
        write_parameter(file, "focal_scale", "1.25")
    assert file.read_text() == text


def test_in_our_own_file_one_line_changes(tmp_path):
    before = (ROOT / "config" / "fastdepth.yaml").read_text()
    file = tmp_path / "robot.yaml"
    file.write_text(before)
    write_parameter(file, "focal_scale", "1.25")
    changed = [pair for pair in zip(before.splitlines(), file.read_text().splitlines()) if pair[0] != pair[1]]
    assert changed == [('    focal_scale: "auto"', '    focal_scale: "1.25"')]


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("fastdepth:\n  ros__parameters:\n    threads: 2  # of four\n", ["fastdepth"]),
        ("/front:\n  fastdepth:\n    ros__parameters:\n      threads: 2\n", ["/front", "fastdepth"]),
        ("camera:\n  ros__parameters: {}\n/**:\n  ros__parameters:\n    threads: 2\n", ["/**"]),
        (
            "/**:\n  ros__parameters:\n    threads: 2\nfastdepth:\n  ros__parameters:\n    focal_scale: auto\n",
            ["fastdepth"],
        ),
    ],
)
def test_the_node_that_has_it_or_all_or_the_only_one_gets_it(tmp_path, text, node):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    write_parameter(file, "focal_scale", "2.0")
    found = yaml.safe_load(file.read_text())
    for name in node:
        found = found[name]
    assert found["ros__parameters"]["focal_scale"] == "2.0"
    assert file.read_text().count("focal_scale") == 1 and ("# of four" in text) == ("# of four" in file.read_text())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\n", "is not YAML"),
        ("threads: 2\n", "no ros__parameters"),
        ("- 1\n", "no ros__parameters"),
        ("", "no ros__parameters"),
        ("a:\n  ros__parameters: {}\nb:\n  ros__parameters: {}\n", "has a, b"),
    ],
)
def test_what_is_no_parameter_file_is_refused_and_left_alone(tmp_path, text, told):
    file = tmp_path / "robot.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=told) as error:
        write_parameter(file, "focal_scale", "2.0")
    assert str(file) in str(error.value)
    assert file.read_text() == text


SECTIONS = """
/**: {one: {fastdepth: {ros__parameters: {inside: 1}}}, ros__parameters: {all: 1, last: 1}}
fastdepth: {ros__parameters: {root: 1, last: 2}}
/one/fastdepth: {ros__parameters: {whole: 1, last: 3}}
/one/*: {ros__parameters: {part: 1}}
/one/**: {ros__parameters: {parts: 1}}
/**/fastdepth: {ros__parameters: {anywhere: 1, deep: {er: 1}}}
/*/fastdepth: {ros__parameters: {below: 1}}
/one: {ros__parameters: {another: 1}}
two: {fastdepth: {ros__parameters: {nested: 1, last: 4}}}
"""


@pytest.mark.parametrize("namespace", ["/", "/one", "/two", "/one/two"])
def test_a_file_gives_a_node_what_rcl_gives_it(domain, tmp_path, namespace):
    import rclpy

    file = tmp_path / "robot.yaml"
    file.write_text(SECTIONS)
    context = rclpy.Context()
    rclpy.init(context=context, args=["node", "--ros-args", "--params-file", str(file)])
    node = rclpy.create_node(
        "fastdepth", namespace=namespace, context=context, automatically_declare_parameters_from_overrides=True
    )
    names = ("inside", "all", "last", "root", "whole", "part", "parts", "anywhere", "below", "another", "nested")
    given = {name: node.get_parameter(name).value for name in names if node.has_parameter(name)}
    full_name = node.get_fully_qualified_name()
    node.destroy_node()
    context.try_shutdown()
    assert {name: value for name, value in read_parameters(file, full_name).items() if name in names} == given


@pytest.mark.parametrize("content", [None, "a: [b", "when: 2026-13-45"])
def test_a_file_that_cannot_be_read_says_so(tmp_path, content):
    file = tmp_path / "robot.yaml"
    if content:
        file.write_text(content)
    with pytest.raises(ValueError, match=r"robot.yaml cannot be read as a parameter file: "):
        read_parameters(file, "/fastdepth")
