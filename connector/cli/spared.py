"""Modules that a library imports for what this program does seldom or never, and that are not loaded for it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any


@contextmanager
def without(module: str) -> Iterator[None]:
    """Let what is imported in here take a module for not installed, unless it is loaded already."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]  # so says the import system: None there is "not found"
    try:
        yield
    finally:
        del sys.modules[module]


@contextmanager
def later(module: str) -> Iterator[None]:
    """Let what is imported in here have a module loaded when it asks something of it, and not when it imports it.

    importlib's own LazyLoader loads it when it is imported for the second time.
    """
    if module in sys.modules:
        yield
        return
    sys.modules[module] = stand_in = _StandIn(module)
    try:
        yield
    finally:
        stand_in.step_aside()


class _StandIn(ModuleType):
    """In place of a module: what it is asked for, it asks of the module itself."""

    def __getattr__(self, name: str) -> Any:
        self.step_aside()
        return getattr(import_module(self.__name__), name)

    def __bool__(self) -> bool:
        """Not to be taken for the module: logging asks asyncio for the task at hand where it finds it loaded."""
        return False

    def step_aside(self) -> None:
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
