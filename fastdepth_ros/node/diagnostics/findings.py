"""Findings on /diagnostics: task, level, message and remedy of each. doc/diagnostics.md holds the same table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Formatter
from typing import Any

OK, WARN, ERROR = 0, 1, 2  # DiagnosticStatus.level, as whole numbers
LEVELS = {OK: "OK", WARN: "WARN", ERROR: "ERROR"}
TASKS = ("depth", "input", "camera_info", "stamps", "clock", "timing", "backend")
SHARED_MEMORY = (
    "frames over 0.5 MB do not fit into the shared memory of Fast DDS as it comes. Make the publisher reliable, or "
    "start its process with config/shared_memory.xml (doc/diagnostics.md)"
)
OR_SCALE = "; for correct meters without it, set focal_scale to the number of fastdepth calibrate-scale"


@dataclass(frozen=True)
class Kind:
    """One thing that can be wrong.

    Args:
        task: of the diagnostic status that tells it, `node: task` (REP 107).
        level: WARN where depth still comes or is not wanted, ERROR where it should come and does not.
        text: what was found; the names in braces are filled in.
        remedy: what to do.
        follows_from: findings that cause it; beside one of them it is not told.
    """

    task: str
    level: int
    text: str
    remedy: str
    follows_from: tuple[str, ...] = ()


NO_DEPTH = (
    "camera_info_awaited",
    "unreadable",
    "failed",
    "backend_slow",
    "backend_hung",
)  # causes of no depth while frames come in
CLOCK = ("no_clock", "clock_awaited", "clock_still", "clock_jump")  # causes of ages and stamps that cannot be true
FEW_FRAMES = ("no_publisher", "no_frames", "nothing_arrives", "frames_lost", "incompatible_qos", "wrong_type")

KINDS = {
    "unconfigured": Kind(
        "depth", WARN, "unconfigured: no depth", "configure and activate it: ros2 lifecycle set {node} configure"
    ),
    "inactive": Kind("depth", WARN, "inactive: no depth", "activate it: ros2 lifecycle set {node} activate"),
    "finalized": Kind("depth", WARN, "shut down: no depth", "start the process anew"),
    "cannot_run": Kind(
        "depth", ERROR, "cannot run: {reason}", "put right what it names, then configure and activate {node}"
    ),
    "backend_lost": Kind("backend", ERROR, "{reason}", "none: launch starts the process anew"),
    "paused": Kind(
        "depth", WARN, "paused by {service}: no depth", "call it with true: ros2 service call {service} "
        "std_srvs/srv/SetBool '{{data: true}}'",
    ),
    "no_publisher": Kind(
        "input", WARN, "no frame on {topic} for {silent_s:.0f} s: it has no publisher",
        "start the camera, or remap image to its topic; {images}",
    ),
    "no_frames": Kind(
        "input", WARN, "no frame on {topic} for {silent_s:.0f} s: its {publishers} publishers send nothing",
        "see whether the camera runs: ros2 topic hz {topic}",
    ),
    "nothing_arrives": Kind(
        "input", ERROR, "no frame on {topic} for {silent_s:.0f} s, though it has {best_effort} best-effort publishers",
        f"if ros2 topic hz shows that they send: {SHARED_MEMORY}",
    ),
    "frames_lost": Kind(
        "input", WARN, "{lost} frames of {topic} got lost on the way in the last second", SHARED_MEMORY
    ),
    "incompatible_qos": Kind(
        "input", ERROR, "{publishers} on {topic} and our subscription do not fit: {reason}",
        "set the parameter reliability to auto, or let the publisher offer what we ask for",
    ),
    "wrong_type": Kind(
        "input", ERROR, "{topic} carries {types}, we subscribe {wanted}",
        "remap image to a topic of that type, or set image_transport",
    ),
    "unreadable": Kind(
        "input", WARN, "{count} frames unreadable in the last second: {error}",
        "let the camera driver send whole images in an encoding listed in doc/node.md",
    ),
    "no_picture": Kind(
        "input", WARN, "{count} frames in the last second are of one color, without a picture: their depth is a guess",
        "see whether the lens is covered or the exposure is wrong: ros2 run rqt_image_view rqt_image_view {topic}",
    ),
    "frame_id_unusable": Kind(
        "input", WARN, "the frame_id of the frames is {frame_id!r}, which tf does not know: nobody can place the depth",
        "set the frame_id of the camera driver to a frame of tf, without a slash at its start",
    ),
    "bits_risen": Kind(
        "input", WARN, "16-bit samples use more bits than all before, {bits}: frames are darker than they were",
        "set the parameter bits to what the sensor has",
    ),
    "output_qos": Kind(
        "depth", WARN, "{subscribers} asks for more than {topic} offers: {reason}",
        "let it ask for volatile durability and no deadline",
    ),
    "camera_info_awaited": Kind(
        "camera_info", WARN, "depth is held back for the first camera_info on {topic}, at most {wait_s:g} s",
        "none if it comes; camera_info_wait_s is the limit, and focal_scale as a number or off waits for none",
    ),
    "camera_info_missing": Kind(
        "camera_info", WARN, "no camera_info on {topic}, which has no publisher: {lacking}",
        f"remap camera_info to the camera's; the launch file takes the one beside the image topic{OR_SCALE}",
    ),
    "camera_info_silent": Kind(
        "camera_info", WARN, "no camera_info on {topic} is heard, though it has {publishers} publishers: {lacking}",
        f"see whether they send: ros2 topic echo {{topic}}; remap camera_info to one that does{OR_SCALE}",
    ),
    "camera_info_mismatch": Kind(
        "camera_info", WARN, "camera_info is of another size than the frames: {why}: {lacking}",
        f"take the camera_info of the very image topic, or calibrate at this resolution{OR_SCALE}",
    ),
    "camera_info_uncalibrated": Kind(
        "camera_info", WARN, "no consumer can use camera_info: {why}: {lacking}",
        f"calibrate the camera and give the file to its driver{OR_SCALE}",
    ),
    "unscaled": Kind(
        "camera_info", WARN, "depth is not scaled to the camera's focal length: {reason}",
        f"take a camera_info and a model that belong together{OR_SCALE}",
    ),
    "stamp_zero": Kind(
        "stamps", WARN, "{count} stamps in the last second are zero or negative",
        "let the camera driver stamp its frames; age and tf cannot be right",
    ),
    "stamp_future": Kind(
        "stamps", WARN, "stamps are {seconds:.2f} s in the future",
        "synchronize the clocks of the computers (chrony, PTP), or set use_sim_time as the camera has it",
        CLOCK,
    ),
    "stamp_past": Kind(
        "stamps", WARN, "stamps are {seconds:.0f} s in the past as the frames arrive",
        "let the camera driver stamp with the system's time, not with the time since boot; replay a bag with --clock "
        "and use_sim_time; else synchronize the clocks of the computers (chrony, PTP)",
        CLOCK,
    ),
    "stamp_jump": Kind(
        "stamps", WARN, "stamps do not go on with time: from one frame to the next by {seconds:+.2f} s",
        "see whether two cameras publish this topic, or the driver's clock was set",
        CLOCK,
    ),
    "no_clock": Kind(
        "clock", ERROR, "use_sim_time is true, and nobody publishes /clock",
        "start the simulator or play the bag with --clock, or set use_sim_time to false",
    ),
    "clock_awaited": Kind(
        "clock", OK, "use_sim_time is true, and the first /clock has not come yet",
        "none if it comes; else start the simulator or play the bag with --clock",
    ),
    "clock_still": Kind("clock", WARN, "simulated time stands still at {seconds:.2f} s", "let the simulation go on"),
    "clock_jump": Kind(
        "clock", WARN, "time jumped by {seconds:+.2f} s; what was remembered of earlier frames is forgotten",
        "none is needed after a loop of a bag; a computer's clock should be slewed, not set",
    ),
    "old_frames": Kind(
        "timing", WARN,
        "depth was up to {age_ms:.0f} ms old, max_age_ms is {max_age_ms:.0f}; up to {own_ms:.0f} ms of it in here",
        "if it took most of it, a smaller model, a faster backend, smaller frames; else see what delays the frames on "
        "their way, or synchronize the clocks",
        ("stamp_zero", "stamp_past", "stamp_jump", *CLOCK, "backend_slow", "backend_hung"),
    ),
    "low_rate": Kind(
        "timing", WARN, "{rate_hz:.1f} Hz out at {rate_in_hz:.1f} Hz in, min_rate_hz is {min_rate_hz:g}",
        "raise the camera's rate, where less comes in than is asked for; else a smaller model or a faster backend",
        (*FEW_FRAMES, *NO_DEPTH, *CLOCK, "no_output"),
    ),
    "failed": Kind(
        "backend", ERROR, "{count} frames failed in the last second: {error}",
        "if it stays, set backend or device to another, or configure the node anew",
    ),
    "no_output": Kind(
        "backend", ERROR, "frames come in, but no depth came out for {seconds} s",
        "wait for the first answer of a slow engine; set backend, device or model to a faster one",
        NO_DEPTH,
    ),
    "backend_slow": Kind(
        "backend", WARN, "the backend took {seconds:.1f} s for a frame, backend_deadline_s is {deadline_s:g}",
        "see what else uses the processor; set model, backend, device or threads to something faster",
    ),
    "backend_hung": Kind(
        "backend", ERROR,
        "the backend did not answer within {deadline_s:g} s: its frame is given up, it is loaded anew",
        "none if it comes back; if it hangs again, the process ends, and launch starts it anew",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """A kind of the table with its case filled in.

    Args:
        consequence: level of the gravest finding that follows from it and is therefore not told.
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
    """Findings that are not consequences of others; a cause gets the worst level of its consequences."""
    names = {finding.name for finding in found}
    told = [finding for finding in found if names.isdisjoint(finding.kind.follows_from)]
    return [
        replace(
            cause,
            consequence=max((other.level for other in found if cause.name in other.kind.follows_from), default=OK),
        )
        for cause in told
    ]


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The gravest; among equals the first in the order of the table."""
    order = list(KINDS)
    return min(findings, key=lambda finding: (-finding.level, order.index(finding.name)), default=None)


def as_markdown() -> str:
    """The table in doc/diagnostics.md."""
    rows = ["| finding | task | level | message | remedy | not told beside |", "|---|---|---|---|---|---|"]
    for name, kind in KINDS.items():
        texts = [" ".join(_open(text).split()) for text in (kind.text, kind.remedy)]
        beside = ", ".join(f"`{cause}`" for cause in kind.follows_from)
        rows.append(f"| `{name}` | {kind.task} | {LEVELS[kind.level]} | {' | '.join(texts)} | {beside} |")
    return "\n".join(rows) + "\n"


def _open(text: str) -> str:
    """Text with its fields named, without their formats."""
    return "".join(literal + (f"*{name}*" if name else "") for literal, name, _, _ in Formatter().parse(text))


PAGE = Path("doc", "diagnostics.md")
BEGIN, END = "<!-- findings.py writes this -->\n", "<!-- to here -->\n"

if __name__ == "__main__":  # after a change of the table
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(before + BEGIN + as_markdown() + END + rest.partition(END)[2])
