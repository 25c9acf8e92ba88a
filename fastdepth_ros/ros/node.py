"""The lifecycle node `fastdepth`: its states, its parameters and its diagnostics; the frame's way is the pipeline's."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import fields
from functools import wraps
from typing import Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from fastdepth_ros.backends import BackendError
from fastdepth_ros.depth.artifact import ArtifactError
from fastdepth_ros.depth.golden import GoldenError
from fastdepth_ros.ros import parameters
from fastdepth_ros.ros.camera import Camera
from fastdepth_ros.ros.diagnostics import PERIOD_S, Inputs, diagnostic_array, health
from fastdepth_ros.ros.pipeline import Pipeline

Transition = Callable[["FastDepthNode", LifecycleState], TransitionCallbackReturn]


def told(transition: Transition) -> Transition:
    """Decorator of a transition: rclpy turns an exception into ERROR and swallows its text; this says it."""

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
        self.add_on_set_parameters_callback(self._on_parameters)
        self._pipeline: Pipeline | None = None  # while configured
        self._camera: Camera | None = None  # while active
        self.trouble = ""  # why the last transition failed
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_service(Trigger, "~/check_golden", self._on_check_golden)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # told also while simulated time stands still
        self.create_timer(PERIOD_S, self._publish_diagnostics, clock=steady)

    def autostart(self) -> None:
        """Configure and activate, if the parameter says so."""
        if self.get_parameter("autostart").value:
            if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
                self.trigger_activate()

    @told
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            self._pipeline = Pipeline(self, parameters.read(self))
        except (ArtifactError, BackendError, GoldenError, ValueError, OSError) as error:
            self.trouble = str(error)
            self.get_logger().error(f"cannot configure: {error}")
            return TransitionCallbackReturn.FAILURE
        self.trouble = ""
        self.get_logger().info("configured: {model} on {backend}".format(**self._pipeline.facts))
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        assert self._pipeline is not None, "activated before it was configured"
        try:
            self._pipeline.check_golden()
        except (BackendError, GoldenError) as error:
            self.trouble = str(error)
            self.get_logger().error(f"cannot activate: {error}")
            return TransitionCallbackReturn.FAILURE
        self.trouble = ""
        super().on_activate(state)  # the publishers
        self._pipeline.begin()
        self._camera = Camera(self, self._pipeline)
        depth_topic = self._pipeline.depth_topic
        self.get_logger().info(f"active: {self._camera.subscription.topic} -> {depth_topic}")
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        self._close_camera()
        return super().on_deactivate(state)

    @told
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return TransitionCallbackReturn.SUCCESS

    @told
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return TransitionCallbackReturn.SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        self.close()
        return TransitionCallbackReturn.SUCCESS  # to unconfigured, from where it can be configured anew

    def close(self) -> None:
        """Stop the worker and free backend and publishers, whatever the state."""
        self._close_camera()
        if self._pipeline is not None:
            self._pipeline.close()
            self._pipeline = None

    def _on_check_golden(self, request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        """`~/check_golden`: does the backend still compute the model?"""
        if self._pipeline is None:
            response.message = "not configured: there is no backend to check"
            return response
        try:
            off_m = self._pipeline.check_golden()
            response.success = off_m is not None
            response.message = self._pipeline.facts["golden frame"]
        except (BackendError, GoldenError) as error:
            response.message = str(error)
            self.get_logger().error(f"golden frame: {error}")
        return response

    def _close_camera(self) -> None:
        if self._camera is not None:
            if not self._camera.close():
                self.get_logger().error("the backend still computes after 10 s; its thread is left behind")
            self._camera = None

    def _on_parameters(self, changes: list[Parameter]) -> SetParametersResult:
        ours = {field.name for field in fields(parameters.Settings)}
        changed = [change for change in changes if change.name in ours]
        reasons = [text for change in changed if (text := parameters.complaint(change.name, change.value))]
        if changed and self._pipeline is not None:
            names = ", ".join(change.name for change in changed)
            reasons.append(f"{names}: read when the node is configured; deactivate it and clean it up first")
        return SetParametersResult(successful=not reasons, reason="; ".join(reasons))

    def _publish_diagnostics(self) -> None:
        snapshot, facts = None, dict(self._pipeline.facts) if self._pipeline is not None else {}
        if self._pipeline is not None and self._camera is not None:
            subscription = self._camera.subscription
            snapshot = self._pipeline.statistics.look()
            info_topic = self._camera.info_topic
            inputs = Inputs(
                subscription.topic, subscription.publishers(), info_topic, self.count_publishers(info_topic)
            )
            level, text = health(snapshot, inputs)
            facts.update(state="active", topic=subscription.topic, reliability=subscription.reliability)
        elif self._pipeline is not None:
            level = DiagnosticStatus.ERROR if self.trouble else DiagnosticStatus.WARN
            text = f"cannot activate: {self.trouble}" if self.trouble else "inactive: activate it to get depth"
            facts["state"] = "inactive"
        else:
            level = DiagnosticStatus.ERROR if self.trouble else DiagnosticStatus.WARN
            text = f"cannot run: {self.trouble}" if self.trouble else "unconfigured: configure and activate it"
            facts["state"] = "unconfigured"
        self._diagnostics.publish(
            diagnostic_array(self.get_clock().now(), self.get_fully_qualified_name()[1:], level, text, facts, snapshot)
        )


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the executable `fastdepth_node`."""
    try:
        rclpy.init(args=arguments)
    except RuntimeError as error:  # a parameter file that is missing or malformed
        print(f"fastdepth_node: {error}", file=sys.stderr)
        return 1
    node = None
    try:
        node = FastDepthNode()
        node.autostart()
        rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        print(f"fastdepth_node: {error}", file=sys.stderr)
        return 1
    except RuntimeError:
        if rclpy.ok():  # else a signal ended the context while the node was being made
            raise
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # launch sends it more than once
        if node is not None:
            node.close()
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
