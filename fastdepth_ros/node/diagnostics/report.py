"""Message of the node on /diagnostics, once a second (REP 107), and the log of its findings."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.time import Time

from fastdepth_ros.depth.estimator import PERCENTILES, stage_key
from fastdepth_ros.node.diagnostics.findings import ERROR, OK, TASKS, WARN, Finding, worst
from fastdepth_ros.node.diagnostics.statistics import Snapshot

PERIOD_S = 1.0
LOG_PERIOD_S = 10.0  # of one finding that comes and goes
DROPS = ("unreadable", "camera_needed", "failed", "abandoned")  # frames that gave no depth, apart from replaced ones
COUNTS = (
    "received", "published", "replaced", *DROPS, "lost", "skipped", "held", "camera_info_missing",
    "camera_info_mismatch", "camera_info_uncalibrated", "unscaled", "stamp_zero", "stamp_future", "stamp_past",
    "stamp_jump", "no_picture", "frame_id_unusable",
)  # fmt: skip


class Reporter:
    """Logs a finding when it comes and when it is over."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger
        self._open: dict[str, Finding] = {}
        self._logged_at: dict[str, float] = {}
        self._logged: set[str] = set()  # of the open ones

    def report(self, findings: Iterable[Finding]) -> None:
        now = time.monotonic()
        found = {finding.name: finding for finding in findings}
        for name in found.keys() - self._open.keys():
            if now - self._logged_at.get(name, -LOG_PERIOD_S) >= LOG_PERIOD_S:
                self._logged_at[name] = now
                self._logged.add(name)
                if found[name].level == ERROR:  # rclpy allows one level per line of code
                    self._logger.error(found[name].message)
                elif found[name].level == WARN:
                    self._logger.warning(found[name].message)
                else:
                    self._logger.info(found[name].message)
        for name in self._logged - found.keys():
            self._logged.remove(name)
            self._logger.info(f"over: {self._open[name].message.partition('. Remedy')[0]}")
        self._open = found


def diagnostic_array(
    stamp: Time,
    node_name: str,
    hardware_id: str,
    findings: Sequence[Finding],
    facts: Mapping[str, str],
    snapshot: Snapshot | None,
) -> DiagnosticArray:
    """The message: `depth` with the worst level and the figures, then one status per task.

    Args:
        facts: state, backend, model and the like.
    """
    found = worst(findings)
    if found is not None:
        others = len(findings) - 1
        message = found.message + (f" ({others} more)" if others else "")
    else:
        message = f"{snapshot.rate_in_hz:.1f} Hz in, {snapshot.rate_out_hz:.1f} Hz out" if snapshot else "OK"
    values = {**facts, **(_figures(snapshot) if snapshot is not None else {})}
    array = DiagnosticArray(status=[_status(f"{node_name}: depth", found, message, findings, values)])
    for task in TASKS[1:]:
        of_task = [finding for finding in findings if finding.kind.task == task]
        text = " / ".join(finding.message for finding in of_task) or "OK"
        array.status.append(_status(f"{node_name}: {task}", worst(of_task), text, of_task, {}))
    for status in array.status:
        status.hardware_id = hardware_id
    array.header.stamp = stamp.to_msg()
    return array


def _status(
    name: str, found: Finding | None, message: str, findings: Sequence[Finding], values: Mapping[str, str]
) -> DiagnosticStatus:
    level = found.level if found is not None else OK
    status = DiagnosticStatus(level=bytes([level]), name=name, message=message)
    named = {**values, "findings": " ".join(finding.name for finding in findings)}
    status.values = [KeyValue(key=key, value=value) for key, value in named.items()]
    return status


def _figures(snapshot: Snapshot) -> dict[str, str]:
    values = {
        "rate in [Hz]": f"{snapshot.rate_in_hz:.2f}",
        "rate out [Hz]": f"{snapshot.rate_out_hz:.2f}",
    }
    for stage, durations_ms in snapshot.durations_ms.items():
        for percentile, duration_ms in zip(PERCENTILES, durations_ms):
            values[stage_key(stage, percentile)] = f"{duration_ms:.3f}"
    values.update({name: str(snapshot.counts.get(name, 0)) for name in COUNTS})
    return values
