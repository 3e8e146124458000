"""Parts of a file whose classes are imported, and built by pydantic, only for a file that has them.

Most jobs use a third of what a job may say. The rest would add a twelfth to a small plan whose files are validated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from connector.settings.shape import Strict

_AT_ONCE: Final = ContextVar("at_once", default=False)


class Later:
    """A class by its place, `module:Class`; or the members of a union, by what their key `type` says."""

    def __init__(self, place: str = "", /, **members: str) -> None:
        self._members = members or {"": place}

    @property
    def shapes(self) -> list[type[Strict]]:
        """The classes, in the order in which they were named."""
        return [_shape(place) for place in self._members.values()]

    def __get_pydantic_core_schema__(self, source: object, handler: Any) -> Any:
        """A function of which pydantic knows nothing more (https://docs.pydantic.dev/latest/concepts/types/)."""
        from connector.settings.validation import later_schema  # noqa: PLC0415  # loads pydantic, which itself asks for this

        return later_schema(self, handler, at_once=_AT_ONCE.get())

    def meant(self, value: object) -> type[Strict] | None:
        """The class that a file means by this value; None where it names none."""
        named = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        place = self._members.get("") or (self._members.get(named) if isinstance(named, str) else None)
        return _shape(place) if place else None

    @property
    def told_by_type(self) -> bool:
        """Whether there are several, which a key `type` tells apart."""
        return "" not in self._members


@contextmanager
def at_once() -> Iterator[None]:
    """Meanwhile a model is built with all its parts, for a JSON Schema."""
    token = _AT_ONCE.set(True)
    try:
        yield
    finally:
        _AT_ONCE.reset(token)


def _shape(place: str) -> type[Strict]:
    module, _, name = place.partition(":")
    shape: type[Strict] = getattr(import_module(module), name)
    return shape
