"""Holds a file to its shape, and says in sentences and with lines what does not fit.

A shape is a pydantic model: a class for each part of the file, whose annotations say what
becomes of each key. pydantic knows where in the data a fault is, the document knows which line
that is; here the two are joined. A message repeats what the file says only where it is a choice
of words (`type: ldpa`); everything else could be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final, Self, TypeVar, get_args

from msgspec import Struct
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from connector.model.spelling import meant
from connector.settings.textfile import Document, Fault, Loc

LONGEST_WORD: Final = 40
"""Characters that are repeated of a word that is none of a choice."""
_SENTENCES: Final = {
    "missing": "is missing",
    "string_type": "must be a text; put a number, true or false in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "list_type": "must be a list",
    "dict_type": "must be keys and values",
    "model_type": "must be keys and values",
    "model_attributes_type": "must be keys and values",
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than": "must be less than {lt:g}",
    "less_than_equal": "must be at most {le:g}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "value_error": "{error}",
}


class MisfitError(ValueError):
    """What a validator raises of a value that does not fit."""

    def __init__(self, what: str, at: str = "") -> None:
        super().__init__(what)
        self.what = what
        """What is wrong. It must not repeat a value that may be a secret."""
        self.at = at
        """The neighbouring key to point to; empty: the validated one."""


class Strict(BaseModel):
    """A part of a file: an unknown key is an error, and no value is converted to another type.

    The docstring below a field is its description in the JSON Schema.
    """

    # The modules of its children do without `from __future__ import annotations`: pydantic
    # would have to compile each of their annotations out of a text.
    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        defer_build=True,
        use_attribute_docstrings=True,
    )
    discreet: ClassVar[bool] = False
    """Somebody may have written a secret in its place, so that not even its keys are repeated."""
    renamed: ClassVar[Mapping[str, str]] = {}
    """Keys of earlier versions, each with its name of today."""

    def __repr__(self) -> str:
        # header lines and addresses may hold what nobody else is to see
        return f"<{type(self).__name__}>"

    __str__ = __repr__


def _require_choice(schema: dict[str, Any], shape: type[Choice]) -> None:
    keyword = "oneOf" if shape.one_of else "anyOf"
    choices = shape.one_of or shape.any_of
    schema[keyword] = [{"required": [key]} for key in choices]


class Choice(Strict):
    """A part that has exactly one of the keys `one_of`, or at least one of `any_of`."""

    model_config = ConfigDict(json_schema_extra=_require_choice)
    one_of: ClassVar[tuple[str, ...]] = ()
    any_of: ClassVar[tuple[str, ...]] = ()
    lacking: ClassVar[str]
    """What is said otherwise."""

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        choices = self.one_of or self.any_of
        count = sum(getattr(self, key) is not None for key in choices)
        if count == 0 or (count > 1 and self.one_of):
            raise MisfitError(self.lacking)
        return self


def match_pattern(pattern: str, what: str) -> AfterValidator:
    """Make a validator of texts that match the pattern whole; `what` must not repeat the text."""

    def check_text(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise MisfitError(what)
        return text

    return AfterValidator(check_text)


def walk_parts(value: object) -> Iterator[tuple[str, object]]:
    """Walk the keys and values of a part of a file and of its parts; a list's item has no key."""
    if isinstance(value, Strict):
        items = [(name, getattr(value, name)) for name in type(value).model_fields]
    elif isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list | tuple):
        items = [("", each) for each in value]
    else:
        items = []
    for name, each in items:
        yield name, each
        yield from walk_parts(each)


def list_keys(shape: type[Strict]) -> dict[str, FieldInfo]:
    """List the keys of a part of a file, by the names that the file has for them."""
    return {field.alias or name: field for name, field in shape.model_fields.items()}


S = TypeVar("S", bound=Strict)


def check_document(shape: type[S], document: Document) -> tuple[S | None, list[Fault]]:
    """Return the document as an instance of `shape`, or None, and every fault found in it.

    Validators find the file's path in `info.context`.
    """
    faults = list(document.faults)
    try:
        return shape.model_validate(document.data, context=document.path), faults
    except ValidationError as fault:
        errors = fault.errors(include_url=False)
        faults += [_describe_error(shape, document, error) for error in errors]
    return None, faults


class _Step(Struct, frozen=True):
    """A key or item on the way from the root to a fault."""

    loc: Loc
    owners: list[type[Strict]]
    """The classes whose key it is; several where the file says no known `type`."""

    @property
    def discreet(self) -> bool:
        return any(owner.discreet for owner in self.owners)


def _describe_error(
    shape: type[Strict], document: Document, error: ErrorDetails
) -> Fault:
    if error["type"].startswith("union_tag"):
        step = _find_step(shape, document, (*error["loc"], "type"))
        what = _describe_type(error["input"], step.owners)
        return _make_fault(document, step.loc, what)
    step = _find_step(shape, document, error["loc"])
    if error["type"] == "extra_forbidden":
        what = _describe_unknown_key(step)
        if step.discreet:
            line = document.line(*step.loc)
            return Fault(line, 0, f"{_join_keys(step.loc[:-1])}: {what}")
        return _make_fault(document, step.loc, what)
    misfit = error.get("ctx", {}).get("error")
    loc = step.loc
    if isinstance(misfit, MisfitError) and misfit.at:
        loc = (*loc[:-1], misfit.at)
    return _make_fault(document, loc, _describe_value(error))


def _make_fault(document: Document, loc: Loc, what: str) -> Fault:
    name = _join_keys(loc)
    return Fault(document.line(*loc), 0, f"{name}: {what}" if name else what)


def _join_keys(loc: Loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _find_step(shape: type[Strict], document: Document, loc: Loc) -> _Step:
    """Follow pydantic's location, whose steps are those of the file and a few marks.

    The marks, for a dict's key and for a union's member, are left out.
    """
    step = _Step((), [shape])
    shapes = [shape]
    value: Any = document.data
    marks: tuple[Any, ...] = ()
    for part in loc:
        if part == "[key]" or part in marks:
            marks = ()
            continue
        step = _Step((*step.loc, part), shapes)
        value = value.get(part) if isinstance(value, dict) else None
        members = _list_members(shapes, part)
        marks = ()
        if len(members) > 1:
            marks = tuple(word for member in members for word in _list_types(member))
            kind = value.get("type") if isinstance(value, dict) else None
            named = [member for member in members if kind in _list_types(member)]
            members = named or members
        shapes = members or shapes
    return step


def _list_members(shapes: list[type[Strict]], key: str | int) -> list[type[Strict]]:
    """List the classes that the value of this key may be of."""
    members = []
    for shape in shapes:
        for name, field in list_keys(shape).items():
            if name == key:
                members += _list_shapes(field)
    return members


def _list_shapes(annotation: Any) -> list[type[Strict]]:
    if isinstance(annotation, FieldInfo):
        inner = [annotation.annotation, *annotation.metadata]
    elif isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    else:
        inner = list(get_args(annotation))
    return [shape for each in inner for shape in _list_shapes(each)]


def _list_types(member: type[Strict]) -> tuple[Any, ...]:
    """List what the key `type` may say in this member of a union."""
    return get_args(member.model_fields["type"].annotation)


def _describe_unknown_key(step: _Step) -> str:
    key = str(step.loc[-1])
    known = [name for owner in step.owners for name in list_keys(owner)]
    if step.discreet:
        return f"a key that is not known here; there are {', '.join(known)}"
    for owner in step.owners:
        if key in owner.renamed:
            return f"this key has another name now; write {owner.renamed[key]}"
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; there are {', '.join(known)}"


def _describe_type(value: Any, members: list[type[Strict]]) -> str:
    choices = [word for member in members for word in _list_types(member)]
    if value.get("type") is None:
        return f"is missing; one of {', '.join(choices)}"
    return _describe_choice(value["type"], choices)


def _describe_value(error: ErrorDetails) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "literal_error":
        choices = re.split(", | or ", str(context["expected"]).replace("'", ""))
        return _describe_choice(value, choices)
    if value is None and kind.endswith("_type"):
        return "has no value"
    return _SENTENCES.get(kind, "is not valid here").format(**context)


def _describe_choice(value: Any, choices: list[str]) -> str:
    listed = ", ".join(choices)
    if not isinstance(value, str) or len(value) > LONGEST_WORD:
        return f"must be one of {listed}"
    return f"{value!r} is none of {listed}{meant(value, choices)}"
