"""Holds a file to its shape, a pydantic model, and says in sentences and with lines what does not fit.

pydantic knows where in the data a fault is, the document knows which line that is; here the two are joined. A message
repeats what the file says only where it is a choice of words (`type: ldpa`); everything else could be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Self, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails, PydanticCustomError

from connector.model.spelling import meant
from connector.settings.later import Later
from connector.settings.textfile import Fault
from connector.settings.yamlfile import Document, Loc

M = TypeVar("M", bound=BaseModel)
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
    "misfit": "{what}",
    "value_error": "{error}",
}


class Strict(BaseModel):
    """An unknown key is an error, and a value is never bent into another type.

    `discreet`: what somebody wrote in its place may be a secret, so that not even its keys are repeated. `renamed`:
    keys of earlier versions, each with its name of today.
    """

    # The modules of its children do without `from __future__ import annotations`: pydantic would have to compile each
    # of their annotations out of a text (measured: a fiftieth of a start).
    # deferred: most of these are only ever checked as parts of another, which is built whole (measured: a twentieth of
    # a start)
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, defer_build=True)
    discreet: ClassVar[bool] = False
    renamed: ClassVar[Mapping[str, str]] = {}


def _chosen_in_schema(schema: dict[str, Any], model: type[Choice]) -> None:
    schema["oneOf" if model.one_of else "anyOf"] = [{"required": [key]} for key in model.one_of or model.any_of]


class Choice(Strict):
    """Of the keys `one_of` exactly one is there, of `any_of` at least one; else `lacking` is said."""

    model_config = ConfigDict(json_schema_extra=_chosen_in_schema)
    one_of: ClassVar[tuple[str, ...]] = ()
    any_of: ClassVar[tuple[str, ...]] = ()
    lacking: ClassVar[str]

    @model_validator(mode="after")
    def _chosen(self) -> Self:
        found = sum(getattr(self, key) is not None for key in self.one_of or self.any_of)
        if not found or (found > 1 and self.one_of):
            raise misfit(self.lacking)
        return self


def misfit(what: str, *, at: str = "") -> PydanticCustomError:
    """What a validator raises. `at` names the neighbouring key to point to, where it is not the validated one.

    `what` must not repeat a value that may be a secret.
    """
    return PydanticCustomError("misfit", "{what}", {"what": what, "at": at})


def matching(pattern: str, what: str) -> AfterValidator:
    """Of texts that the pattern matches whole; `what` is said of others, and must not repeat them."""

    def judged(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise misfit(what)
        return text

    return AfterValidator(judged)


def check(model: type[M], document: Document) -> tuple[M | None, list[Fault]]:
    """The document as an instance of `model`, or None, and every fault that was found in it.

    Validators find the file's path in `info.context`.
    """
    faults = list(document.faults)
    try:
        return model.model_validate(document.data, context=document.path), faults
    except ValidationError as fault:
        faults += [_fault(model, document, error) for error in fault.errors(include_url=False)]
    return None, faults


def _fault(model: type[BaseModel], document: Document, error: ErrorDetails) -> Fault:
    *_, (loc, owners) = _way(model, document, error["loc"])
    context = error.get("ctx", {})
    if error["type"].startswith("union_tag"):
        *_, (loc, owners) = _way(model, document, (*error["loc"], "type"))
        what = _member(error["input"], owners)
    elif error["type"] == "extra_forbidden":
        what = _unknown(str(loc[-1]), owners)
        if _discreet(owners):
            return Fault(document.line(*loc), 0, f"{_dotted(loc[:-1])}: {what}")
    else:
        what = _sentence(error)
        loc = (*loc[:-1], context["at"]) if context.get("at") else loc
    name = _dotted(loc)
    return Fault(document.line(*loc), 0, f"{name}: {what}" if name else what)


def _way(model: type[BaseModel], document: Document, loc: Loc) -> Iterator[tuple[Loc, list[type[BaseModel]]]]:
    """The steps from the root, each with the models whose key it is: where a file says no known `type`, several.

    They are those of the file: pydantic's own mark for a dict's key is left out.
    """
    models: list[type[BaseModel]] = [model]
    said: Any = document.data
    way: Loc = ()
    yield way, models
    for part in loc:
        if part == "[key]":
            continue
        way = (*way, part)
        yield way, models
        said = said.get(part) if isinstance(said, dict) else None
        inner = [found for one in models if part in one.model_fields for found in _models(one.model_fields[str(part)])]
        kind = said.get("type") if isinstance(said, dict) else None
        models = [one for one in inner if len(inner) > 1 and kind in _types(one)] or inner or models


def _types(member: type[BaseModel]) -> tuple[Any, ...]:
    """What the key `type` may say in this member of a union."""
    return get_args(member.model_fields["type"].annotation)


def _dotted(loc: Loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def _models(annotation: Any) -> Iterable[type[BaseModel]]:
    if isinstance(annotation, FieldInfo):
        return [found for part in (annotation.annotation, *annotation.metadata) for found in _models(part)]
    if isinstance(annotation, Later):
        return annotation.models
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models(argument)]


def _discreet(owners: list[type[BaseModel]]) -> bool:
    return any(getattr(owner, "discreet", False) for owner in owners)


def _unknown(key: str, owners: list[type[BaseModel]]) -> str:
    known = [field.alias or name for owner in owners for name, field in owner.model_fields.items()]
    if _discreet(owners):
        return f"a key that is not known here; there are {', '.join(known)}"
    for owner in owners:
        if name := getattr(owner, "renamed", {}).get(key):
            return f"this key has another name now; write {name}"
    import difflib  # noqa: PLC0415  # only for a key that is wrong: it adds a millisecond to each start

    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; there are {', '.join(known)}"


def _member(given: Any, members: list[type[BaseModel]]) -> str:
    choices = ", ".join(word for member in members for word in _types(member))
    return _none_of(given["type"], choices) if given.get("type") is not None else f"is missing; one of {choices}"


def _sentence(error: ErrorDetails) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "literal_error":
        return _none_of(given, str(context["expected"]).replace("'", "").replace(" or ", ", "))
    if given is None and kind.endswith("_type"):
        return "has no value"
    return _SENTENCES.get(kind, "is not valid here").format(**context)


def _none_of(given: Any, choices: str) -> str:
    if not isinstance(given, str) or len(given) > 40:
        return f"must be one of {choices}"
    return f"{given!r} is none of {choices}{meant(given, choices.split(', '))}"
