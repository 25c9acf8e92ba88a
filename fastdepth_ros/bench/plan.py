"""Subjects to measure: engines by precision, model and threads; halves of networks; peers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.util import find_spec
from typing import Any

from fastdepth_ros.artifact.artifact import Artifact, find_artifacts
from fastdepth_ros.backends import BackendError, BackendOptions, backend_class, backend_names
from fastdepth_ros.bench.machine import machine_subjects
from fastdepth_ros.bench.subject import Subject, load_estimator, load_torch_eager
from fastdepth_ros.jobs.cores import available_cores

FRAME_PX = (480, 640)  # height, width
NYU_ACCURACY = "nyu-labeled/test/authors"  # key of a manifest's accuracy


@dataclass
class Plan:
    """Subjects to measure, and why not of those that cannot be.

    Args:
        notes: sentences for the report.
    """

    subjects: list[Subject] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """Options that choose the subjects.

    Args:
        models: artifacts, by name or folder.
        backends: empty takes all that are installed and have a file in the artifact.
        threads: thread counts of the engines.
        precisions: precisions that the engines compute in.
        device: device of the backends.
        power_save: also with threads that sleep while they wait.
        beside_busy: also while another process keeps a core busy.
    """

    models: Sequence[str] = ("",)
    backends: Sequence[str] = ()
    threads: Sequence[int] = ()
    precisions: Sequence[str] = ("fp32",)
    device: str = "cpu"
    power_save: bool = False
    beside_busy: bool = False

    def options(self) -> Iterator[BackendOptions]:
        """Options of every run of a model on a backend."""
        for power_save in (False, True)[: 1 + self.power_save]:
            for precision in self.precisions:
                for count in self.threads or thread_counts():
                    yield BackendOptions(count, self.device, power_save, precision)


def thread_counts() -> tuple[int, ...]:
    """One, and as many as there are cores."""
    return tuple(sorted({1, available_cores()}))


def plan_engines(request: Request) -> Plan:
    """Frame to depth for every model, engine and number of threads, and the machine's own figures.

    Raises:
        FastDepthError: a model or a backend that was named is not there.
    """
    plan = Plan()
    for count in request.threads or thread_counts():
        plan.subjects += machine_subjects(count)
    for artifact in find_artifacts(request.models):
        for options in request.options():
            for backend in _backends(artifact, request.backends, options.precision, plan):
                subject = engine_subject(artifact, backend, options)
                plan.subjects.append(subject)
                if request.beside_busy:
                    plan.subjects.append(beside_busy(subject))
    return plan


def beside_busy(subject: Subject) -> Subject:
    """The same while another process keeps a core busy: a row of its own."""
    facts = {**subject.facts, "group": "busy", "quiet": subject.name}
    return replace(subject, name=f"{subject.name}, busy", facts=facts, beside_busy=True)


def engine_subject(artifact: Artifact, backend: str, options: BackendOptions) -> Subject:
    """One engine, from a 640x480 bgr8 frame in memory to an array of meters."""
    runs = f"{backend}, power_save" if options.power_save else backend
    name = f"{artifact.name}/{runs}/{options.precision}/{options.threads}"
    load = partial(load_estimator, str(artifact.folder.resolve()), backend, options, FRAME_PX)
    facts = {"group": "engine", "precision": options.precision, "device": options.device, "backend": runs}
    return Subject(name, load, options.threads, {**facts, **artifact_facts(artifact, options.precision)})


def artifact_facts(artifact: Artifact, precision: str = "fp32") -> dict[str, Any]:
    accuracy = artifact.facts(precision).get("accuracy", {}).get(NYU_ACCURACY, {})
    known = {name: accuracy[name] for name in ("delta1", "rmse") if name in accuracy}
    return {"model": artifact.name, "macs": artifact.manifest.get("macs"), **known}


def plan_eager(request: Request) -> Plan:
    """torch eager on each model that has a checkpoint, where torch is installed."""
    plan = Plan()
    if find_spec("torch") is None:
        return plan
    for artifact in find_artifacts(request.models):
        if "safetensors" not in artifact.manifest["files"]:
            continue
        checkpoint = artifact.model_file("safetensors").path
        for count in request.threads or thread_counts():
            load = partial(load_torch_eager, checkpoint.resolve(), count, FRAME_PX)
            facts = {"group": "eager", "backend": "torch eager", "precision": "fp32", **artifact_facts(artifact)}
            plan.subjects.append(Subject(f"{artifact.name}/torch eager/fp32/{count}", load, count, facts))
    return plan


def _backends(artifact: Artifact, wanted: Sequence[str], precision: str, plan: Plan) -> Iterator[str]:
    there = backend_names(artifact.formats(precision))
    if not there:
        plan.notes.append(f"{artifact.name} has no file of {precision}: fastdepth quantize makes one")
    for name in wanted or there:
        try:
            cls = backend_class(name)
        except BackendError as error:
            if wanted:
                raise
            plan.notes.append(str(error))
            continue
        if name in there:
            yield name
        else:
            plan.notes.append(f"{artifact.name} has no {cls.model_format} file of {precision} for backend {name}")
