"""Registry of plug-ins by name: network parts, backends, data sets, prune engines, energy meters."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Generic, TypeVar

from fastdepth_ros.errors import FastDepthError

Item = TypeVar("Item")
AnyItem = TypeVar("AnyItem")
LOG = logging.getLogger(__name__)


class Registry(Generic[Item]):
    """Items of one kind by name, in the order in which they were registered.

    Args:
        kind: word by which an error calls one of them: "encoder".
        modules: modules of the package that register items; imported at the first look-up. As a mapping, the module of
            each name: only that of the item looked up is imported.
        entry_points: group of entry points by which other distributions add items. Each is imported when it is looked
            up, not when the names are listed. A name that the package registers stays the package's.
        error: class of the errors.

    >>> shapes = Registry[type]("shape")
    >>> @shapes.register("square")
    ... class Square:
    ...     sides = 4
    >>> shapes.names(), shapes["square"].sides
    (['square'], 4)
    >>> shapes["circle"]
    Traceback (most recent call last):
    fastdepth_ros.errors.FastDepthError: unknown shape 'circle'; there is square
    """

    def __init__(
        self, kind: str, *, modules: Sequence[str] | Mapping[str, str] = (), entry_points: str = "",
        error: type[FastDepthError] = FastDepthError,
    ) -> None:  # fmt: skip
        self.kind, self.error = kind, error
        self._module_of = dict(modules) if isinstance(modules, Mapping) else {}
        self._modules, self._group = () if self._module_of else tuple(modules), entry_points
        self._items: dict[str, Item] = {}
        self._foreign: dict[str, EntryPoint] | None = None  # None: the modules are not imported yet

    def register(self, name: str) -> Callable[[AnyItem], AnyItem]:
        """Decorator of a class or function: makes it available under `name`."""

        def keep(item: AnyItem) -> AnyItem:
            self._items[name] = item  # type: ignore[assignment]
            return item

        return keep

    def names(self) -> list[str]:
        """All names, those of other distributions last."""
        foreign = self._found()
        return list(dict.fromkeys((*self._module_of, *self._items, *foreign)))

    def __getitem__(self, name: str) -> Item:
        """The item of that name.

        Raises:
            FastDepthError: there is none, and the message lists what there is; or its distribution cannot be imported.
        """
        foreign = self._found()
        if name in self._module_of and name not in self._items:
            import_module(self._module_of[name])
        if name in self._items:
            return self._items[name]
        if name not in foreign:
            raise self.error(f"unknown {self.kind} {name!r}", f"there is {', '.join(self.names())}")
        entry = foreign[name]
        try:
            return entry.load()
        except Exception as error:  # another's code may raise anything
            raise self.error(f"{self.kind} {name!r} of {_distribution(entry)} cannot be loaded: {error!r}") from error

    def __contains__(self, name: object) -> bool:
        return name in self.names()

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _found(self) -> dict[str, EntryPoint]:
        """Entry points by name; the first call imports the modules too."""
        if self._foreign is None:
            self._foreign = {}
            for module in self._modules:
                import_module(module)
            for entry in entry_points(group=self._group) if self._group else ():
                if entry.name in (*self._items, *self._module_of, *self._foreign):
                    LOG.warning(
                        "%s %r of %s is left out: that name is taken", self.kind, entry.name, _distribution(entry)
                    )
                else:
                    self._foreign[entry.name] = entry
        return self._foreign


def _distribution(entry: EntryPoint) -> str:
    return f"distribution {entry.dist.name}" if entry.dist else entry.value
