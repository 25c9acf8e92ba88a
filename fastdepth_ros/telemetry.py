"""Telemetry of the libraries below this package: off, unless the user has chosen otherwise.

ONNX Runtime, OpenVINO, Ray and Rerun send usage data to their makers by default. A robot must not.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Any

OPENVINO_CONSENT = "intel/openvino_telemetry"  # below the home folder; `opt_in_out` of OpenVINO writes it
RAY_CONSENT = ".ray/config.json"  # below the home folder; `ray disable-usage-stats` writes it


def switch_off_telemetry(
    environment: MutableMapping[str, str] = os.environ,
    modules: MutableMapping[str, Any] = sys.modules,
    home: Path | None = None,
) -> None:
    """Switch telemetry off in this process and in those that it starts; call it before an engine is imported.

    What the user has set stays: a variable of the environment, or the file in which a library keeps the user's consent.

    Args:
        environment: environment of this process.
        modules: imported modules; OpenVINO sends nothing where the package openvino_telemetry is absent, and has
            no variable for it.
        home: folder of the user's; None asks the system.
    """
    home = home or Path(os.path.expanduser("~"))
    environment.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime, since 1.29
    if not (home / RAY_CONSENT).exists():
        environment.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if not (home / OPENVINO_CONSENT).exists():
        modules.setdefault("openvino_telemetry", None)


def viewer_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment for Rerun's viewer, a program of its own, with its analytics off.

    It has no variable for that alone, but sends nothing on build servers, which set CI. FORCE_RERUN_ANALYTICS=1
    of the user's switches them on nevertheless.
    """
    return {"CI": "1", **environment}
