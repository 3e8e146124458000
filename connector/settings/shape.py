"""The base of what a file may say: a class for each part, whose annotations say what becomes of each key.

What holds a file to its shape is in `settings/validation.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, model_validator

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


class Strict(BaseModel):
    """A part of a file: an unknown key is an error, and a value is never bent into another type."""

    # The modules of its children do without `from __future__ import annotations`: pydantic
    # would have to compile each of their annotations out of a text.
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, defer_build=True
    )
    discreet: ClassVar[bool] = False
    """What somebody wrote in its place may be a secret, so that not even its keys are repeated."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions, each with its name of today."""

    def __repr__(self) -> str:
        # header lines and addresses may hold what nobody else is to see
        return f"<{type(self).__name__}>"

    __str__ = __repr__


def _require_a_choice(schema: dict[str, Any], shape: type[Choice]) -> None:
    schema["oneOf" if shape.one_of else "anyOf"] = [
        {"required": [key]} for key in shape.one_of or shape.any_of
    ]


class Choice(Strict):
    """Of the keys `one_of` exactly one is there, of `any_of` at least one; else `lacking` is said."""

    model_config = ConfigDict(json_schema_extra=_require_a_choice)
    one_of: ClassVar[tuple[str, ...]] = ()
    any_of: ClassVar[tuple[str, ...]] = ()
    lacking: ClassVar[str]

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        found = sum(
            getattr(self, key) is not None for key in self.one_of or self.any_of
        )
        if not found or (found > 1 and self.one_of):
            raise misfit(self.lacking)
        return self


def misfit(what: str, *, at: str = "") -> MisfitError:
    """What a validator raises, as `MisfitError` says."""
    return MisfitError(what, at)


def matching(pattern: str, what: str) -> AfterValidator:
    """Of texts that the pattern matches whole; `what` is said of others, and must not repeat them."""

    def judged(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise misfit(what)
        return text

    return AfterValidator(judged)


def parts(value: object) -> Iterator[tuple[str, object]]:
    """The keys and values of a part of a file, and of all its parts; an item of a list has no key."""
    if isinstance(value, Strict):
        inner = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        inner = list(value.items())
    else:
        inner = (
            [("", each) for each in value] if isinstance(value, list | tuple) else []
        )
    for name, each in inner:
        yield name, each
        yield from parts(each)
