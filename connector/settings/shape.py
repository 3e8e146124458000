"""The base of what a file may say: a class for each part, whose annotations say what becomes of each key.

What such a class is built of stands in `settings/markers.py`, and what holds a file to it in `settings/validation.py`:
only that loads pydantic.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self, TypeVar

from msgspec import Struct

from connector.settings.document import Document
from connector.settings.markers import AfterValidator, Marker, model_validator
from connector.settings.textfile import Fault

S = TypeVar("S", bound="Strict")
WORDS: Final = 40
"""Characters that are repeated of a word that is none of a choice."""


class MisfitError(ValueError):
    """What a validator raises. `at` names the neighbouring key to point to, where it is not the validated one.

    `what` must not repeat a value that may be a secret.
    """

    def __init__(self, what: str, at: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.at = at


class Strict(Struct, frozen=True, kw_only=True):
    """An unknown key is an error, and a value is never bent into another type.

    `discreet`: what somebody wrote in its place may be a secret, so that not even its keys are repeated. `renamed`:
    keys of earlier versions, each with its name of today. `in_schema`: what a JSON Schema says besides.
    """

    # The modules of its children do without `from __future__ import annotations`: each of their annotations would have
    # to be compiled out of a text.
    discreet: ClassVar[bool] = False
    renamed: ClassVar[Mapping[str, str]] = {}
    in_schema: ClassVar[Mapping[str, Any]] = {}

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # header lines and addresses may hold what nobody else is to see

    @classmethod
    def model_validate(cls, said: object, context: object = None) -> Self:
        """What a file says, as an instance. Raises pydantic's ValidationError."""
        from connector.settings.validation import adapter  # noqa: PLC0415  # loads pydantic, a third of a start

        made: Self = adapter(cls).validate_python(said, context=context)
        return made

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: Any) -> Any:
        """How pydantic builds one (https://docs.pydantic.dev/latest/concepts/types/)."""
        from connector.settings.validation import core_schema_of  # noqa: PLC0415  # loads pydantic, which itself asks for this

        return core_schema_of(cls, handler)


class Choice(Strict, frozen=True, kw_only=True):
    """Of the keys `one_of` exactly one is there, of `any_of` at least one; else `lacking` is said."""

    one_of: ClassVar[tuple[str, ...]] = ()
    any_of: ClassVar[tuple[str, ...]] = ()
    lacking: ClassVar[str]

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        found = sum(getattr(self, key) is not None for key in self.one_of or self.any_of)
        if not found or (found > 1 and self.one_of):
            raise misfit(self.lacking)
        return self


def misfit(what: str, *, at: str = "") -> MisfitError:
    """What a validator raises, as `MisfitError` says."""
    return MisfitError(what, at)


def matching(pattern: str, what: str) -> Marker:
    """Of texts that the pattern matches whole; `what` is said of others, and must not repeat them."""

    def judged(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise misfit(what)
        return text

    return AfterValidator(judged)


def check(shape: type[S], document: Document) -> tuple[S | None, list[Fault]]:
    """The document as an instance of the class, or None, and every fault that was found in it.

    Validators find the file's path in `info.context`.
    """
    from connector.settings.validation import checked  # noqa: PLC0415  # loads pydantic, a third of a start

    return checked(shape, document)


def parts(value: object) -> Iterator[tuple[str, object]]:
    """The keys and values of a part of a file, and of all its parts; an item of a list has no key."""
    if isinstance(value, Strict):
        inner = [(name, getattr(value, name)) for name in value.__struct_fields__]
    elif isinstance(value, dict):
        inner = list(value.items())
    else:
        inner = [("", each) for each in value] if isinstance(value, list | tuple) else []
    for name, each in inner:
        yield name, each
        yield from parts(each)
