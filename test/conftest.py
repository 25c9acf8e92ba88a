"""Fixtures for all tests: the allowed skips, the data that may be absent, a small artifact."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

import fastdepth_ros  # noqa: F401  (switches telemetry off before a test imports an engine)

# Networks of tests are no faster on two threads, and much slower where the cores have other work; children too.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# A shell's background job ignores SIGINT, and so would the nodes that tests start and stop.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# A choice of engine that the user's node has kept is none of a test's, nor the other way round.
CACHE = tempfile.TemporaryDirectory(prefix="fastdepth-test-cache-")
os.environ["XDG_CACHE_HOME"] = CACHE.name
ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# What trains, prunes and exports: where torch is not, as on a robot, these tests do not even begin.
TORCH_FOLDERS = ("data", "deploy", "nn", "prune", "train")

# Any other reason to skip fails the run: a test that silently does not run protects nobody.
ALLOWED_SKIPS = (
    "the shared data is absent",
    "rclpy is not installed",
    "launch is not installed",
    "chromium is not installed",
    "rerun is not installed",
    "av is not installed",
    "strace is not installed",
    "Fast DDS uses no shared memory here",
    "cv_bridge is not installed",
    "sensor_msgs_py is not installed",
    "torch is not installed",
    "onnx is not installed",
    "ray is not installed",
    "jsonschema is not installed",
    "a tmpfs cannot be mounted",
    "tvm is not installed",
    "openvino is not installed",
    "ai_edge_litert is not installed",
    "g++ is not installed",
    "no GPU of NVIDIA is here",
    "this processor computes in f16",
    "qemu and the cross compiler are not installed",
    "grimp is not installed",
    "importlinter is not installed",
    "sphinx is not installed",
    "catkin_pkg is not installed",
    "argcomplete is not installed",
    "ros2 is not installed",
)
SLOW_LIMIT_S = 1800  # of a hang; among ten other jobs a test of a minute takes a quarter of an hour
_promised: set[str] = set()
_skipped: list[tuple[str, str]] = []
_graph_tests: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    words = "a module that this environment has: a test that skips for want of it fails the run"
    parser.addoption("--installed", action="append", default=[], metavar="MODULE", help=words)


def pytest_configure(config: pytest.Config) -> None:
    _promised.update(f"{name} is not installed" for name in config.getoption("--installed"))
    config.addinivalue_line("markers", "needs(module): skips where that module is not installed")
    config.addinivalue_line("markers", "graph: runs on a real ROS graph")
    config.addinivalue_line("markers", "shared: needs ../shared")


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    folder = collection_path.parent
    without_torch = "torch is not installed" not in _promised and importlib.util.find_spec("torch") is None
    is_test = collection_path.suffix == ".py" and folder.parent == ROOT / "test" and folder.name in TORCH_FOLDERS
    return True if without_torch and is_test else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT_S), append=False)


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("shared") and not SHARED.is_dir():
        pytest.skip("the shared data is absent")
    for name in (name for marker in item.iter_markers("needs") for name in marker.args):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _skipped.append((report.nodeid, report.longrepr[2].removeprefix("Skipped: ")))
    if report.when == "call" and "graph" in report.keywords:
        _graph_tests.append(f"{report.outcome}: {report.nodeid}")


def pytest_collectreport(report: pytest.CollectReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):  # a whole module, by importorskip
        _skipped.append((report.nodeid, report.longrepr[2].removeprefix("Skipped: ")))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _refused() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.section("tests on a real ROS graph")
    for line in _graph_tests or ["none ran"]:
        terminalreporter.line(line)
    for nodeid, reason in _refused():
        why = "--installed promises it" if reason in _promised else "it is not in ALLOWED_SKIPS"
        terminalreporter.line(f"REFUSED SKIP {nodeid}: {reason!r}, {why}", red=True)


def _refused() -> list[tuple[str, str]]:
    return [entry for entry in _skipped if entry[1] not in ALLOWED_SKIPS or entry[1] in _promised]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data; mark the test `shared`."""
    return SHARED


@pytest.fixture(scope="session")
def artifact_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of a tiny random network whose depth varies by meters: test/small_models.py made it."""
    return Path(shutil.copytree(ROOT / "test" / "models" / "tiny", tmp_path_factory.mktemp("models") / "tiny"))


@pytest.fixture
def spoiled(artifact_folder: Path, tmp_path: Path) -> Path:
    """A copy of the artifact that a test may spoil."""
    return Path(shutil.copytree(artifact_folder, tmp_path / "model"))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """One thread of torch, whatever the module before has set."""
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)


@pytest.fixture
def two_nodes():
    """A Ray cluster of two nodes on this machine, one core each."""
    pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": 80_000_000}
    nodes = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
    nodes.add_node(**size)
    nodes.wait_for_nodes()
    yield nodes
    nodes.shutdown()


@pytest.fixture(scope="session")
def compiled_folder(artifact_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifact compiled by TVM for this machine, not tuned."""
    pytest.importorskip("tvm", reason="tvm is not installed")
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    from fastdepth_ros.artifact.artifact import find_artifact
    from fastdepth_ros.deploy.compile import compile_artifact
    from fastdepth_ros.deploy.targets import find_target

    folder = tmp_path_factory.mktemp("compiled") / "tiny-tvm"
    compile_artifact(find_artifact(artifact_folder), find_target("host"), folder)
    return folder


@pytest.fixture(scope="session")
def tflite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of test/models/red_to_depth.tflite for LiteRT, 32x48."""
    pytest.importorskip("ai_edge_litert", reason="ai_edge_litert is not installed")
    from fastdepth_ros.artifact.manifest import fastdepth_fields
    from fastdepth_ros.deploy.foreign_file import import_tflite

    folder = tmp_path_factory.mktemp("tflite") / "red"
    fields = {"licence": "Apache-2.0", **fastdepth_fields({"fx": 40.0, "fy": 40.0}, (32, 48))}
    import_tflite(ROOT / "test" / "models" / "red_to_depth.tflite", folder, fields, {})
    return folder


@pytest.fixture(scope="session")
def confident_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of the small artifact with a random head of its confidence."""
    pytest.importorskip("torch", reason="torch is not installed")
    pytest.importorskip("onnx", reason="onnx is not installed")
    from small_networks import confident

    from fastdepth_ros.deploy.export import export_artifact

    folder = tmp_path_factory.mktemp("models") / "confident"
    export_artifact(confident(), folder, {"training_data": "noise"})
    return folder
