"""Edits as the body of a PATCH (RFC 7644 §3.5.2), in the form that a server understands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.directories.scim.dialect import Dialect
from connector.directories.scim.edits import PATCH_OP, Edit
from connector.directories.scim.paths import Json


def body(some: Iterable[Edit], dialect: Dialect) -> dict[str, Json]:
    """The operations. What is emptied comes first: if that is refused, nothing was done yet.

    What is set unseen comes last: if something before it is refused, it was not done, and the rest can be taken back.
    """
    ordered = sorted(some, key=lambda edit: (edit.value is not None, edit.unseen))
    made = (_operation(edit, dialect) for edit in ordered)
    return {"schemas": [PATCH_OP], "Operations": list(_spelt(made, dialect))}


def _operation(edit: Edit, dialect: Dialect) -> dict[str, Json]:
    if edit.value is None and dialect.clearing != "null":
        return {"op": "remove", "path": str(edit.path)}
    alone = dialect.arrays and edit.value is not None and not isinstance(edit.value, list)
    return {"op": "replace", "path": str(edit.path), "value": [edit.value] if alone else edit.value}


def _spelt(made: Iterable[dict[str, Json]], dialect: Dialect) -> Iterator[dict[str, Json]]:
    for each in made:
        yield each | {"op": each["op"].capitalize()} if dialect.capitals else each
