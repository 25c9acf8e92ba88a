"""The lifecycle node `fastdepth`: states, parameters, services, diagnostics. `Pipeline` processes the frames."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import asdict, fields
from functools import wraps
from threading import Event
from typing import TYPE_CHECKING, Any

import cv2
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.utilities import remove_ros_args
from std_srvs.srv import SetBool, Trigger

from fastdepth_ros.backends import BackendError
from fastdepth_ros.choice.choice import AUTO
from fastdepth_ros.jobs.memory import keep_freed_memory
from fastdepth_ros.node import parameters
from fastdepth_ros.node.camera import Camera
from fastdepth_ros.node.clock import ClockWatch
from fastdepth_ros.node.diagnostics.findings import Finding
from fastdepth_ros.node.diagnostics.health import HealthInput, findings
from fastdepth_ros.node.diagnostics.report import PERIOD_S, Reporter, diagnostic_array
from fastdepth_ros.node.diagnostics.statistics import Snapshot
from fastdepth_ros.node.engine import LOADING_ERRORS, load_engine, run_with_deadline, wanted_engine
from fastdepth_ros.node.pipeline import Pipeline
from fastdepth_ros.node.shared_memory import add_shared_memory_option, use_shared_memory
from fastdepth_ros.node.shutdown import arm_hard_watchdog, end_for, lasting_executor, run_to_end
from fastdepth_ros.node.subscription import unfit_subscribers
from fastdepth_ros.node.worker import PERIOD_S as WATCH_PERIOD_S
from fastdepth_ros.node.worker import BackendLost

if TYPE_CHECKING:
    from fastdepth_ros.node.engine_chooser import EngineChooser

HELP = "ROS arguments follow --ros-args: -p NAME:=VALUE, --params-file FILE, -r FROM:=TO; parameters: doc/parameters.md"
HARD_LIMIT_S = 30.0  # beyond all deadlines of what may block the executor
SWITCH_INTERVAL_S = 1e-5  # Python's 5 ms would keep a new frame waiting while the executor goes on
Transition = Callable[["FastDepthNode", LifecycleState], TransitionCallbackReturn]


def log_exceptions(transition: Transition) -> Transition:
    """Decorator of a transition that logs exceptions: rclpy turns them into ERROR and drops their text."""

    @wraps(transition)
    def wrapped(node: FastDepthNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            node.trouble = f"{transition.__name__}: {type(error).__name__}: {error}"
            node.get_logger().fatal(node.trouble)
            return TransitionCallbackReturn.ERROR

    return wrapped


class FastDepthNode(LifecycleNode):
    """Subscribes `image` and `camera_info`; publishes `depth/image`, `depth/camera_info` and `depth/image_color`."""

    def __init__(self, **options: Any) -> None:
        super().__init__("fastdepth", **options)
        parameters.declare(self)
        if unknown := parameters.unknown(self):
            self.get_logger().warning(f"parameters that this node does not have are ignored: {', '.join(unknown)}")
        self.add_on_set_parameters_callback(self._on_parameters)
        self._pipeline: Pipeline | None = None  # while configured
        self._camera: Camera | None = None  # while active
        self._chooser: EngineChooser | None = None  # while configured with backend: auto
        self.trouble = ""  # why the last transition failed
        self._loading = False
        self.own_process = False  # may the hard watchdog end the process?
        self._label = "unconfigured"
        self._reporter = Reporter(self.get_logger())
        self._clock_watch = ClockWatch(self, self._on_clock_jump)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_service(Trigger, "~/check_golden", self._on_check_golden)
        self.create_service(SetBool, "~/enable", self._on_enable)
        self.create_service(Trigger, "~/estimate_once", self._on_estimate_once)
        # Simulated time may stand still until a bag is played, and its player may wait for a subscription.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._each_second = self.create_timer(PERIOD_S, self._on_second, clock=steady)
        self._often = self.create_timer(WATCH_PERIOD_S, self._watch, clock=steady)  # one: each wake-up costs power

    def autostart(self) -> None:
        """Configure and activate, if the parameter says so."""
        if self.get_parameter("autostart").value:
            if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()

    @log_exceptions
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            settings = parameters.read(self)
            engine = self._load(lambda: load_engine(settings), settings.load_deadline_s)
        except LOADING_ERRORS as error:
            self.trouble = str(error)
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self._pipeline = Pipeline(self, settings, engine)
        self._renew_chooser(self._pipeline)
        self.trouble, self._label = "", "inactive"
        self.get_logger().info("configured: {model} on {backend}".format(**self._pipeline.facts))
        if not engine.artifact.is_metric:
            self.get_logger().warning(f"depth of the model {engine.artifact.name} is not in meters")
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._pipeline is not None, "activated before it was configured"
        try:
            self._load(self._pipeline.make_ready, self._pipeline.settings.load_deadline_s)
        except LOADING_ERRORS as error:
            self.trouble = str(error)
            self.get_logger().error(f"cannot activate: {error}")
            return TransitionCallbackReturn.FAILURE
        self.trouble = ""
        super().on_activate(state)  # the publishers
        self._pipeline.begin()
        self._camera = Camera(self, self._pipeline)
        self._label = "active"
        depth_topic = self._pipeline.depth_topic
        self.get_logger().info(f"active: {self._camera.subscription.topic} -> {depth_topic}")
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close_camera()
        self._label = "inactive"
        return super().on_deactivate(state)

    @log_exceptions
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self.trouble = ""
        return TransitionCallbackReturn.SUCCESS

    @log_exceptions
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        self.trouble, self._label = "", "finalized"
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self.close()
        except Exception as error:
            self.get_logger().fatal(f"cannot be put right: {type(error).__name__}: {error}")
            self._label = "finalized"
            return TransitionCallbackReturn.FAILURE
        return TransitionCallbackReturn.SUCCESS  # to unconfigured, from where it can be configured again

    def close(self) -> None:
        """Stop the worker and free backend and publishers, whatever the state."""
        try:
            self._close_camera()
        finally:
            if self._chooser is not None:
                self._chooser.close()
                self._chooser = None
            if self._pipeline is not None:
                self._pipeline.close()
                self._pipeline = None
            self._label = "unconfigured"

    def fail(self, error: Exception, ended: Event) -> None:
        """Stop the work of a node whose executor has ended; publish the reason until the process ends too."""
        try:
            self.close()
        finally:
            for service in list(self.services):  # a request is refused at once, where nobody would answer it
                self.destroy_service(service)
            found = [Finding("camera_ended", {"reason": f"{type(error).__name__}: {error}"})]
            self._publish(found, {"state": "ended"}, None)
            while not ended.wait(PERIOD_S):
                self._publish(found, {"state": "ended"}, None)

    def stop_work(self) -> None:
        """Finish the frame in work before the process ends; subscriptions stay, since DDS may call into them."""
        if self._camera is not None and not self._camera.worker.stop():
            self.get_logger().error("the backend still computes; its thread ends with the process")

    def _on_check_golden(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Service `~/check_golden`: check that the backend still reproduces the golden frame."""
        if self._pipeline is None:
            response.message = "not configured: there is no backend to check"
            return response
        try:
            off_m = run_with_deadline(
                self._pipeline.check_golden, self._pipeline.settings.load_deadline_s, self._listen
            )
            response.success = off_m is not None
            response.message = self._pipeline.facts["golden frame"]
        except LOADING_ERRORS as error:
            response.message = str(error)
            self.get_logger().error(f"golden frame: {error}")
        return response

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        """Service `~/enable`: pause or resume the processing of frames."""
        if self._camera is None:
            response.message = f"{self._label}: there is nothing to pause or resume"
            return response
        self._camera.pause(not request.data)
        response.success, response.message = True, "enabled" if request.data else "paused"
        self.get_logger().info(f"{response.message} by ~/enable")
        return response

    def _on_estimate_once(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """Service `~/estimate_once`: take one frame, also while paused or idle, and answer once its depth is out."""
        if self._camera is None or self._pipeline is None:
            response.message = f"{self._label}: no frame is taken"
            return response
        from fastdepth_ros.node.estimate_once import estimate_once

        response.success, response.message = estimate_once(self._camera, self._pipeline, self._listen)
        return response

    def _on_clock_jump(self) -> None:
        if self._camera is not None:
            self._camera.reset()

    def _load(self, work: Callable[[], Any], limit_s: float) -> Any:
        """Result of work on a model, while diagnostics say that it is loaded."""
        self._loading = True
        try:
            return run_with_deadline(work, limit_s, self._listen)
        finally:
            self._loading = False

    def _listen(self) -> None:
        """Handle messages and timers while the executor waits for a backend."""
        if self._camera is not None:
            self._camera.listen()
        for timer, work in ((self._often, self._watch), (self._each_second, self._publish_diagnostics)):
            if timer.is_ready():
                timer.reset()
                work()

    def _watch(self) -> None:
        """Raises BackendLost, which ends `rclpy.spin`."""
        try:
            if self._camera is not None and self._pipeline is not None:  # else its close failed
                self._camera.watch()
        except BackendLost as error:
            self.trouble = str(error)
            self._publish_diagnostics()
            raise

    def _renew_chooser(self, pipeline: Pipeline) -> None:
        """Measure the engines in the background, where the parameters leave the choice open."""
        if self._chooser is not None:
            self._chooser.close()
            self._chooser = None
        wanted = wanted_engine(pipeline.settings)
        if wanted.backend == AUTO:
            from fastdepth_ros.node.engine_chooser import EngineChooser

            self._chooser = EngineChooser(pipeline.artifact, wanted, self.get_logger(), self._take_choice)

    def _on_second(self) -> None:
        self._publish_diagnostics()
        if self._chooser is not None and self._camera is not None:
            self._chooser.check()

    def _take_choice(self) -> None:
        """Swap to the engine that was found to be the fastest; frames go on through the old one while it is loaded."""
        if (pipeline := self._pipeline) is None:
            return
        engine = run_with_deadline(pipeline.prepare_choice, pipeline.settings.load_deadline_s, self._listen)
        pipeline.change(pipeline.settings, engine)

    def _close_camera(self) -> None:
        if self._camera is not None:
            if not self._camera.close():
                self.get_logger().error("the backend still computes; its thread is left behind")
            self._camera = None

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        """Apply the changes, or say why not; frames go on through the old backend while a new one is loaded."""
        ours = {field.name for field in fields(parameters.Settings)}
        changed = {change.name: change.value for change in changes if change.name in ours}
        reasons = [text for name, value in changed.items() if (text := parameters.complaint(name, value))]
        if changed and not reasons and self._pipeline is not None:
            reasons = self._applied(changed, self._pipeline)
        return SetParametersResult(successful=not reasons, reason="; ".join(reasons))

    def _applied(self, changed: dict[str, Any], pipeline: Pipeline) -> list[str]:
        """Reasons why the changes were not applied; empty if they were."""
        before = asdict(pipeline.settings)
        fixed = [
            f"{name}: {why}"
            for name, why in parameters.FIXED.items()
            if changed.get(name, before[name]) != before[name]
        ]
        if fixed:
            return fixed
        try:
            settings = parameters.read(self, changed)
            engine = run_with_deadline(lambda: pipeline.prepare(settings), settings.load_deadline_s, self._listen)
            if engine.abandoned:
                raise BackendError("the backend hung meanwhile and is loaded again; set the parameters again")
        except LOADING_ERRORS as error:
            self.get_logger().error(f"{', '.join(changed)} not changed: {error}")
            return [str(error)]
        if self._camera is not None:
            self._camera.change(settings)
        pipeline.change(settings, engine)
        if self._chooser is None or self._chooser.wanted != wanted_engine(settings) or "model" in changed:
            self._renew_chooser(pipeline)
        return []

    def _publish_diagnostics(self) -> None:
        if self.own_process:
            arm_hard_watchdog(self._hard_limit_s())
        facts = {"state": self._label, **(self._pipeline.facts if self._pipeline is not None else {})}
        clock = self._clock_watch.check()
        snapshot = None
        if self._pipeline is not None and self._camera is not None:
            snapshot = self._pipeline.statistics.snapshot()
            found = self._findings(self._pipeline, self._camera, snapshot, clock)
            subscription = self._camera.subscription
            facts.update(topic=subscription.topic, reliability=subscription.reliability)
        elif self._loading:
            found = [Finding("loading", {})]
        elif self.trouble:
            found = [Finding("cannot_run", {"reason": self.trouble, "node": self.get_fully_qualified_name()})]
        else:
            found = [Finding(self._label, {"node": self.get_fully_qualified_name()})]
        self._reporter.report(found)
        self._publish(found, facts, snapshot)

    def _publish(self, found: list[Finding], facts: dict[str, str], snapshot: Snapshot | None) -> None:
        name = self.get_fully_qualified_name()[1:]  # of several nodes, each with its namespace
        hardware_id = self.get_parameter("hardware_id").value
        now = self.get_clock().now()
        self._diagnostics.publish(diagnostic_array(now, name, hardware_id, found, facts, snapshot))

    def _findings(
        self, pipeline: Pipeline, camera: Camera, snapshot: Snapshot, clock: dict[str, float]
    ) -> list[Finding]:
        unfit = {topic: found for topic in pipeline.topics if (found := unfit_subscribers(self, topic))}
        given = HealthInput(
            pipeline.settings,
            snapshot,
            camera.subscription.inputs(camera.info_topic),
            pipeline.depth_topic,
            clock,
            {name: reason for found in unfit.values() for name, reason in found.items()},
            camera.worker.busy_s,
            camera.worker.reloading,
            self.resolve_service_name("~/enable") if camera.paused else "",
            camera.idle,
            pipeline.relative_model,
            ", ".join(sorted(unfit)),
        )
        lost = [Finding("backend_lost", {"reason": self.trouble})] if self.trouble else []
        return [*lost, *findings(given)]

    def _hard_limit_s(self) -> float:
        """Longest time in seconds that the executor may be blocked; 0: no limit."""
        deadlines_s = [self.get_parameter(name).value for name in ("backend_deadline_s", "load_deadline_s")]
        return HARD_LIMIT_S + sum(deadlines_s) if all(deadlines_s) else 0.0


def tune_process() -> None:
    """Set up Python, OpenCV and the allocator for a process of nodes."""
    keep_freed_memory()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    cv2.setNumThreads(1)  # waking another thread costs more than a small resize, and they spin


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable `fastdepth_node`; returns only where no node was begun."""
    given = sys.argv[1:] if arguments is None else arguments
    parser = argparse.ArgumentParser("fastdepth_node", description=__doc__, epilog=HELP)
    add_shared_memory_option(parser)
    tune_process()
    try:
        if parser.parse_args(remove_ros_args(["", *given])[1:]).shared_memory:
            use_shared_memory()
        rclpy.init(args=arguments)
    except RuntimeError as error:  # a parameter file that is missing or malformed
        print(f"fastdepth_node: {error}", file=sys.stderr)
        return 1
    nodes: list[FastDepthNode] = []
    executor = lasting_executor()  # now: one that a signal interrupts as it is made complains

    def work() -> int:
        node = FastDepthNode()
        nodes.append(node)
        node.own_process = True
        executor.add_node(node)
        try:
            node.autostart()
            executor.spin()
        except BackendLost as error:
            end_for(error)
        return 0

    return run_to_end("fastdepth_node", nodes, work)


if __name__ == "__main__":
    raise SystemExit(main())
