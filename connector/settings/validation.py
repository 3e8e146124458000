"""Holds a file to its shape, a pydantic model, and says in sentences and with lines what does not fit.

pydantic knows where in the data a fault is, the document knows which line that is; here the
two are joined. A message repeats what the file says only where it is a choice of words
(`type: ldpa`); everything else could be a secret.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeVar, get_args

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from connector.model.spelling import meant
from connector.settings.document import Document, Loc
from connector.settings.shape import WORDS, MisfitError, Strict
from connector.settings.textfile import Fault

S = TypeVar("S", bound=Strict)
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


def check(shape: type[S], document: Document) -> tuple[S | None, list[Fault]]:
    """The document as an instance of `shape`, or None, and every fault that was found in it.

    Validators find the file's path in `info.context`.
    """
    faults = list(document.faults)
    try:
        return shape.model_validate(document.data, context=document.path), faults
    except ValidationError as fault:
        faults += [
            _fault(shape, document, error) for error in fault.errors(include_url=False)
        ]
    return None, faults


def _fault(shape: type[Strict], document: Document, error: ErrorDetails) -> Fault:
    *_, (loc, owners) = _way(shape, document, error["loc"])
    context = error.get("ctx", {})
    if error["type"].startswith("union_tag"):
        *_, (loc, owners) = _way(shape, document, (*error["loc"], "type"))
        what = _member(error["input"], owners)
    elif error["type"] == "extra_forbidden":
        what = _unknown(str(loc[-1]), owners)
        if _discreet(owners):
            return Fault(document.line(*loc), 0, f"{_dotted(loc[:-1])}: {what}")
    else:
        what = _sentence(error)
        misfit = context.get("error")
        loc = (
            (*loc[:-1], misfit.at)
            if isinstance(misfit, MisfitError) and misfit.at
            else loc
        )
    name = _dotted(loc)
    return Fault(document.line(*loc), 0, f"{name}: {what}" if name else what)


def _way(
    shape: type[Strict], document: Document, loc: Loc
) -> Iterator[tuple[Loc, list[type[Strict]]]]:
    """The steps from the root, each with the classes whose key it is: where a file says no known `type`, several.

    They are those of the file: pydantic's own marks for a dict's key and a union's member
    are left out.
    """
    shapes: list[type[Strict]] = [shape]
    said: Any = document.data
    way: Loc = ()
    tags: tuple[Any, ...] = ()
    yield way, shapes
    for part in loc:
        if part == "[key]" or part in tags:
            tags = ()
            continue
        way = (*way, part)
        yield way, shapes
        said = said.get(part) if isinstance(said, dict) else None
        inner = [
            found
            for one in shapes
            for key, field in keys(one).items()
            if key == part
            for found in _shapes(field)
        ]
        kind = said.get("type") if isinstance(said, dict) else None
        tags = (
            tuple(tag for one in inner for tag in _types(one)) if len(inner) > 1 else ()
        )
        shapes = (
            [one for one in inner if len(inner) > 1 and kind in _types(one)]
            or inner
            or shapes
        )


def _types(member: type[Strict]) -> tuple[Any, ...]:
    """What the key `type` may say in this member of a union."""
    return get_args(member.model_fields["type"].annotation)


def _dotted(loc: Loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def keys(shape: type[Strict]) -> dict[str, FieldInfo]:
    """The keys of a part of a file, by the names that it has for them."""
    return {field.alias or name: field for name, field in shape.model_fields.items()}


def _shapes(annotation: Any) -> Iterable[type[Strict]]:
    if isinstance(annotation, FieldInfo):
        return [
            found
            for part in (annotation.annotation, *annotation.metadata)
            for found in _shapes(part)
        ]
    if isinstance(annotation, type) and issubclass(annotation, Strict):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _shapes(argument)]


def _discreet(owners: list[type[Strict]]) -> bool:
    return any(owner.discreet for owner in owners)


def _unknown(key: str, owners: list[type[Strict]]) -> str:
    known = [key for owner in owners for key in keys(owner)]
    if _discreet(owners):
        return f"a key that is not known here; there are {', '.join(known)}"
    for owner in owners:
        if name := owner.renamed.get(key):
            return f"this key has another name now; write {name}"
    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return (
        f"unknown key; did you mean {near[0]}?"
        if near
        else f"unknown key; there are {', '.join(known)}"
    )


def _member(given: Any, members: list[type[Strict]]) -> str:
    choices = ", ".join(word for member in members for word in _types(member))
    return (
        _none_of(given["type"], choices)
        if given.get("type") is not None
        else f"is missing; one of {choices}"
    )


def _sentence(error: ErrorDetails) -> str:
    kind, context, given = error["type"], error.get("ctx", {}), error["input"]
    if kind == "literal_error":
        return _none_of(
            given, str(context["expected"]).replace("'", "").replace(" or ", ", ")
        )
    if given is None and kind.endswith("_type"):
        return "has no value"
    return _SENTENCES.get(kind, "is not valid here").format(**context)


def _none_of(given: Any, choices: str) -> str:
    if not isinstance(given, str) or len(given) > WORDS:
        return f"must be one of {choices}"
    return f"{given!r} is none of {choices}{meant(given, choices.split(', '))}"
