"""Parts of a file whose classes are imported, and built by pydantic, only for a file that has them.

Most jobs use a third of what a job may say; the rest was a twentieth of the time until a small plan is drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Final

from connector.settings.markers import ValidationInfo

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
        from pydantic_core import core_schema  # noqa: PLC0415  # a third of a start; only who validates needs it

        if _AT_ONCE.get():
            return handler.generate_schema(self._whole())
        return core_schema.with_info_plain_validator_function(self._checked)

    def _checked(self, value: object, info: ValidationInfo) -> object:
        named = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        place = self._members.get("") or (self._members.get(named) if isinstance(named, str) else None)
        if place is None:  # pydantic knows how to say that
            from pydantic import TypeAdapter  # noqa: PLC0415  # as above

            return TypeAdapter[object](self._whole()).validate_python(value)
        return _shape(place).model_validate(value, context=info.context)

    def _whole(self) -> Any:
        from pydantic import Field  # noqa: PLC0415  # as above

        union = reduce(or_, self.shapes)
        return union if "" in self._members else Annotated[union, Field(discriminator="type")]


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
