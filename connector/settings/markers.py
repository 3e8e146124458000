"""pydantic's marks of a key, written down without pydantic: a tenth of a second less for who needs no validation.

They have pydantic's names and arguments (https://docs.pydantic.dev/latest/concepts/fields/ and /validators/). What
validates a file makes them what they say (`settings/validation.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

F = TypeVar("F")
_RULE: Final = "__rule__"


class ValidationInfo(Protocol):
    """What a validator is told: the keys before its own, and the path of the file that is read, if one is."""

    @property
    def data(self) -> dict[str, Any]:
        """The validated keys before this one."""

    @property
    def context(self) -> Any:
        """The path of the file; None for a model that a program builds by itself."""


class Marker:
    """A mark of pydantic's, by its name, and what it is called with."""

    def __init__(self, name: str, *given: object, **more: object) -> None:
        self._name = name
        self._given = given
        self._more = more

    def made(self) -> Any:
        """Pydantic's own."""
        import pydantic  # noqa: PLC0415  # a third of a start; only who validates a file needs it

        return getattr(pydantic, self._name)(*self._given, **self._more)


class Rule:
    """A validator of a model, by the name of its decorator."""

    def __init__(self, method: Any, decorator: str, *keys: str, mode: str) -> None:
        self.method = method
        self.decorator = decorator
        self.mode = mode
        self._keys = keys

    def made(self) -> Any:
        """Pydantic's own."""
        import pydantic  # noqa: PLC0415  # as above

        return getattr(pydantic, self.decorator)(*self._keys, mode=self.mode)(self.method)


def Field(**said: object) -> Marker:  # noqa: N802  # the name that pydantic has for it
    """Bounds, description and name of a key."""
    return Marker("Field", **said)


def AfterValidator(function: Callable[..., object]) -> Marker:  # noqa: N802  # the name that pydantic has for it
    """A function that judges a value of the type, and gives what it is to be."""
    return Marker("AfterValidator", function)


def BeforeValidator(function: Callable[..., object], **more: object) -> Marker:  # noqa: N802  # pydantic's name
    """A function that judges what the file says before its type is."""
    return Marker("BeforeValidator", function, **more)


def PlainValidator(function: Callable[..., object]) -> Marker:  # noqa: N802  # the name that pydantic has for it
    """A function that judges what the file says, and nothing else does."""
    return Marker("PlainValidator", function)


def InstanceOf() -> Marker:  # noqa: N802  # the name that pydantic has for it
    """The value is an instance of the type."""
    return Marker("InstanceOf")


def WithJsonSchema(schema: dict[str, Any]) -> Marker:  # noqa: N802  # the name that pydantic has for it
    """What a JSON Schema says of the key."""
    return Marker("WithJsonSchema", schema)


def field_validator(*keys: str) -> Callable[[F], F]:
    """A class method that judges these keys, after their types."""
    return _marked("field_validator", *keys, mode="after")


def model_validator(*, mode: str) -> Callable[[F], F]:
    """A method that judges a model as a whole: what the file says of it ("before"), or what became of it ("after")."""
    return _marked("model_validator", mode=mode)


def _marked(decorator: str, *keys: str, mode: str) -> Callable[[F], F]:
    def decorated(method: F) -> F:
        setattr(getattr(method, "__func__", method), _RULE, Rule(method, decorator, *keys, mode=mode))
        return method

    return decorated


def rule_of(member: object) -> Rule | None:
    """The rule that a member of a class is, if it is one."""
    found = getattr(getattr(member, "__func__", member), _RULE, None)
    return found if isinstance(found, Rule) else None
