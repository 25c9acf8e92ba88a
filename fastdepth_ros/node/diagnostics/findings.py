"""Findings on /diagnostics: task, level, message and remedy of each. doc/diagnostics.md holds the same table, which
test/write_pages.py makes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

OK, WARN, ERROR = 0, 1, 2  # DiagnosticStatus.level, as whole numbers
TASKS = ("depth", "input", "camera_info", "stamps", "clock", "timing", "backend")
SHARED_MEMORY = (
    "frames over 0.5 MB exceed the default shared memory of Fast DDS. Make the publisher reliable, or start its "
    "process with config/shared_memory.xml (doc/diagnostics.md)"
)
OR_SCALE = (
    "; for metric depth without camera_info, set hfov_deg, focal_px, or focal_scale to the result of fastdepth "
    "calibrate-scale"
)


@dataclass(frozen=True)
class Kind:
    """Kind of a finding.

    Args:
        task: task of the diagnostic status that reports it, `node: task` (REP 107).
        level: WARN while depth is published or nobody needs it, ERROR while depth is missing.
        text: message; the names in braces are replaced by values.
        remedy: action for the user.
        follows_from: causes; the finding is not reported beside one of them.
    """

    task: str
    level: int
    text: str
    remedy: str
    follows_from: tuple[str, ...] = ()


NO_DEPTH = (
    "camera_info_awaited",
    "camera_needed",
    "unreadable",
    "failed",
    "backend_slow",
    "backend_hung",
)  # causes of missing depth while frames arrive
CLOCK = ("no_clock", "clock_awaited", "clock_still", "clock_jump")  # causes of wrong ages and stamps
FEW_FRAMES = ("no_publisher", "no_frames", "nothing_arrives", "frames_lost", "incompatible_qos", "wrong_type")

KINDS = {
    "unconfigured": Kind(
        "depth", WARN, "unconfigured: no depth", "configure and activate it: ros2 lifecycle set {node} configure"
    ),
    "loading": Kind(
        "depth", OK, "the model is loaded: no depth yet",
        "none: it takes seconds, with TensorRT at its first start minutes; load_deadline_s limits it",
    ),
    "inactive": Kind("depth", WARN, "inactive: no depth", "activate it: ros2 lifecycle set {node} activate"),
    "finalized": Kind("depth", WARN, "shut down: no depth", "start the process again"),
    "cannot_run": Kind(
        "depth", ERROR, "cannot run: {reason}", "correct the named cause, then configure and activate {node}"
    ),
    "camera_ended": Kind(
        "depth", ERROR, "this camera has ended: {reason}",
        "correct the named cause, then start the process of its cameras again; the others go on until then",
    ),
    "backend_lost": Kind("backend", ERROR, "{reason}", "none: launch starts the process again"),
    "paused": Kind(
        "depth", WARN, "paused by {service}: no depth", "resume: ros2 service call {service} "
        "std_srvs/srv/SetBool '{{data: true}}'",
    ),
    "idle": Kind(
        "depth", OK, "idle: nobody subscribes",
        "none: frames are taken while {topic} or another product has a subscriber; to always take them, set lazy to "
        "false",
    ),
    "not_metric": Kind(
        "depth", WARN, "depth of the model {model} is not in meters",
        "take its order, not its numbers; or bring it to meters: fastdepth calibrate-scale --depth-topic",
    ),
    "implausible": Kind(
        "depth", WARN, "depth of {count} frames in the last second is no scene's: {values}",
        "check kind, scale and focal rule of the model: fastdepth models show; or take another model",
        ("not_metric",),
    ),
    "no_publisher": Kind(
        "input", WARN, "no frame on {topic} for {silent_s:.0f} s: it has no publisher",
        "start the camera, or remap image to its topic; {images}",
    ),
    "no_frames": Kind(
        "input", WARN, "no frame on {topic} for {silent_s:.0f} s: its {publishers} publishers send nothing",
        "check that the camera runs: ros2 topic hz {topic}",
    ),
    "nothing_arrives": Kind(
        "input", ERROR, "no frame on {topic} for {silent_s:.0f} s, though it has {best_effort} best-effort publishers",
        f"check that they publish: ros2 topic hz {{topic}}. If so, {SHARED_MEMORY}",
    ),
    "frames_lost": Kind(
        "input", WARN, "{lost} frames of {topic} were lost in transport in the last second", SHARED_MEMORY
    ),
    "incompatible_qos": Kind(
        "input", ERROR, "QoS of {publishers} on {topic} is incompatible with the subscription: {reason}",
        "set the parameter reliability to auto, or change the QoS of the publisher",
    ),
    "wrong_type": Kind(
        "input", ERROR, "{topic} has the type {types}, the node subscribes {wanted}",
        "remap image to a topic of that type, or set image_transport",
    ),
    "unreadable": Kind(
        "input", WARN, "{count} frames unreadable in the last second: {error}",
        "configure the camera driver to publish complete images in an encoding listed in doc/node.md",
    ),
    "no_picture": Kind(
        "input", WARN, "{count} frames in the last second have a single color: their depth is meaningless",
        "check the lens cover and the exposure: ros2 run rqt_image_view rqt_image_view {topic}",
    ),
    "frame_id_unusable": Kind(
        "input", WARN, "the frame_id of the frames is {frame_id!r}, not a valid tf frame: depth cannot be transformed",
        "set the frame_id of the camera driver to a tf frame, without a leading slash",
    ),
    "bits_risen": Kind(
        "input", WARN, "16-bit samples use more bits than before, {bits}: frames are now darker",
        "set the parameter bits to the number of bits of the sensor",
    ),
    "output_qos": Kind(
        "depth", WARN, "QoS of {subscribers} is incompatible with {topic}: {reason}",
        "change the QoS of the subscriber, or that of {topic} by the parameters qos_overrides (doc/node.md)",
    ),
    "camera_info_awaited": Kind(
        "camera_info", WARN, "depth is held back for the first camera_info on {topic}, at most {wait_s:g} s",
        "none if it arrives; to change the limit, set camera_info_wait_s; to use no camera_info, set focal_scale",
    ),
    "camera_info_missing": Kind(
        "camera_info", WARN, "no camera_info on {topic}, which has no publisher: {lacking}",
        f"remap camera_info to the topic of the camera; the launch file uses the one beside the image topic{OR_SCALE}",
    ),
    "camera_info_silent": Kind(
        "camera_info", WARN, "no camera_info received on {topic}, which has {publishers} publishers: {lacking}",
        f"check that they publish: ros2 topic echo {{topic}}; or remap camera_info to another topic{OR_SCALE}",
    ),
    "camera_info_mismatch": Kind(
        "camera_info", WARN, "camera_info has another size than the frames: {why}: {lacking}",
        f"use the camera_info of this image topic, or calibrate at this resolution{OR_SCALE}",
    ),
    "camera_info_uncalibrated": Kind(
        "camera_info", WARN, "camera_info is unusable: {why}: {lacking}",
        f"calibrate the camera and load the calibration in its driver{OR_SCALE}",
    ),
    "camera_needed": Kind(
        "camera_info", ERROR, "{count} frames gave no depth: the model takes the camera matrix, and {why}",
        "give the node a camera_info, or set hfov_deg or focal_px; or take a model that needs none",
    ),
    "unscaled": Kind(
        "camera_info", WARN, "depth is not scaled to the camera's focal length: {reason}",
        f"use a camera_info and a model that match{OR_SCALE}",
        ("not_metric",),
    ),
    "not_undistorted": Kind(
        "camera_info", WARN, "frames are not undistorted: {why}",
        "calibrate the camera, or subscribe image_rect of image_proc and set undistort to false",
        ("camera_info_missing", "camera_info_silent", "camera_info_mismatch", "camera_info_uncalibrated"),
    ),
    "focal_differs": Kind(
        "camera_info", WARN, "the focal length differs by over 5 %: {why}; that of camera_info is used",
        "set hfov_deg and focal_px to 0, or calibrate the camera",
    ),
    "stamp_zero": Kind(
        "stamps", WARN, "{count} stamps in the last second are zero or negative",
        "configure the camera driver to stamp its frames; without stamps, age and tf are wrong",
    ),
    "stamp_future": Kind(
        "stamps", WARN, "stamps are {seconds:.2f} s in the future",
        "synchronize the clocks of the computers (chrony, PTP), or use the same use_sim_time as the camera",
        CLOCK,
    ),
    "stamp_past": Kind(
        "stamps", WARN, "stamps are {seconds:.0f} s in the past when the frames arrive",
        "configure the camera driver to stamp with system time, not time since boot; replay a bag with --clock and "
        "use_sim_time; otherwise synchronize the clocks of the computers (chrony, PTP)",
        CLOCK,
    ),
    "stamp_jump": Kind(
        "stamps", WARN, "stamps jump by {seconds:+.2f} s from one frame to the next",
        "check whether two cameras publish this topic, or the clock of the driver was set",
        CLOCK,
    ),
    "no_clock": Kind(
        "clock", ERROR, "use_sim_time is true, and /clock has no publisher",
        "start the simulator or play the bag with --clock, or set use_sim_time to false",
    ),
    "clock_awaited": Kind(
        "clock", OK, "use_sim_time is true, and the first /clock has not arrived",
        "none if it arrives; otherwise start the simulator or play the bag with --clock",
    ),
    "clock_still": Kind("clock", WARN, "simulated time stands still at {seconds:.2f} s", "resume the simulation"),
    "clock_jump": Kind(
        "clock", WARN, "time jumped by {seconds:+.2f} s; state from earlier frames was cleared",
        "none after a loop of a bag; slew the clock of a computer instead of setting it",
    ),
    "old_frames": Kind(
        "timing", WARN,
        "depth was up to {age_ms:.0f} ms old (max_age_ms {max_age_ms:.0f}); the node took up to {own_ms:.0f} ms of it",
        "if the node took most of it, use a smaller model, a faster backend or smaller frames; otherwise find the "
        "delay before the node, or synchronize the clocks",
        ("stamp_zero", "stamp_past", "stamp_jump", *CLOCK, "backend_slow", "backend_hung"),
    ),
    "low_rate": Kind(
        "timing", WARN, "{rate_hz:.1f} Hz out at {rate_in_hz:.1f} Hz in, min_rate_hz is {min_rate_hz:g}",
        "if the input rate is too low, raise the rate of the camera; otherwise use a smaller model or a faster backend",
        (*FEW_FRAMES, *NO_DEPTH, *CLOCK, "no_output"),
    ),
    "failed": Kind(
        "backend", ERROR, "{count} frames failed in the last second: {error}",
        "if it persists, set another backend or device, or configure the node again",
    ),
    "no_output": Kind(
        "backend", ERROR, "frames arrive, but no depth came out for {seconds} s",
        "wait for the first result of a slow engine, or set a faster backend, device or model",
        NO_DEPTH,
    ),
    "backend_slow": Kind(
        "backend", WARN, "the backend took {seconds:.1f} s for a frame, backend_deadline_s is {deadline_s:g}",
        "check the load of the processor; set a faster model, backend or device, or other threads",
    ),
    "backend_hung": Kind(
        "backend", ERROR,
        "the backend did not return within {deadline_s:g} s: its frame is lost, the backend is loaded again",
        "none if it recovers; if it hangs again, the process ends, and launch starts it again",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A kind of the table with its values.

    Args:
        consequence: highest level of the findings that follow from it and are therefore not reported.
    """

    name: str
    case: dict[str, Any] = field(default_factory=dict)
    consequence: int = OK

    @property
    def kind(self) -> Kind:
        return KINDS[self.name]

    @property
    def level(self) -> int:
        return max(self.kind.level, self.consequence)

    @property
    def message(self) -> str:
        return f"{self.kind.text}. Remedy: {self.kind.remedy}".format(**self.case)


def causes(found: Sequence[Finding]) -> list[Finding]:
    """Findings that are no consequences of others; a cause gets the highest level of its consequences."""
    names = {finding.name for finding in found}
    reported = [finding for finding in found if names.isdisjoint(finding.kind.follows_from)]
    return [
        replace(
            cause,
            consequence=max((other.level for other in found if cause.name in other.kind.follows_from), default=OK),
        )
        for cause in reported
    ]


def worst(findings: Iterable[Finding]) -> Finding | None:
    """Finding of the highest level; among equals the first in the order of the table."""
    order = list(KINDS)
    return min(findings, key=lambda finding: (-finding.level, order.index(finding.name)), default=None)
