"""Parts of a file whose models are imported, and built by pydantic, only for a file that has them.

Most jobs use a third of what a job may say; the rest was a twentieth of the time until a small plan is drawn.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import reduce
from importlib import import_module
from operator import or_
from typing import Annotated, Any, Final

from pydantic import BaseModel, Field, GetCoreSchemaHandler, TypeAdapter, ValidationInfo, create_model
from pydantic_core import CoreSchema, core_schema

_AT_ONCE: Final = ContextVar("at_once", default=False)


class Later:
    """A model by its place, `module:Class`; or the members of a union, by what their key `type` says."""

    def __init__(self, place: str = "", /, **members: str) -> None:
        self._members = members or {"": place}

    @property
    def models(self) -> list[type[BaseModel]]:
        """The models, in the order in which they were named."""
        return [_model(place) for place in self._members.values()]

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """A function of which pydantic knows nothing more (https://docs.pydantic.dev/latest/concepts/types/)."""
        if _AT_ONCE.get():
            return handler.generate_schema(self._whole())
        return core_schema.with_info_plain_validator_function(self._checked)

    def _checked(self, value: object, info: ValidationInfo) -> object:
        named = value.get("type") if isinstance(value, Mapping) else getattr(value, "type", None)
        place = self._members.get("") or (self._members.get(named) if isinstance(named, str) else None)
        if place is None:  # pydantic knows how to say that
            return TypeAdapter[object](self._whole()).validate_python(value)
        return _model(place).model_validate(value, context=info.context)

    def _whole(self) -> Any:
        union = reduce(or_, self.models)
        return union if "" in self._members else Annotated[union, Field(discriminator="type")]


@contextmanager
def at_once(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """The same model with all its parts, for a JSON Schema."""
    token = _AT_ONCE.set(True)
    try:
        yield create_model(model.__name__, __base__=model, __doc__=model.__doc__)
    finally:
        _AT_ONCE.reset(token)


def _model(place: str) -> type[BaseModel]:
    module, _, name = place.partition(":")
    model: type[BaseModel] = getattr(import_module(module), name)
    return model
