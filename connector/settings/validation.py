"""Holds a file to its shape by pydantic, and says in sentences and with lines what does not fit.

A class of `settings/shape.py` becomes a model of pydantic's, built on first need; what that has validated becomes an
instance of the class. pydantic knows where in the data a fault is, the document knows which line that is; here the two
are joined. A message repeats what the file says only where it is a choice of words (`type: ldpa`); everything else
could be a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial, reduce
from operator import or_
from types import UnionType
from typing import Annotated, Any, Final, TypeVar, Union, get_args, get_origin

from msgspec import NODEFAULT
from msgspec.structs import fields
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from connector.model.spelling import meant
from connector.settings.document import Document, Loc
from connector.settings.later import Later
from connector.settings.markers import Marker, ValidationInfo, marker_of
from connector.settings.shape import WORDS, Choice, MisfitError, Strict
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


@cache
def adapter(shape: type[S]) -> TypeAdapter[S]:
    """What makes an instance of what a file says."""
    return TypeAdapter(shape)


@cache
def model_of(shape: type[Strict]) -> type[BaseModel]:
    """Pydantic's model of a class, built when something is validated."""
    return fresh_model(shape)


def fresh_model(shape: type[Strict]) -> type[BaseModel]:
    """The same anew: the keys of a class, and the rules that judge them."""
    extra: Any = partial(_chosen_in_schema, shape) if issubclass(shape, Choice) else dict(shape.in_schema)
    space: dict[str, Any] = {
        "__module__": shape.__module__, "__qualname__": shape.__qualname__, "__doc__": shape.__doc__,
        "model_config": ConfigDict(extra="forbid", strict=True, defer_build=True, json_schema_extra=extra),
        "__annotations__": {},
    }  # fmt: skip
    for field in fields(shape):
        space["__annotations__"][field.name] = real(field.type)
        if field.default_factory is not NODEFAULT:
            space[field.name] = Field(default_factory=field.default_factory)
        elif field.default is not NODEFAULT:
            space[field.name] = field.default
    space |= {name: mark.made()(method) for name, method, mark in _validators(shape, whole=False)}
    return type(shape.__name__, (BaseModel,), space)


def core_schema_of(shape: type[Strict], handler: Callable[[Any], CoreSchema]) -> CoreSchema:
    """The schema of a class as a part of another: its model's, and from that an instance of the class."""
    judges = [method for _, method, _ in _validators(shape, whole=True)]

    def made(said: object, validated: Callable[[object], Any]) -> Strict:
        if isinstance(said, shape):
            return said
        model = validated(said)
        built = shape(**{name: getattr(model, name) for name in shape.__struct_fields__})
        for judge in judges:
            judge(built)
        return built

    return core_schema.no_info_wrap_validator_function(made, handler(model_of(shape)))


def later_schema(later: Later, handler: Any, *, at_once: bool) -> CoreSchema:
    """The schema of a part that is met later: a function that checks it then, or `at_once` the whole."""

    def whole() -> Any:
        union = reduce(or_, later.shapes)
        return Annotated[union, Field(discriminator="type")] if later.told_by_type else union

    def checked_later(value: object, info: ValidationInfo) -> object:
        shape = later.meant(value)
        if shape is None:  # pydantic knows how to say that
            return TypeAdapter[object](whole()).validate_python(value)
        return shape.model_validate(value, context=info.context)

    if at_once:
        schema: CoreSchema = handler.generate_schema(whole())
        return schema
    return core_schema.with_info_plain_validator_function(checked_later)


def real(annotation: Any) -> Any:
    """An annotation with pydantic's own marks."""
    if isinstance(annotation, Marker):
        return annotation.made()
    origin, inner = get_origin(annotation), [real(each) for each in get_args(annotation)]
    if origin is Annotated:
        said, *marks = inner
        return Annotated[(said, *marks)]
    if origin in (Union, UnionType):
        return reduce(or_, inner)
    return origin[tuple(inner)] if origin in (list, dict, tuple) else annotation


def _validators(shape: type[Strict], *, whole: bool) -> Iterator[tuple[str, Any, Marker]]:
    """The validators that a class and its bases define, those of the bases first: of instances, or of all before."""
    for base in reversed(shape.__mro__):
        for name, member in vars(base).items():
            if (mark := marker_of(member)) and mark.whole == whole:
                yield name, member, mark


def _chosen_in_schema(shape: type[Choice], schema: dict[str, Any]) -> None:
    schema["oneOf" if shape.one_of else "anyOf"] = [{"required": [key]} for key in shape.one_of or shape.any_of]


def checked(shape: type[S], document: Document) -> tuple[S | None, list[Fault]]:
    """The document as an instance of `shape`, or None, and every fault that was found in it."""
    faults = list(document.faults)
    try:
        return shape.model_validate(document.data, context=document.path), faults
    except ValidationError as fault:
        faults += [_fault(shape, document, error) for error in fault.errors(include_url=False)]
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
        loc = (*loc[:-1], misfit.at) if isinstance(misfit, MisfitError) and misfit.at else loc
    name = _dotted(loc)
    return Fault(document.line(*loc), 0, f"{name}: {what}" if name else what)


def _way(shape: type[Strict], document: Document, loc: Loc) -> Iterator[tuple[Loc, list[type[Strict]]]]:
    """The steps from the root, each with the classes whose key it is: where a file says no known `type`, several.

    They are those of the file: pydantic's own mark for a dict's key is left out.
    """
    shapes: list[type[Strict]] = [shape]
    said: Any = document.data
    way: Loc = ()
    yield way, shapes
    for part in loc:
        if part == "[key]":
            continue
        way = (*way, part)
        yield way, shapes
        said = said.get(part) if isinstance(said, dict) else None
        inner = [found for one in shapes for key, field in keys(one).items() if key == part for found in _shapes(field)]
        kind = said.get("type") if isinstance(said, dict) else None
        shapes = [one for one in inner if len(inner) > 1 and kind in _types(one)] or inner or shapes


def _types(member: type[Strict]) -> tuple[Any, ...]:
    """What the key `type` may say in this member of a union."""
    return get_args(model_of(member).model_fields["type"].annotation)


def _dotted(loc: Loc) -> str:
    text = ""
    for part in loc:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def keys(shape: type[Strict]) -> dict[str, FieldInfo]:
    """The keys of a part of a file, by the names that it has for them."""
    return {field.alias or name: field for name, field in model_of(shape).model_fields.items()}


def _shapes(annotation: Any) -> Iterable[type[Strict]]:
    if isinstance(annotation, FieldInfo):
        return [found for part in (annotation.annotation, *annotation.metadata) for found in _shapes(part)]
    if isinstance(annotation, Later):
        return annotation.shapes
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
    import difflib  # noqa: PLC0415  # only for a key that is wrong: it adds a millisecond to each start

    near = difflib.get_close_matches(key.lower().replace("-", "_"), known, n=1)
    return f"unknown key; did you mean {near[0]}?" if near else f"unknown key; there are {', '.join(known)}"


def _member(given: Any, members: list[type[Strict]]) -> str:
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
    if not isinstance(given, str) or len(given) > WORDS:
        return f"must be one of {choices}"
    return f"{given!r} is none of {choices}{meant(given, choices.split(', '))}"
