"""A planned change as edits of a resource, and what a resource is with them. As a PATCH: `bodies.py`.

Measured: the form of PATCH that every server knows which can hold an extension is `replace`
with the attribute's full path, in the schema's own spelling. `add` is unknown to some, a
value without a path wipes what stands beside it on others, and a path with a sub-attribute
becomes a key of its own on yet others. So an attribute of several values is replaced whole,
as it was just read, but for the values that are ours.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from msgspec import Struct

from connector.directories.common.entries import ForbiddenError, compare_and_set
from connector.directories.scim.paths import (
    VALUE,
    Json,
    Path,
    Resource,
    key_of,
    member,
    text_of,
)
from connector.directories.scim.view import Attributes, Located
from connector.model import AttributeChange, Change
from connector.reconcile import folding
from connector.reconcile.equality import plain

PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Edit(Struct, frozen=True):
    """What an attribute is to be: `path` is the part that is set, `value` all of it; None: nothing is left there.

    `unseen`: nobody can see afterwards whether it was done.
    """

    path: Path
    value: Json
    unseen: bool = False

    @property
    def single(self) -> bool:
        """Whether it sets a value that is no list."""
        return self.value is not None and not isinstance(self.value, list)

    def __repr__(self) -> str:
        return f"<edit of {self.path}>"  # its value may be a password


def edits(resource: Resource, change: Change, attributes: Attributes) -> list[Edit]:
    """What to do to the resource; nothing where it says all of it already. One edit an attribute, or sub-attribute.

    Several elements of an attribute (work and home of `phoneNumbers`) are set together:
    each is replaced in what the others have left.

    Raises ConflictError where it is not what the change believes, and ForbiddenError for
    what cannot be set.
    """
    found: dict[str, Edit] = {}
    for each in change.attributes:
        located = attributes.located(each.name)
        path = located.path
        place = str(
            path if located.info.single else Path(path.attribute, path.schema)
        ).lower()
        before = found[place].value if place in found else path.held(resource)
        edit = _edit(resource, each, located, before)
        if edit is not None:
            found[place] = edit
    return list(found.values())


def _edit(
    resource: Resource, change: AttributeChange, located: Located, before: Json
) -> Edit | None:
    """The edit that one attribute needs; `before`: the whole attribute, as edits of other elements have left it."""
    path = located.path
    held = list(path.values(resource)) if located.shown else []
    found = compare_and_set(
        held, change, located.info.equality, lambda value: folding.text_of(plain(value))
    )
    if change.seen and not found.removed and not found.added:
        return None
    if located.info.single:
        found.refuse_several(change.name)
        value = next((_json(located, text) for text in found.wanted), None)
        return Edit(path, value, unseen=not change.seen)
    left = _elements(
        before, located, found.removed, [_json(located, text) for text in found.added]
    )
    return Edit(Path(path.attribute, path.schema), left or None)


def _elements(
    held: Json, located: Located, removed: Collection[str], added: list[Json]
) -> list[Json]:
    """All that an attribute of several values is to hold. A value takes the place of one that goes, if there is one."""
    path, sub = located.path, located.path.sub or VALUE
    complex_ = located.found is not None and located.found.attribute.complex
    coming = list(added)
    left: list[Json] = []
    for element in held if isinstance(held, list) else [] if held is None else [held]:
        value = text_of(member(element, sub) if isinstance(element, dict) else element)
        if not path.meant(element) or value not in removed:
            left.append(element)
        elif coming and isinstance(element, dict):
            left.append({**element, key_of(element, sub): coming.pop(0)})
    return left + (
        [{**dict(path.tests), sub: value} for value in coming] if complex_ else coming
    )


def _json(located: Located, text: str) -> Json:
    """The text as JSON. Raises ForbiddenError, without the value: it may be a secret."""
    if not text:
        raise ForbiddenError(f"{located.name} cannot hold an empty value")
    try:
        return located.json(text)
    except ValueError:
        raise ForbiddenError(
            f"{located.name}: the value is no {located.info.syntax}"
        ) from None


# ---------------------------------------------------------------- onto the wire


def back(done: Iterable[Edit], before: Resource) -> list[Edit]:
    """What brings the attributes of these edits back to what they were before, each whole."""
    return [
        Edit(Path(edit.path.attribute, edit.path.schema), edit.path.held(before))
        for edit in done
    ]


def edited(resource: Resource, some: Iterable[Edit]) -> Resource:
    """The whole resource as the edits leave it: the body of a PUT (RFC 7644 §3.5.1), and what PATCH is to come to."""
    whole = dict(resource)  # what is set within it is copied on the way there
    for edit in some:
        if edit.path.schema and edit.value is not None:
            _name_schema(whole, edit.path.schema)
        holder = holder_of(whole, edit.path, {})
        key = key_of(holder, edit.path.sub or edit.path.attribute)
        if edit.value is None:
            holder.pop(key, None)
        else:
            holder[key] = edit.value
    return {name: value for name, value in whole.items() if value not in ({}, None)}


def _name_schema(whole: Resource, schema: str) -> None:
    """Name an extension in `schemas`, if it is new."""
    key = key_of(whole, "schemas")
    named = whole.get(key) or []
    if schema.lower() not in (str(urn).lower() for urn in named):
        whole[key] = [*named, schema]


def holder_of(whole: Resource, path: Path, before: Resource) -> Resource:
    """The object in a resource that holds what the path means, copied on the way there; a new one is as `before`."""
    holder = whole
    if path.schema:
        holder = _inner(holder, path.schema, member(before, path.schema))
    return _inner(holder, path.attribute, path.held(before)) if path.sub else holder


def _inner(holder: Resource, name: str, before: Json) -> Resource:
    key = key_of(holder, name)
    held = holder.get(key, before)
    inner: Resource = dict(held) if isinstance(held, dict) else {}
    holder[key] = inner
    return inner
