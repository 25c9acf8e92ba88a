"""Faults injected into a running node on a real graph, each part a process of its own, and what became of the frames.

python test/node/fault_suite.py --model MODEL --out doc/faults.md    # every fault; writes the table
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter as RclpyParameter
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_srvs.srv import SetBool

HERE = Path(__file__).resolve().parent
TIMEOUT_S = 45.0
SETTLE_S = 0.3
FLOW_S = 0.5
MOST_OVERTAKEN = 5  # half a second in which a busy machine keeps the node from listening; more is lost
COUNTED = ("received", "replaced")
BEFORE_S = 0.15  # a frame takes to the node and through it
ENDED = "the process ends"
BEGIN, END = "<!-- fault_suite.py writes this -->\n", "<!-- to here -->\n"
NODE = {
    "backend": "faulty", "focal_scale": "'off'", "backend_deadline_s": 3.0, "load_deadline_s": 6.0, "max_age_ms": 900.0,
}  # fmt: skip
TRANSITIONS = {"configure": 1, "cleanup": 2, "activate": 3, "deactivate": 4}


class Graph:
    """Camera, node and observer; the node is started anew where it ends, as launch does.

    Args:
        simulated: the camera publishes /clock, and the node lives by it.
    """

    def __init__(self, model: Path | str, folder: Path, simulated: bool = False) -> None:
        self._model, self._simulated = model, simulated
        self.fault = folder / "fault"
        self._log = (folder / "node.log").open("a")
        self.sent: list[tuple[int, bool, float]] = []  # stamp, good, when
        self.depths: Counter[int] = Counter()
        self.told: list[tuple[float, dict[str, str], set[str]]] = []  # when, values, findings
        self.counts: Counter[str] = Counter()  # as the node tells them, which counts anew from each activation
        self._seen: Counter[str] = Counter()
        self.exit_codes: list[int] = []
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self._observer = rclpy.create_node("observer", context=self._context)
        self._observer.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        self._observer.create_subscription(Image, "/depth/image", self._on_depth, QoSProfile(depth=50))
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._observer)
        self._closing = False
        self._spinning = threading.Thread(target=self._spin, daemon=True)
        self._spinning.start()
        self._node = self._started_node()
        self._camera = self._started_camera()
        if simulated:
            self.camera(clock=True)
        try:
            self.wait(lambda: self.depths, "the first depth")
            self.wait_told(time.monotonic(), "")
            self.settle()
        except AssertionError:
            self.close()
            raise

    def camera(self, **state: Any) -> None:
        """Tell the camera what to do from now on."""
        assert self._camera.stdin is not None
        self._camera.stdin.write(json.dumps(state) + "\n")
        self._camera.stdin.flush()

    @property
    def node_pid(self) -> int:
        return self._node.pid

    def forget(self) -> None:
        """Messages sent and heard so far."""
        del self.sent[:-100], self.told[:-100]
        self.depths.clear()

    def kill_camera(self) -> None:
        self._camera.kill()
        self._camera.communicate()

    def start_camera(self) -> None:
        self._camera = self._started_camera()

    def call(self, kind: type, name: str, request: Any) -> Any:
        client = self._observer.create_client(kind, name)
        try:
            self.wait(client.service_is_ready, name)
            answer = client.call_async(request)
            self.wait(answer.done, f"an answer of {name}")
            return answer.result()
        finally:
            self._observer.destroy_client(client)

    def transition(self, name: str) -> None:
        request = ChangeState.Request()
        request.transition.id = TRANSITIONS[name]
        assert self.call(ChangeState, "/fastdepth/change_state", request).success, name

    def enable(self, on: bool) -> None:
        assert self.call(SetBool, "/fastdepth/enable", SetBool.Request(data=on)).success

    def set(self, **values: Any) -> str:
        """Reason why the node refused to change these parameters; "" if it did not."""
        parameters: list[Parameter] = [RclpyParameter(n, value=v).to_parameter_msg() for n, v in values.items()]
        request = SetParametersAtomically.Request(parameters=parameters)
        result = self.call(SetParametersAtomically, "/fastdepth/set_parameters_atomically", request).result
        return result.reason if not result.successful else ""

    def wait(self, condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if self._node.poll() is not None and not self._closing:
                self.exit_codes.append(self._node.returncode)
                self._node = self._started_node()
            if value := condition():
                return value
            time.sleep(0.01)
        log = "\n".join(Path(self._log.name).read_text().splitlines()[-12:])
        said = [(f"{time.monotonic() - when:.1f} s ago", findings) for when, _, findings in self.told[-3:]]
        raise AssertionError(f"waited {timeout_s} s in vain for {what}; /diagnostics: {said}; log:\n{log}")

    def wait_told(self, since: float, finding: str) -> float:
        """Time of the first report of a finding; "" waits until nothing but the rate is reported."""

        wanted = set(filter(None, finding.split("|")))

        def found() -> float:
            for when, values, findings in list(self.told):
                well = not findings and float(values.get("rate out [Hz]", 0)) > 0
                if when > since and (wanted & findings if wanted else well):
                    return when
            return 0.0

        return self.wait(found, f"the finding {finding!r}")

    def settle(self) -> None:
        """Wait until the node has processed all frames sent, and reported its counts."""
        self.camera(sends=False)
        time.sleep(SETTLE_S)
        since = time.monotonic()
        self.wait(lambda: self.told[-1][0] > since, "counts")

    def close(self) -> None:
        self._closing = True
        for process in (self._camera, self._node):
            process.kill()
            process.communicate()
        self._executor.shutdown(timeout_sec=5)
        self._spinning.join(5)
        self._observer.destroy_node()
        self._context.try_shutdown()
        self._log.close()

    def _started_node(self) -> subprocess.Popen:
        arguments = ["--ros-args", "-p", f"model:={self._model}", "-p", f"use_sim_time:={str(self._simulated).lower()}"]
        for name, value in NODE.items():
            arguments += ["-p", f"{name}:={value}"]
        environment = {**os.environ, "FAULT": str(self.fault)}
        return subprocess.Popen(
            [sys.executable, str(HERE / "faulty_node.py"), *arguments], stderr=self._log, env=environment, text=True
        )

    def _started_camera(self) -> subprocess.Popen:
        camera = subprocess.Popen(
            [sys.executable, str(HERE / "camera_process.py")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=self._hear, args=(camera,), daemon=True).start()
        return camera

    def _hear(self, camera: subprocess.Popen) -> None:
        assert camera.stdout is not None
        for line in camera.stdout:
            stamp_ns, good = line.split()
            self.sent.append((int(stamp_ns), good == "1", time.monotonic()))

    def _spin(self) -> None:
        while self._context.ok() and not self._closing:
            self._executor.spin_once(timeout_sec=0.05)

    def _on_depth(self, message: Image) -> None:
        self.depths[message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec] += 1

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        values = {entry.key: entry.value for entry in message.status[0].values}
        if all(name in values for name in COUNTED):  # while it is active
            now = Counter({name: int(values[name]) for name in COUNTED})
            anew = now["received"] < self._seen["received"]
            self.counts += now if anew else now - self._seen
            self._seen = now
        self.told.append((time.monotonic(), values, set(values["findings"].split())))


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong.

    Args:
        finding: that the node has to tell.
        inject, clear: begin and end it.
        takes: it keeps frames from the node, or the node from its work: those sent meanwhile cannot come out.
        lost: how many frames it may cost besides.
    """

    name: str
    finding: str
    inject: Callable[[Graph], Any]
    clear: Callable[[Graph], Any] = lambda graph: None
    takes: bool = False
    lost: int = 0
    simulated: bool = False


@dataclass(frozen=True)
class Outcome:
    """Outcome of a fault: `lost` good frames gave no depth though no newer one replaced them."""

    fault: Fault
    diagnosed_s: float
    recovered_s: float
    sent: int
    withheld: int
    replaced: int
    lost: int


def _broken(text: str) -> Callable[[Graph], Any]:
    return lambda graph: graph.fault.write_text(text)


def _mended(graph: Graph) -> None:
    graph.fault.unlink(missing_ok=True)


def _told_to(**state: Any) -> Callable[[Graph], Any]:
    return lambda graph: graph.camera(**state)


def _refused(graph: Graph) -> None:
    assert "/no/such/model" in graph.set(model="/no/such/model")


def _changed(graph: Graph) -> None:
    assert not graph.set(backend="onnxruntime", color_far_m=8.0)
    assert not graph.set(backend="faulty", color_far_m=10.0)


def _shifted(seconds: float) -> Callable[[Graph], Any]:
    def shift(graph: Graph) -> None:
        now_s = max(stamp for stamp, _, _ in graph.sent[-3:]) / 1e9
        graph.camera(clock_s=now_s + seconds)

    return shift


def _reconfigured(graph: Graph) -> None:
    graph.transition("configure")
    graph.transition("activate")


def _cleaned_up(graph: Graph) -> None:
    graph.transition("deactivate")
    graph.transition("cleanup")


def _without_info(graph: Graph) -> None:
    graph.camera(info_size=[])
    graph.transition("deactivate")  # an active node remembers the last one
    graph.transition("activate")


FAULTS = [
    Fault("the camera stops", "no_frames", _told_to(sends=False), _told_to(sends=True)),
    Fault("the camera's process is killed", "no_frames|no_publisher", Graph.kill_camera, Graph.start_camera,
          takes=True),
    Fault("large best-effort images", "nothing_arrives|frames_lost",
          _told_to(reliable=False, size=[480, 640], info_size=[480, 640]),
          _told_to(reliable=True, size=[240, 320], info_size=[240, 320]), takes=True),
    Fault("reliability reliable, a best-effort camera", "incompatible_qos",
          lambda graph: (graph.set(reliability="reliable"), graph.camera(reliable=False)),
          lambda graph: graph.set(reliability="auto"), takes=True),
    Fault("the camera is reliable again", "", _told_to(reliable=True), takes=True),
    Fault("truncated images", "unreadable", _told_to(cut=True), _told_to(cut=False)),
    Fault("unknown encoding", "unreadable", _told_to(encoding="what8"), _told_to(encoding="bgr8")),
    Fault("no camera_info", "camera_info_awaited|camera_info_silent", _without_info,
          _told_to(info_size=[240, 320]), takes=True),
    Fault("camera_info of another size", "camera_info_mismatch",
          _told_to(info_size=[480, 640]), _told_to(info_size=[240, 320])),
    Fault("stamps zero", "stamp_zero", _told_to(stamp_ns=0), _told_to(stamp_ns=None)),
    Fault("stamps 5 s in the future", "stamp_future", _told_to(offset_s=5.0), _told_to(offset_s=0.0)),
    Fault("stamps jump back by 1.5 s, then on", "stamp_jump", _told_to(offset_s=-1.5), _told_to(offset_s=0.0)),
    Fault("frames 2 s old", "old_frames", _told_to(offset_s=-2.0), _told_to(offset_s=0.0)),
    Fault("2 Hz where min_rate_hz is 5", "low_rate",
          lambda graph: (graph.set(min_rate_hz=5.0), graph.camera(rate_hz=2.0)),
          lambda graph: graph.camera(rate_hz=10.0)),
    Fault("min_rate_hz off again", "", lambda graph: graph.set(min_rate_hz=0.0)),
    Fault("deactivated", "inactive", lambda graph: graph.transition("deactivate"),
          lambda graph: graph.transition("activate"), takes=True),
    Fault("cleaned up", "unconfigured", _cleaned_up, _reconfigured, takes=True),
    Fault("paused by ~/enable", "paused", lambda graph: graph.enable(False), lambda graph: graph.enable(True),
          takes=True),
    Fault("a model that is not there is set", "", _refused),
    Fault("backend and colors changed, twice", "", _changed, lost=1),
    Fault("the backend raises", "failed", _broken("fail"), _mended, takes=True),
    Fault("the backend is slow", "backend_slow", _broken("slow 0.8"), _mended),
    Fault("the backend hangs once", "backend_hung", _broken("hang once"), lost=1),
    Fault("the backend hangs again: exit code 3", "backend_lost", _broken("hang"), _mended, takes=True),
    Fault("the backend hangs and holds Python: exit code 1", ENDED, _broken("hang and hold Python"),
          _mended, takes=True),
    Fault("simulated time stands still", "clock_still", _told_to(clock_goes=False), _told_to(clock_goes=True),
          simulated=True),
    Fault("simulated time loops: 60 s back", "clock_jump", _shifted(-60.0), simulated=True, lost=1),
    Fault("simulated time jumps 60 s on", "clock_jump", _shifted(60.0), simulated=True, lost=1),
    Fault("/clock ends with its publisher", "clock_still|no_clock", Graph.kill_camera,
          lambda graph: (graph.start_camera(), graph.camera(clock=True)), simulated=True, takes=True),
]  # fmt: skip


def run(graph: Graph, fault: Fault) -> Outcome:
    """Inject a fault while frames flow; clear it once it is told; wait until nothing is wrong any more.

    It begins and ends with a camera that rests and a node that has worked off all that it got.
    """
    started, before = time.monotonic(), Counter(graph.counts)
    graph.camera(sends=True)
    time.sleep(FLOW_S)
    injected, exits = time.monotonic(), len(graph.exit_codes)
    fault.inject(graph)
    if fault.finding == ENDED:
        graph.wait(lambda: len(graph.exit_codes) > exits, "the end of the process")
        diagnosed = time.monotonic()
    else:
        diagnosed = graph.wait_told(injected, fault.finding)
    cleared = time.monotonic()
    fault.clear(graph)
    recovered = graph.wait_told(cleared, "")
    time.sleep(FLOW_S)
    graph.settle()
    counts = {name: graph.counts[name] - before[name] for name in COUNTED}
    sent = [entry for entry in list(graph.sent) if entry[2] > started]
    missing = [when for stamp, good, when in sent if good and not graph.depths[stamp]]
    withheld = sum(fault.takes and injected - BEFORE_S < when < recovered for when in missing)
    # reliable, and a queue of one: what was sent and not received was pushed out by a newer frame
    overtaken = 0 if fault.takes else min(max(len(sent) - counts["received"], 0), MOST_OVERTAKEN)
    lost = max(len(missing) - withheld - overtaken - counts["replaced"], 0)
    good = sum(good for _, good, _ in sent)
    return Outcome(
        fault, diagnosed - injected, recovered - cleared, good, withheld, counts["replaced"] + overtaken, lost
    )


def twice(graph: Graph) -> list[int]:
    """Stamps of good frames that gave more than one depth image."""
    return [stamp for stamp, good, _ in graph.sent if good and graph.depths[stamp] > 1]


@contextmanager
def graphs(model: Path | str) -> Iterator[Callable[[Fault], Graph]]:
    """The graph that a fault needs; the one before it is closed where it is of the other kind."""
    with tempfile.TemporaryDirectory() as folder:
        current: list[tuple[bool, Graph]] = []

        def graph_for(fault: Fault) -> Graph:
            if current and current[-1][0] != fault.simulated:
                current.pop()[1].close()
            if not current:
                current.append((fault.simulated, Graph(model, Path(folder), fault.simulated)))
            return current[-1][1]

        try:
            yield graph_for
        finally:
            for _, graph in current:
                graph.close()


def as_markdown(outcomes: list[Outcome]) -> str:
    rows = [
        "| fault | finding | diagnosed in s | recovered in s | good frames sent | withheld | replaced | lost |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for outcome in outcomes:
        fault = outcome.fault
        finding = f"`{fault.finding}`".replace("|", "` or `") if fault.finding else "none: refused or applied at once"
        finding = finding if fault.finding != ENDED else "none: the process ends"
        rows.append(
            f"| {fault.name} | {finding} | {outcome.diagnosed_s:.1f} | {outcome.recovered_s:.1f} | {outcome.sent} "
            f"| {outcome.withheld} | {outcome.replaced} | {outcome.lost} |"
        )
    return "\n".join(rows) + "\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="fastdepth-pruned", help="artifact")
    parser.add_argument("--only", default="", help="regular expression of the names of the faults to inject")
    parser.add_argument("--out", type=Path, help="page whose table is replaced")
    parsed = parser.parse_args()
    outcomes = []
    with graphs(parsed.model) as graph_for:
        for fault in (fault for fault in FAULTS if re.search(parsed.only, fault.name)):
            graph = graph_for(fault)
            outcomes.append(run(graph, fault))
            print(as_markdown(outcomes[-1:]).splitlines()[-1], flush=True)
            assert not twice(graph), "a frame gave two depth images"
    if parsed.out:
        before, _, rest = parsed.out.read_text().partition(BEGIN)
        parsed.out.write_text(before + BEGIN + as_markdown(outcomes) + END + rest.partition(END)[2])
    return int(any(outcome.lost > outcome.fault.lost for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
