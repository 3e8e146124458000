"""Values of the model as JSON and back, by their types. Of a secret nothing is written but that it is there."""

from __future__ import annotations

import types
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Set as AbstractSet
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, NoReturn, Union, cast, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Struct
from msgspec.structs import fields

from connector.model import Secret

_SECRET, _OCTETS, _TEXT = "secret", "octets", "utf-8"
"""What stands in an object for a value that JSON does not have: which secret of an answer, or octets in base64."""
_PLAIN: Final = frozenset({int, float, bool, type(None)})


class MisfitError(ValueError):
    """JSON that is no value of the type."""


class Withheld(Secret):
    """Stands for a secret of an agent or a user, and tells only that there is one."""

    def __init__(self) -> None:
        super().__init__("")

    def reveal(self) -> NoReturn:
        raise LookupError("a snapshot has no secrets")


def as_json(value: Any, secrets: list[Secret] | None = None) -> Any:
    """The value as JSON. `secrets`: those of one answer, numbered so that equal ones stay equal in it."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _WRITE:
        return _WRITE[kind](value)
    if isinstance(value, Secret):
        return {_SECRET: None if secrets is None else _number(value, secrets)}
    if isinstance(value, Enum):
        return value.value
    return _several_as_json(value, secrets)


def _several_as_json(value: Any, secrets: list[Secret] | None) -> Any:
    if isinstance(value, Struct):
        found = ((name, getattr(value, name), default) for name, default in _defaults(value.__class__))
        return {name: as_json(each, secrets) for name, each, default in found if each != default}
    if isinstance(value, Mapping):
        return [[as_json(key, secrets), as_json(each, secrets)] for key, each in value.items()]
    return [as_json(each, secrets) for each in (sorted(value) if isinstance(value, AbstractSet) else value)]


def _text_as_json(text: str) -> Any:
    return text if _encodable(text) else {_TEXT: b64encode(text.encode("utf-8", "surrogatepass")).decode()}


def _encodable(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(secret: Secret, secrets: list[Secret]) -> int:
    for number, each in enumerate(secrets):
        if each == secret:
            return number
    secrets.append(secret)
    return len(secrets) - 1


@cache
def _defaults(kind: type[Struct]) -> list[tuple[str, Any]]:
    """Each field with its default; one without has a value that is equal to none."""
    found = []
    for field in fields(kind):
        factory = None if field.default_factory is NODEFAULT else field.default_factory
        found.append((field.name, factory() if factory else field.default))
    return found


def from_json(kind: Any, data: Any) -> Any:
    """The value of this type. Raises MisfitError."""
    try:
        return _reader(kind)(data)
    except MisfitError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        raise MisfitError("not what is expected here") from None


_Read = Callable[[Any], Any]


@cache
def _reader(kind: Any) -> _Read:
    origin, parts = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of([each for each in parts if each is not type(None)], optional=type(None) in parts)
    if origin is Literal:
        return lambda data: data if data in parts else _misfit()
    if origin is tuple and parts[-1] is not Ellipsis:
        readers = [_reader(each) for each in parts]
        return lambda data: tuple(read(each) for read, each in zip(readers, _list(data), strict=True))
    if origin is not None and issubclass(origin, Mapping):
        key, value = map(_reader, parts)
        return lambda data: {key(one): value(other) for one, other in _list(data)}
    if origin is not None:
        read, make = _reader(parts[0]), origin if origin in (list, frozenset) else tuple
        return lambda data: make([read(each) for each in _list(data)])
    return _lone(kind)


def _lone(kind: Any) -> _Read:
    if kind in _READ:
        return _READ[kind]
    if issubclass(kind, Enum):
        return cast("_Read", kind)
    if issubclass(kind, Struct):
        return _struct(kind)
    return lambda data: data if type(data) is kind else _misfit()


def _struct(kind: type[Struct]) -> _Read:
    readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}
    return lambda data: kind(**{name: readers[name](each) for name, each in data.items()})


def _one_of(kinds: list[Any], *, optional: bool) -> _Read:
    """Alternatives are told apart by their form: a text, a value that JSON does not have, or something else."""
    special = {
        mark: _reader(kind) for mark, kind in ((_SECRET, Secret), (_OCTETS, bytes), (_TEXT, str)) if kind in kinds
    }
    others = [_reader(kind) for kind in kinds if kind not in (Secret, bytes, str)]

    def read(data: Any) -> Any:
        if data is None and optional:
            return None
        if isinstance(data, str) and str in kinds:
            return data
        mark = next(iter(data)) if isinstance(data, dict) and len(data) == 1 else None
        if mark in special:
            return special[mark](data)
        return others[0](data) if others else _misfit()

    return read


def _text(data: Any) -> str:
    if isinstance(data, dict):
        return b64decode(data[_TEXT], validate=True).decode("utf-8", "surrogatepass")
    return data if isinstance(data, str) else _misfit()


def _list(data: Any) -> list[Any]:
    return data if isinstance(data, list) else _misfit()


def _misfit() -> Any:
    raise MisfitError("not what is expected here")


_WRITE: Final[dict[type, Callable[[Any], Any]]] = {
    str: _text_as_json,
    bytes: lambda value: {_OCTETS: b64encode(value).decode()},
    datetime: datetime.isoformat,
    timedelta: lambda value: [value.days, value.seconds, value.microseconds],
}
_READ: Final[dict[Any, _Read]] = {
    str: _text,
    Secret: lambda data: Withheld() if data[_SECRET] is None else Secret(f"secret {int(data[_SECRET])}"),
    bytes: lambda data: b64decode(data[_OCTETS], validate=True),
    datetime: datetime.fromisoformat,
    timedelta: lambda data: timedelta(*data),
}
