"""Security of the robot's modules: nothing unpickles or evaluates data, no model is loaded from outside model_root."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from processes import environment

ROOT = Path(__file__).resolve().parents[2]
BACKENDS = ("backends.onnxruntime", "backends.litert", "backends.openvino", "backends.tvm", "backends.pytorch")
ON_A_ROBOT = ("node.node", "node.multi_camera", "ros_tools.bag_player", *BACKENDS)
# name of a call -> what makes it harmless
DANGEROUS = {
    "pickle.load": "", "pickle.loads": "", "pickle.Unpickler": "", "marshal.loads": "", "shelve.open": "",
    "joblib.load": "", "eval": "", "exec": "", "os.system": "", "yaml.load": "", "yaml.unsafe_load": "",
    "torch.load": "weights_only=True", "torch.jit.load": "", "np.load": "allow_pickle=False",
    "read_array": "allow_pickle=False",
}  # fmt: skip
UNPICKLED = """
import sys
found = []
sys.addaudithook(lambda event, values: found.append(values) if event == "pickle.find_class" else None)
import numpy as np
from sensor_msgs.msg import Image
import fastdepth_ros.node.multi_camera
from fastdepth_ros.artifact.artifact import find_artifact
from fastdepth_ros.depth.estimator import DepthEstimator
from fastdepth_ros.node.messages import frame_from_message
artifact = find_artifact(sys.argv[1])
estimator = DepthEstimator(artifact.load("onnxruntime"), artifact.network)
message = Image(height=48, width=64, step=192, encoding="bgr8", data=bytes(48 * 192))
assert estimator(frame_from_message(message)).depth.shape == (224, 224)
print("found", found)
import pickle
pickle.loads(pickle.dumps(np.zeros(1)))
assert found, "the hook hears nothing"
"""


def calls(tree: ast.AST) -> list[tuple[str, str]]:
    """Name and keywords of every call: `torch.load(file, weights_only=True)` is ("torch.load", "weights_only=True")."""
    return [
        (ast.unparse(node.func), ", ".join(ast.unparse(keyword) for keyword in node.keywords))
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


def suspects(source: str) -> list[str]:
    """Calls that run, or could run, what they read."""
    return [
        name
        for name, keywords in calls(ast.parse(source))
        for dangerous, remedy in DANGEROUS.items()
        if name == dangerous or (dangerous not in ("eval", "exec") and name.endswith(f".{dangerous}"))
        if not remedy or remedy not in keywords
    ]


def test_a_suspect_is_found():
    source = "torch.load(f)\nnp.load(f, allow_pickle=True)\nnetwork.eval()\neval(text)\nself.pickle.load(f)"
    assert suspects(source) == ["torch.load", "np.load", "eval", "self.pickle.load"]
    assert not suspects("torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)")


@pytest.mark.needs("grimp")
def test_nothing_that_a_robot_imports_unpickles_or_evaluates():
    import grimp

    graph = grimp.build_graph("fastdepth_ros", include_external_packages=True)
    entries = {f"fastdepth_ros.{name}" for name in ON_A_ROBOT}
    reached = entries.union(*(graph.find_upstream_modules(name) for name in entries))
    ours = sorted(name for name in reached if name.startswith("fastdepth_ros."))
    assert "fastdepth_ros.artifact.artifact" in ours and "fastdepth_ros.nn.checkpoints" in ours
    assert not reached & {"pickle", "dill", "joblib", "cloudpickle", "marshal", "shelve"}
    assert not reached & {
        "fastdepth_ros.nn.importers.unpickle",
        "fastdepth_ros.nn.importers.importer",
    }  # the importer of foreign pickles
    for name in ours:
        path = ROOT / Path(*name.split("."))
        source = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        assert not suspects(source.read_text()), name


def test_a_node_that_turns_a_frame_into_depth_has_unpickled_nothing(artifact_folder):
    pytest.importorskip("rclpy", reason="rclpy is not installed")
    done = subprocess.run(
        [sys.executable, "-c", UNPICKLED, str(artifact_folder)],
        capture_output=True, text=True, timeout=60, check=False, env=environment(),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "found []\n"


def test_a_model_outside_model_root_is_refused_and_model_root_is_fixed(graph, artifact_folder, tmp_path):
    from rclpy.lifecycle import TransitionCallbackReturn

    node = graph.fastdepth(model=artifact_folder, model_root=tmp_path)
    assert graph.do(node.trigger_configure) == TransitionCallbackReturn.FAILURE
    assert f"{artifact_folder} is not below {tmp_path}" in node.trouble
    assert "read-only" in graph.change(node, model_root="/")
    assert graph.change(node, model="") == ""
    graph.go(node, "configure")


def test_the_policy_of_the_page_allows_all_that_the_node_has(graph, artifact_folder):
    from ros_graph import CameraDriver, wait_until

    remap = {"image": "/camera/image_raw", "camera_info": "/camera/camera_info"}
    node = graph.activated(artifact_folder, use_sim_time=True, lazy=False, points=True, remap=remap)
    CameraDriver(graph, "/camera/image_raw", info_topic="/camera/camera_info").wait()
    (policy,) = re.findall(r"```xml\n(.*?)```", (ROOT / "doc" / "security.md").read_text(), flags=re.DOTALL)
    profile = ElementTree.fromstring(policy).find(".//profile")

    def allowed(kind: str, right: str) -> set[str]:
        names = [entry.text for entry in profile.findall(f"{kind}s[@{right}='ALLOW']/{kind}")]
        return {f"/{name}".replace("/~", "/fastdepth") for name in names}

    heard = node.get_subscriber_names_and_types_by_node
    wait_until(lambda: "/camera/image_raw" in dict(heard("fastdepth", "/")), "the subscription")
    found = {
        ("topic", "subscribe"): heard("fastdepth", "/"),
        ("topic", "publish"): node.get_publisher_names_and_types_by_node("fastdepth", "/"),
        ("service", "reply"): node.get_service_names_and_types_by_node("fastdepth", "/"),
    }
    for (kind, right), names_and_types in found.items():
        names = {name for name, _ in names_and_types}
        assert len(names) >= 3
        assert names <= allowed(kind, right)
