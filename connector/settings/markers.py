"""pydantic's marks of a key, written down without pydantic: a tenth of a second less for who needs no validation.

They have pydantic's names and arguments (https://docs.pydantic.dev/latest/concepts/fields/ and /validators/). What
validates a file makes them what they say (`settings/validation.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, Protocol, TypeVar

F = TypeVar("F")
_MARK: Final = "__mark__"


class ValidationInfo(Protocol):
    """What a validator is told: the validated keys before its own, and the path of the file that is read, if one is."""

    @property
    def data(self) -> dict[str, Any]: ...

    @property
    def context(self) -> Any: ...


class Marker:
    """A mark of pydantic's, by its name, and what it is called with."""

    def __init__(self, name: str, *given: Any, **more: Any) -> None:
        self.whole = name == "model_validator" and more["mode"] == "after"
        self._name = name
        self._given = given
        self._more = more

    def made(self) -> Any:
        """Pydantic's own."""
        import pydantic  # noqa: PLC0415  # a third of a start; only who validates a file needs it

        return getattr(pydantic, self._name)(*self._given, **self._more)


Field = partial(Marker, "Field")
AfterValidator = partial(Marker, "AfterValidator")
BeforeValidator = partial(Marker, "BeforeValidator")
PlainValidator = partial(Marker, "PlainValidator")
InstanceOf = partial(Marker, "InstanceOf")
WithJsonSchema = partial(Marker, "WithJsonSchema")


def field_validator(*keys: str) -> Callable[[F], F]:
    """A class method that judges these keys, after their types."""
    return partial(_marked, Marker("field_validator", *keys, mode="after"))


def model_validator(*, mode: str) -> Callable[[F], F]:
    """A method that judges a part as a whole: what the file says of it ("before"), or what became of it ("after")."""
    return partial(_marked, Marker("model_validator", mode=mode))


def _marked(marker: Marker, method: F) -> F:
    setattr(getattr(method, "__func__", method), _MARK, marker)
    return method


def marker_of(member: object) -> Marker | None:
    """The mark of a member of a class, if it is a validator."""
    found = getattr(getattr(member, "__func__", member), _MARK, None)
    return found if isinstance(found, Marker) else None
