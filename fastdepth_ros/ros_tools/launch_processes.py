"""The processes of a launch: missing programs are reported before one starts, and respawn has an end.

launch visits the actions of a description one by one. Where one raises, launch ends without the processes that it has
started before: they live on. So what can fail comes before the first process.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import launch.logging
from launch import Action, LaunchContext
from launch.actions import EmitEvent, RegisterEventHandler, Shutdown
from launch.event_handlers import OnProcessExit, OnProcessIO, OnProcessStart
from launch.events import matches_action
from launch.events.process import ProcessExited, ProcessIO, ProcessStarted, ShutdownProcess
from launch_ros.actions import Node
from launch_ros.substitutions import ExecutableInPackage

from fastdepth_ros.node.shutdown import EXIT_CODE

RESPAWN_DELAY_S = 2.0
AT_ONCE_S = 30.0  # from its start; Python and an engine take seconds to load, more on a small or busy machine
STARTS = 4
TOLD_LINES = 3
TOLD_BYTES = 2000


class ProgramError(RuntimeError):
    """A program that is asked for is not installed."""


def check_programs(context: LaunchContext, actions: Sequence[Action]) -> None:
    """Find the executable of each Node among the actions, as its start would.

    Raises:
        ProgramError: names each that is not there, and the package to install.
    """
    missing = []
    for node in (action for action in actions if isinstance(action, Node)):
        package, executable = node.node_package, node.node_executable
        try:
            ExecutableInPackage(package=package, executable=executable).perform(context)
        except Exception as error:  # of ament_index, launch and launch_ros, each its own
            said = str(error).strip(" \"'")
            missing.append(f"{executable} of the package {package} is not installed ({said}); {_remedy(package)}")
    if missing:
        raise ProgramError("; ".join(missing))


def _remedy(package: str) -> str:
    ours = package == __package__.partition(".")[0]
    return "build and source it again" if ours else f"apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"


class Ending:
    """Ends a launch with exit code 1; prints the reason after the last process has ended."""

    def __init__(self) -> None:
        self._running: set[int] = set()
        self._reason = ""

    def watch(self) -> list[Action]:
        """Handlers to register before the first process."""
        return [
            RegisterEventHandler(OnProcessStart(on_start=self._on_start)),
            RegisterEventHandler(OnProcessExit(on_exit=self._on_exit)),
        ]

    def fail(self, reason: str) -> list[Action]:
        """Actions that begin the end, for the exit handler of the process that is the cause."""
        self._reason = reason
        return [Shutdown(reason=reason)]

    def _on_start(self, event: ProcessStarted, context: LaunchContext) -> None:
        self._running.add(event.pid)

    def _on_exit(self, event: ProcessExited, context: LaunchContext) -> None:
        self._running.discard(event.pid)
        if self._reason and not self._running:
            raise RuntimeError(self._reason)  # launch knows no other way to an exit code


class Respawn:
    """Restarts a process that ends, and gives it up when it ends at once STARTS times in a row.

    A hung backend's end does not count: only another process can help there, and on a robot it has to come, however
    often. Once no process is left, the launch ends with the reason.

    Args:
        on: whether to restart; if not, the launch goes on without a process that has ended.
    """

    def __init__(self, on: bool, ending: Ending) -> None:
        self._on, self._ending = on, ending
        self._left = 0

    def node(self, **options: Any) -> list[Action]:
        """A launch_ros Node, and before it what watches it."""
        if not self._on:
            return [Node(**options)]
        self._left += 1
        life = Life()

        def on_exit(event: ProcessExited, context: LaunchContext) -> list[Action] | None:
            if context.is_shutdown or not life.end(event.returncode):
                return None
            return self._give_up(event, life)

        node = Node(respawn=True, respawn_delay=RESPAWN_DELAY_S, on_exit=on_exit, **options)
        return [
            RegisterEventHandler(OnProcessStart(target_action=node, on_start=lambda event, context: life.begin())),
            RegisterEventHandler(OnProcessIO(target_action=node, on_stderr=life.hear)),
            node,
        ]

    def _give_up(self, event: ProcessExited, life: Life) -> list[Action]:
        reason = (
            f"{event.process_name} ended {STARTS} times in a row within {AT_ONCE_S:.0f} s of its start, at last with "
            f"exit code {event.returncode}; it is not started again. It said: {life.last_words() or 'nothing'}"
        )
        self._left -= 1
        if not self._left:
            return self._ending.fail(reason)
        launch.logging.get_logger("launch").error(reason)
        return [EmitEvent(event=ShutdownProcess(process_matcher=matches_action(event.action)))]  # ends the respawn


class Life:
    """Starts and ends of one process so far."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._ends_at_once = 0
        self._fresh = True
        self._told = b""  # stderr of the last start that wrote to it

    def begin(self) -> None:
        self._begun = time.monotonic()
        self._fresh = True

    def hear(self, event: ProcessIO) -> None:
        self._told = (b"" if self._fresh else self._told) + event.text
        self._told, self._fresh = self._told[-TOLD_BYTES:], False

    def end(self, code: int) -> bool:
        """Whether it ended at once too often."""
        at_once = code != EXIT_CODE and time.monotonic() - self._begun < AT_ONCE_S
        self._ends_at_once = self._ends_at_once + 1 if at_once else 0
        return self._ends_at_once >= STARTS

    def last_words(self) -> str:
        lines = [line.strip() for line in self._told.decode(errors="replace").splitlines()]
        return " ".join([line for line in lines if line][-TOLD_LINES:])
