"""What a planner's questions consist of, and of what type their answers are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final, cast, get_args, get_origin, get_type_hints

from msgspec import Struct
from msgspec.structs import fields

from connector.model import Memory
from connector.reconcile import questions as asked
from connector.reconcile.questions import Query
from connector.run.snapshot.codec import as_json

_ITEMS: Final[dict[type[Query[Any]], str]] = {
    asked.Search: "keys",
    asked.Find: "keys",
    asked.FindNear: "keys",
    asked.Named: "keys",
    asked.Read: "users",
    asked.Compare: "questions",
    asked.Preflight: "changes",
}
"""What a question asks for one by one; a directory takes it as it goes."""
_NOT_SAID: Final = frozenset({*_ITEMS.values(), "found", "take"})


class Answer(Struct, frozen=True):
    """The type of an answer; `each`: of each of several, which come one by one."""

    kind: Any
    each: bool = True


def asked_of(query: Query[Any]) -> tuple[dict[str, Any], str, Iterable[Any]]:
    """A question as JSON, the name of what it asks for one by one, and that; no name: nothing."""
    said = {each.name: as_json(getattr(query, each.name)) for each in fields(query) if each.name not in _NOT_SAID}
    field = _ITEMS.get(type(query), "")
    return {type(query).__name__: said}, field, getattr(query, field) if field else ()


@cache
def answer_of(kind: type[Query[Any]]) -> Answer:
    """What a question of this kind is answered with."""
    (base,) = cast("Any", kind).__orig_bases__
    return Answer(get_args(base)[0])


@cache
def answer_of_state(name: str) -> Answer:
    """What this method of the state's memory returns."""
    hint = get_type_hints(getattr(Memory, name))["return"]
    return Answer(get_args(hint)[0]) if get_origin(hint) is Iterator else Answer(hint, each=False)


def said_to_state(arguments: Iterable[Any]) -> list[str]:
    """What the state is asked about, where that is one name and not many."""
    return [each for each in arguments if isinstance(each, str)]
