"""Edits as the body of a PATCH (RFC 7644 §3.5.2), in the form that a server understands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.directories.scim.dialect import Dialect
from connector.directories.scim.edits import PATCH_OP, Edit, holder_of
from connector.directories.scim.paths import Json, Resource, key_of


def body(some: Iterable[Edit], dialect: Dialect, before: Resource) -> dict[str, Json]:
    """The operations on a user that was `before`. What is emptied comes first: if that is refused, nothing was done.

    What is set unseen comes last: if something before it is refused, it was not done, and
    the rest can be taken back.
    """
    ordered = sorted(some, key=lambda edit: (edit.value is not None, edit.unseen))
    whole = (_operation(edit, dialect) for edit in ordered)
    made = whole if dialect.paths else _without_paths(ordered, dialect, before)
    return {"schemas": [PATCH_OP], "Operations": list(_spelt(made, dialect))}


def _without_paths(
    some: Iterable[Edit], dialect: Dialect, before: Resource
) -> Iterator[dict[str, Json]]:
    """What is removed has to be named; all else is one value (RFC 7644 §3.5.2.3), without what is removed.

    An extension or complex value has all that it held, for some servers replace it whole.
    """
    removed = [
        edit for edit in some if edit.value is None and dialect.clearing != "null"
    ]
    yield from (_operation(edit, dialect) for edit in removed)
    whole: Resource = {}
    for edit in some:
        if edit not in removed:
            holder = holder_of(whole, edit.path, before)
            holder[key_of(holder, edit.path.sub or edit.path.attribute)] = edit.value
    if whole:
        for edit in removed:
            holder = holder_of(whole, edit.path, {})
            holder.pop(key_of(holder, edit.path.sub or edit.path.attribute), None)
        yield {
            "op": "replace",
            "value": {name: held for name, held in whole.items() if held != {}},
        }


def _operation(edit: Edit, dialect: Dialect) -> dict[str, Json]:
    if edit.value is None and dialect.clearing != "null":
        return {"op": "remove", "path": str(edit.path)}
    alone = edit.single and dialect.arrays
    return {
        "op": "replace",
        "path": str(edit.path),
        "value": [edit.value] if alone else edit.value,
    }


def _spelt(
    made: Iterable[dict[str, Json]], dialect: Dialect
) -> Iterator[dict[str, Json]]:
    for each in made:
        yield each | {"op": each["op"].capitalize()} if dialect.capitals else each
