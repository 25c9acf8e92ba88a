"""Measurement of the engines beside a running node with `backend: auto`, once the machine is quiet."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from fastdepth_ros.artifact.artifact import Artifact
from fastdepth_ros.choice.choice import Wanted, candidates
from fastdepth_ros.choice.kept import Timed, is_open, keep_choice, kept_choice
from fastdepth_ros.choice.measure import QUIET_SHARE, Measurement
from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.jobs.cores import OtherLoad, logical_cores

QUIET_CHECKS = 5  # calls of `check` in a row, a second apart: a machine that boots is not quiet


class EngineChooser:
    """Measures in a child process what the node may choose from, and says when there is a choice.

    Args:
        logger: logger of the node.
        apply: function called when a choice was kept.
    """

    def __init__(self, artifact: Artifact, wanted: Wanted, logger: Any, apply: Callable[[], object]) -> None:
        self.wanted = wanted
        self._artifact, self._logger, self._apply = artifact, logger, apply
        self._load, self._quiet_checks, self._checks_needed = OtherLoad(), 0, QUIET_CHECKS
        self._measurement: Measurement | None = None
        self._wanting = is_open(candidates(artifact, wanted), wanted) and kept_choice(artifact, wanted)[0] is None

    def check(self) -> None:
        """Start the measurement, or take its result; called each second on the executor's thread."""
        if not self._wanting:
            return
        try:
            self._go_on()
        except (FastDepthError, OSError) as error:  # OSError: no folder for the cache or for temporary files, no memory
            self._logger.warning(f"{error}; the engine stays as it is")
            self.close()

    def _go_on(self) -> None:
        if self._measurement is None:
            self._quiet_checks = self._quiet_checks + 1 if _is_quiet(self._load.cores()) else 0
            if self._quiet_checks >= self._checks_needed:
                self._logger.info("measuring which engine is the fastest here, for about 10 s")
                self._measurement = Measurement(self._artifact, self.wanted)
        elif self._measurement.done:
            self._finish(*self._measurement.result())
            self._measurement.close()
            self._measurement, self._quiet_checks = None, 0

    def _finish(self, timed: list[Timed], others: float) -> None:
        if not _is_quiet(others):
            self._logger.info(f"others took {others:.1f} cores meanwhile: the engines will be measured again")
            self._checks_needed *= 4  # each measurement costs the robot 10 s of a core
            return
        self._wanting = False
        choice = keep_choice(self._artifact, self.wanted, timed, time.strftime("%Y-%m-%d"))
        self._logger.info(f"chosen: {choice}; {choice.why}")
        self._apply()

    def close(self) -> None:
        if self._measurement is not None:
            self._measurement.close()
        self._wanting = False


def _is_quiet(cores: float) -> bool:
    return cores <= QUIET_SHARE * logical_cores()
