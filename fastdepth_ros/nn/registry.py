"""Parts of a network by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from fastdepth_ros.errors import FastDepthError

Builder = TypeVar("Builder", bound=Callable[..., nn.Module])


class Registry:
    """Builders of one kind of part, in the order in which they were registered.

    Args:
        kind: what an error calls them: "encoder".
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._builders: dict[str, Callable[..., Any]] = {}

    def register(self, name: str) -> Callable[[Builder], Builder]:
        """Decorator of a module's class, or of a function that returns a module."""

        def keep(builder: Builder) -> Builder:
            self._builders[name] = builder
            return builder

        return keep

    def names(self) -> list[str]:
        return list(self._builders)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The builder of that name.

        Raises:
            ValueError: there is none; lists what there is.
        """
        if name not in self._builders:
            raise FastDepthError(f"unknown {self.kind} {name!r}; there is {', '.join(self._builders)}")
        return self._builders[name]
