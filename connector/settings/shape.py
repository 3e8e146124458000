"""Holds a file to its shape, and says in sentences and with lines what does not fit.

A shape is a pydantic model: a class for each part of the file, whose annotations say what
becomes of each key. pydantic knows where in the data a fault is, the document knows which line
that is; here the two are joined. A message repeats what the file says only where it is a choice
of words (`type: ldpa`); everything else could be a secret.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from connector.model.templates import suggest_name
from connector.settings.textfile import Document, Fault, Loc, join_faults
from connector.settings.yaml_faults import NO_SPACE, SPACE_MISSING

_LONGEST_WORD: Final = 40
"""Characters that are repeated of a word that is none of a choice."""
_MAPPING: Final = "must be keys and values"
_SENTENCES: Final = {
    "missing": "is missing",
    "string_type": "must be a text; put a number, true or false in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a number",
    "list_type": "must be a list",
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
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

    @model_validator(mode="before")
    @classmethod
    def _mark_unknown_keys(cls, data: Any) -> Any:
        """Put this class in place of an unknown key's value, so that the error knows its owner."""
        if not isinstance(data, dict):
            return data
        known = list_keys(cls)
        return {key: data[key] if key in known else cls for key in data}

    def __repr__(self) -> str:
        # header lines and addresses may hold what nobody else is to see
        return f"<{type(self).__name__}>"

    __str__ = __repr__


def _require_choice(schema: dict[str, Any], shape: type[Choice]) -> None:
    keyword = "anyOf" if shape.takes_several else "oneOf"
    schema[keyword] = [{"required": [key]} for key in shape.choices]


class Choice(Strict):
    """A part that has exactly one of the keys `choices`."""

    model_config = ConfigDict(json_schema_extra=_require_choice)
    choices: ClassVar[tuple[str, ...]]
    takes_several: ClassVar[bool] = False
    lacking: ClassVar[str]
    """What is said otherwise."""

    @model_validator(mode="after")
    def _check_choice(self) -> Self:
        count = sum(getattr(self, key) is not None for key in self.choices)
        if count == 0 or (count > 1 and not self.takes_several):
            raise MisfitError(self.lacking)
        return self


class AnyChoice(Choice):
    """A part that has at least one of the keys `choices`."""

    takes_several = True


def match_pattern(pattern: str, what: str) -> AfterValidator:
    """Make a validator of texts that match the pattern whole; `what` must not repeat the text."""

    def check_text(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise MisfitError(what)
        return text

    return AfterValidator(check_text)


ONE_OR_MORE: Final = BeforeValidator(
    lambda value: value if isinstance(value, list) else [value],
    json_schema_input_type=str | Annotated[list[str], Field(min_length=1)],
)
"""Validator of a list of texts, of which one alone may be written without brackets."""


def walk_parts(part: Strict) -> Iterator[tuple[str, object]]:
    """Walk the keys and values of a part of a file, and of the parts in it."""
    for name, value in part:
        yield name, value
        if isinstance(value, Strict):
            yield from walk_parts(value)


def list_keys(shape: type[Strict]) -> dict[str, FieldInfo]:
    """List the keys of a part of a file, by the names that the file has for them."""
    return {field.alias or name: field for name, field in shape.model_fields.items()}


S = TypeVar("S", bound=Strict)


def check_document(shape: type[S], document: Document) -> S:
    """Return the document as an instance of `shape`.

    Validators find the file's path in `info.context`. Raises FileError with every fault of
    the file.
    """
    faults = list(document.faults)
    try:
        checked = shape.model_validate(document.data, context=document.path)
    except ValidationError as error:
        errors = error.errors(include_url=False)
        faults += [_describe_error(shape, document, each) for each in errors]
    if faults:
        raise join_faults(document.path, faults)
    return checked


def _describe_error(
    shape: type[Strict], document: Document, error: ErrorDetails
) -> Fault:
    loc = _locate_in_file(document, error["loc"])
    named = loc
    misfit = error.get("ctx", {}).get("error")
    if error["type"].startswith("union_tag"):
        what = _describe_type(error["input"], shape.model_fields[str(loc[-1])])
        named = loc = (*loc, "type")
    elif error["type"] == "extra_forbidden":
        owner = error["input"]
        what = _describe_unknown_key(str(loc[-1]), owner)
        named = loc[:-1] if owner.discreet else loc
    elif isinstance(misfit, MisfitError) and misfit.at:
        what = misfit.what
        named = loc = (*loc[:-1], misfit.at)
    else:
        what = _describe_value(error)
    name = _join_keys(named)
    return Fault(document.find_line(*loc), 0, f"{name}: {what}" if name else what)


def _join_keys(loc: Loc) -> str:
    """Write a place as messages have it: `match[1].directory`."""
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _locate_in_file(document: Document, loc: Loc) -> Loc:
    """Leave out steps that the file does not have.

    They are pydantic's marks for the key of a dict and for a union's member by its `type`,
    and the item of a list that one value stands for.
    """
    steps: list[str | int] = []
    value: Any = document.data
    mark = None
    for part in loc:
        is_made = isinstance(part, int) and not isinstance(value, list)
        if is_made or part in ("[key]", mark):
            mark = None
            continue
        steps.append(part)
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list):
            value = value[int(part)]
        mark = value.get("type") if isinstance(value, dict) else None
    return tuple(steps)


def _describe_unknown_key(key: str, owner: type[Strict]) -> str:
    known = list_keys(owner)
    listed = ", ".join(known)
    if owner.discreet:
        return f"a key that is not known here; there are {listed}"
    if key in owner.renamed:
        return f"this key has another name now; write {owner.renamed[key]}"
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    if near:
        return f"unknown key; did you mean {near[0]}?"
    return f"unknown key; there are {listed}"


def _describe_type(value: Any, union: FieldInfo) -> str:
    """Describe a part whose `type` is none of a union's, or is not said."""
    choices: list[str] = []
    for member in get_args(union.annotation):
        choices += get_args(member.model_fields["type"].annotation)
    if value.get("type") is None:
        return f"is missing; one of {', '.join(choices)}"
    return describe_choice(value["type"], choices)


def _describe_value(error: ErrorDetails) -> str:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    if kind == "literal_error":
        choices = re.split(", | or ", str(context["expected"]).replace("'", ""))
        return describe_choice(value, choices)
    if value is None and kind.endswith("_type"):
        return "has no value"
    sentence = _SENTENCES.get(kind, "is not valid here").format(**context)
    if sentence != _MAPPING:
        return sentence
    if isinstance(value, list):
        return f"{sentence}, not a list; remove the `- ` or the brackets"
    if isinstance(value, str) and NO_SPACE.match(value):
        return f"{sentence}; {SPACE_MISSING}"
    return sentence


def describe_choice(value: Any, choices: Sequence[str]) -> str:
    """Describe a value that is none of these words; it is repeated only where it may be a word."""
    listed = ", ".join(choices)
    if not isinstance(value, str) or len(value) > _LONGEST_WORD:
        return f"must be one of {listed}"
    return f"{value!r} is none of {listed}{suggest_name(value, choices)}"
