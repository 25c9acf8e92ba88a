"""rviz/*.rviz against RViz's own names: it passes over a key that it does not know without a word.

The tables are read from the sources of ros2/rviz: plugins_description.xml, and the Property constructors of each plugin
and its base classes. Every name below is in humble (9b354826), jazzy (591594ee) and rolling (f7112b1a).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FILES = sorted((Path(__file__).resolve().parent.parent / "rviz").glob("*.rviz"))
CONFIGS = {path.stem: yaml.safe_load(path.read_text()) for path in FILES}
DISPLAY = {"Class", "Name", "Enabled", "Value"}  # rviz_common/display.cpp
TOPIC = {"Value", "Depth", "History Policy", "Reliability Policy", "Durability Policy"}  # qos_profile_property.cpp
VIEW = {  # view_controller.cpp, frame_position_tracking_view_controller.cpp
    "Class", "Name", "Enable Stereo Rendering", "Invert Z Axis", "Near Clip Distance", "Target Frame", "Value",
}  # fmt: skip
POINTS = {  # point_cloud_common.cpp
    "Selectable", "Style", "Size (Pixels)", "Size (m)", "Alpha", "Decay Time", "Position Transformer",
    "Color Transformer",
}  # fmt: skip
DISPLAYS = {
    "rviz_default_plugins/Grid": DISPLAY | {
        "Reference Frame", "Plane Cell Count", "Normal Cell Count", "Cell Size", "Line Style", "Line Width", "Color",
        "Alpha", "Plane", "Offset",
    },
    "rviz_default_plugins/TF": DISPLAY | {
        "Show Names", "Show Axes", "Show Arrows", "Marker Scale", "Update Interval", "Frame Timeout", "Frames", "Tree",
    },
    "rviz_default_plugins/Image": DISPLAY | {"Topic", "Normalize Range", "Min Value", "Max Value", "Median window"},
    "rviz_default_plugins/PointCloud2": DISPLAY | POINTS | {  # point_cloud2_display.cpp, transformers/*.cpp
        "Topic", "Use Fixed Frame", "Axis", "Autocompute Value Bounds", "Channel Name", "Use rainbow", "Invert Rainbow",
        "Min Color", "Max Color", "Autocompute Intensity Bounds", "Min Intensity", "Max Intensity",
    },
    "rviz_default_plugins/DepthCloud": DISPLAY | POINTS | {
        "Reliability Policy", "Topic Filter", "Depth Map Topic", "Depth Map Transport Hint", "Color Image Topic",
        "Color Transport Hint", "Queue Size", "Auto Size", "Occlusion Compensation",
    },
}  # fmt: skip
VIEWS = {
    "rviz_default_plugins/Orbit": VIEW
    | {"Distance", "Focal Point", "Focal Shape Size", "Focal Shape Fixed Size", "Pitch", "Yaw"}
}
PANELS = {  # panel_factory.cpp
    f"rviz_common/{name}"
    for name in ("Displays", "Help", "Selection", "Time", "Tool Properties", "Transformation", "Views")
}  # fmt: skip
TOOLS = {
    f"rviz_default_plugins/{name}" for name in (
        "FocusCamera", "Interact", "Measure", "MoveCamera", "PublishPoint", "Select", "SetGoal", "SetInitialPose",
    )
}  # fmt: skip
CHOICES = {  # addOption of each property
    "Plane": {"XY", "XZ", "YZ"},
    "Style": {"Points", "Squares", "Flat Squares", "Spheres", "Boxes", "Tiles"},
    "History Policy": {"System Default", "Keep Last", "Keep All"},
    "Durability Policy": {"System Default", "Transient Local", "Volatile"},
    "Color Transformer": {"RGB8", "RGBF32", "Intensity", "AxisColor", "FlatColor"},
    "Position Transformer": {"XYZ"},
}
BEST_EFFORT = {"rviz_default_plugins/DepthCloud": "Best effort"}
TOPICS = {
    "fastdepth": {"/camera/image_raw", "/depth/image_color"},
    "cloud": {"/camera/image_raw", "/depth/points"},
    "confidence": {"/camera/image_raw", "/depth/confidence", "/depth/points"},
}


def displays(config: str, kind: str = "") -> list[dict[str, Any]]:
    return [entry for entry in CONFIGS[config]["Visualization Manager"]["Displays"] if entry["Class"].endswith(kind)]


def leaves(tree: Any) -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return []
    return [pair for key, branch in tree.items() for pair in [(key, branch), *leaves(branch)]]


@pytest.mark.parametrize(
    "display",
    [pytest.param(display, id=f"{name}: {display['Name']}") for name in CONFIGS for display in displays(name)],
)
def test_a_display_is_a_plugin_of_rviz_and_has_only_its_properties(display):
    assert display["Class"] in DISPLAYS
    assert set(display) <= DISPLAYS[display["Class"]]
    assert set(display.get("Topic", {})) <= TOPIC
    assert display["Enabled"] is True and display["Value"] is True
    policies = {value for key, value in leaves(display) if key == "Reliability Policy"}
    assert policies <= {"Reliable", "System Default", BEST_EFFORT.get(display["Class"], "Best Effort")}
    for key, value in leaves(display):
        assert key not in CHOICES or value in CHOICES[key]


@pytest.mark.parametrize("config", CONFIGS)
def test_the_view_tools_and_panels_are_rvizs_own(config):
    manager = CONFIGS[config]["Visualization Manager"]
    view = manager["Views"]["Current"]
    assert set(view) <= VIEWS[view["Class"]] and set(view["Focal Point"]) == {"X", "Y", "Z"}
    assert abs(view["Pitch"]) < 1.57  # the orbit's limit
    assert {tool["Class"] for tool in manager["Tools"]} <= TOOLS
    assert {panel["Class"] for panel in CONFIGS[config]["Panels"]} <= PANELS
    assert set(manager["Global Options"]) <= {"Background Color", "Fixed Frame", "Frame Rate"}
    assert set(manager) <= {
        "Class",
        "Displays",
        "Global Options",
        "Tools",
        "Transformation",
        "Views",
        "Name",
        "Enabled",
    }
    assert set(CONFIGS[config]) <= {"Panels", "Visualization Manager", "Window Geometry"}


def test_the_depth_cloud_finds_its_topics_through_its_own_filter():
    """It lists depth topics with "depth" in their name, color topics with "color", "rgb", ...: depth_cloud_display."""
    [cloud] = displays("fastdepth", "DepthCloud")
    assert "depth" in cloud["Depth Map Topic"] and "color" in cloud["Color Image Topic"]
    assert "Raw" not in (cloud["Depth Map Transport Hint"], cloud["Color Transport Hint"])


@pytest.mark.parametrize("config", CONFIGS)
def test_the_topics_are_those_that_node_and_launch_file_speak_of(config):
    assert {display["Topic"]["Value"] for display in displays(config) if "Topic" in display} == TOPICS[config]
