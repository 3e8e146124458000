"""A planned change as edits of a resource, and edits as PATCH or PUT on the wire.

Measured: the form of PATCH that every server knows which can hold an extension is `replace` with the
attribute's full path, in the schema's own spelling. `add` is unknown to some, a value without a path
wipes what stands beside it on others, and a path with a sub-attribute becomes a key of its own on yet
others. So an attribute of several values is replaced whole, as it was just read, but for the values
that are ours.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from http import HTTPStatus
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.entries import ForbiddenError, compare_and_set
from connector.directories.scim.discovery import Dialect, adapt_dialect
from connector.directories.scim.paths import (
    VALUE,
    Json,
    Path,
    Resource,
    find_member,
    spell_member,
    to_text,
)
from connector.directories.scim.protocol import MEDIA_TYPE, Answer, Method, Request
from connector.directories.scim.reading import Resources
from connector.directories.scim.schemas import Attributes, LocatedAttribute
from connector.model import Change, folding
from connector.model.equality import plain

PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class Edit(Struct, frozen=True):
    """What an attribute, or a sub-attribute, is to be."""

    path: Path
    """The part that is set."""
    value: Json
    """All of it; None: nothing is left there."""
    unseen: bool = False
    """Nobody can see afterwards whether it was done."""

    def __repr__(self) -> str:
        return f"<edit of {self.path}>"  # its value may be a password


def plan_edits(
    resource: Resource,
    change: Change,
    attributes: Attributes,
) -> list[Edit]:
    """What to do to the resource; nothing where it says all of it already.

    Several elements of an attribute (work and home of `phoneNumbers`) are set together: each is
    replaced in what the others have left.

    Raises ConflictError where it is not what the change believes, and ForbiddenError for what
    cannot be set.
    """
    found: dict[str, Edit] = {}
    for each in change.attributes:
        located = attributes.locate_name(each.name)
        held = list(located.path.find_values(resource)) if located.is_shown else []
        rule = located.info.equality
        values = compare_and_set(
            held,
            each,
            rule,
            lambda value: folding.text_of(plain(value)),
        )
        if each.seen and not values.removed and not values.added:
            continue
        if located.info.single:
            values.refuse_several(each.name)
            single = [_to_json(located, text) for text in values.wanted]
            edit = Edit(located.path, single[0] if single else None, not each.seen)
        else:
            target = located.path.whole_attribute
            earlier = found.get(str(target).lower())
            before = earlier.value if earlier else target.read_attribute(resource)
            added = [_to_json(located, text) for text in values.added]
            left = _replace_elements(
                before,
                located,
                values.removed,
                added,
            )
            edit = Edit(target, left or None)
        found[str(edit.path).lower()] = edit
    return list(found.values())


def _replace_elements(
    held: Json,
    located: LocatedAttribute,
    removed: Collection[str],
    added: list[Json],
) -> list[Json]:
    """All that an attribute of several values is to hold. A new value takes the place of an old one."""
    path, sub = located.path, located.path.sub or VALUE
    coming = list(added)
    left: list[Json] = []
    elements = held if isinstance(held, list) else [held]
    for element in elements if held is not None else ():
        value = find_member(element, sub) if isinstance(element, dict) else element
        if not path.selects_element(element) or to_text(value) not in removed:
            left.append(element)
        elif coming and isinstance(element, dict):
            left.append({**element, spell_member(element, sub): coming.pop(0)})
    if located.attribute.is_complex:
        coming = [{**dict(path.tests), sub: value} for value in coming]
    return left + coming


def _to_json(located: LocatedAttribute, text: str) -> Json:
    """The text as JSON. Raises ForbiddenError, without the value: it may be a secret."""
    if not text:
        raise ForbiddenError(f"{located.name} cannot hold an empty value")
    try:
        return located.to_json(text)
    except ValueError:
        why = f"{located.name}: the value is no {located.info.syntax}"
        raise ForbiddenError(why) from None


def undo_edits(done: Iterable[Edit], before: Resource) -> list[Edit]:
    """What brings the attributes of these edits back to what they were before, each whole."""
    targets = (edit.path.whole_attribute for edit in done)
    return [Edit(target, target.read_attribute(before)) for target in targets]


# ---------------------------------------------------------------- bodies


def build_put(resource: Resource, edits: Iterable[Edit]) -> Resource:
    """The whole resource as the edits leave it (RFC 7644 §3.5.1); what PATCH is to come to as well."""
    whole = dict(resource)  # what is set within it is copied on the way there
    for edit in edits:
        schema = edit.path.schema
        if schema and edit.value is not None:
            key = spell_member(whole, "schemas")
            named = whole.get(key) or []
            if schema.lower() not in (str(urn).lower() for urn in named):
                whole[key] = [*named, schema]
        _set_value(whole, edit, {})
    return {name: value for name, value in whole.items() if value not in ({}, None)}


def build_patch(
    edits: Iterable[Edit],
    dialect: Dialect,
    before: Resource,
) -> dict[str, Json]:
    """Edits of a user that was `before` as a PATCH (RFC 7644 §3.5.2), as a server understands it.

    What is emptied comes first: if that is refused, nothing was done. What is set unseen comes
    last: if something before it is refused, it was not done, and the rest can be taken back.
    """
    ordered = sorted(edits, key=lambda edit: (edit.value is not None, edit.unseen))
    if dialect.paths:
        operations = [_build_operation(edit, dialect) for edit in ordered]
    else:
        operations = _build_without_paths(ordered, dialect, before)
    if dialect.capitals:
        operations = [each | {"op": each["op"].capitalize()} for each in operations]
    return {"schemas": [PATCH_OP], "Operations": operations}


def _build_operation(edit: Edit, dialect: Dialect) -> dict[str, Json]:
    path, value = str(edit.path), edit.value
    if value is None and dialect.clearing != "null":
        return {"op": "remove", "path": path}
    if dialect.arrays and value is not None and not isinstance(value, list):
        value = [value]
    return {"op": "replace", "path": path, "value": value}


def _build_without_paths(
    edits: list[Edit],
    dialect: Dialect,
    before: Resource,
) -> list[dict[str, Json]]:
    """What is removed has to be named; all else is one value (RFC 7644 §3.5.2.3), without what is removed.

    An extension or complex value has all that it held, for some servers replace it whole.
    """
    removes = dialect.clearing != "null"
    removed = [edit for edit in edits if edit.value is None and removes]
    rest = [edit for edit in edits if edit not in removed]
    operations = [_build_operation(edit, dialect) for edit in removed]
    whole: Resource = {}
    for edit in rest:
        _set_value(
            whole,
            edit,
            before,
            keeps_null=True,
        )
    if rest:
        for edit in removed:
            _set_value(whole, edit, {})
        value = {name: held for name, held in whole.items() if held != {}}
        operations.append({"op": "replace", "value": value})
    return operations


def _set_value(
    whole: Resource,
    edit: Edit,
    before: Resource,
    *,
    keeps_null: bool = False,
) -> None:
    """Set or take away a value in a resource. What holds it is copied, or new and as it was `before`."""
    path = edit.path
    holder = whole
    if path.schema:
        holder = _copy_inner(holder, path.schema, find_member(before, path.schema))
    if path.sub:
        holder = _copy_inner(holder, path.attribute, path.read_attribute(before))
    key = spell_member(holder, path.sub or path.attribute)
    if edit.value is None and not keeps_null:
        holder.pop(key, None)
    else:
        holder[key] = edit.value


def _copy_inner(
    holder: Resource,
    name: str,
    before: Json,
) -> Resource:
    key = spell_member(holder, name)
    held = holder.get(key, before)
    inner: Resource = dict(held) if isinstance(held, dict) else {}
    holder[key] = inner
    return inner


# ---------------------------------------------------------------- sending

_NO_SUCH_OPERATION: Final = (
    HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED,
)  # fmt: skip
"""How servers refuse `remove`."""


class Reading(Struct, frozen=True):
    """A user as it was read to be compared."""

    user: Resource
    version: str | None
    """None where versions are not asked for; empty where the server shows none."""


class Writing(Struct, frozen=True):
    """One write of one user."""

    change: Change
    before: Reading
    edits: list[Edit]
    busy_before: int = 0
    """How often the server has been too busy for it."""

    @property
    def clears(self) -> bool:
        """Whether it empties an attribute."""
        return any(edit.value is None for edit in self.edits)


class Wire:
    """Sends writes to one server, in the form that it understands, which is learnt from its answers."""

    def __init__(self, resources: Resources, dialect: Dialect) -> None:
        self._resources = resources
        self._dialect = dialect
        self._lock = threading.Lock()
        self.names_versions = dialect.versions
        """The server says that it heeds versions, or has demanded one (428)."""

    def send_write(self, writing: Writing) -> Answer:
        """The answer; 412 where the user is no longer of its version. Raises IncompleteRead.

        One request, and another one in each other form that a refusal asks for, which is kept if
        it is understood.
        """
        spoken = self._dialect  # others may learn meanwhile
        answer = self._send_as(writing, spoken)
        while not answer.is_success and (other := _find_form(writing, spoken, answer)):
            again = self._send_as(writing, other)
            if again.status == HTTPStatus.PRECONDITION_FAILED:
                # the first one changed the version: it did a part before its refusal
                return answer
            spoken, answer = other, again
        if answer.is_success:
            with self._lock:
                clearing = self._dialect.clearing
                if writing.clears:
                    clearing = spoken.clearing or "remove"
                self._dialect = replace(spoken, clearing=clearing)
        return answer

    def _send_as(self, writing: Writing, dialect: Dialect) -> Answer:
        before = writing.before
        method: Method = "PATCH"
        body = build_patch(writing.edits, dialect, before.user)
        if dialect.writes == "put":
            method = "PUT"
            body = build_put(before.user, writing.edits)
        headers: tuple[tuple[str, str], ...] = ()
        if before.version:
            headers += (("If-Match", before.version),)
        if dialect.media != MEDIA_TYPE:
            headers += (("Content-Type", dialect.media),)
        return self._resources.transport.send(
            Request(
                method,
                self._resources.build_path(writing.change.user.id),
                body=body,
                headers=headers,
                busy_before=writing.busy_before,
            )
        )


def _find_form(
    writing: Writing,
    spoken: Dialect,
    answer: Answer,
) -> Dialect | None:
    """Another form, which the refusal can only mean; or the other way of emptying, if it is not known yet."""
    other = adapt_dialect(spoken, answer)
    if other is not None:
        return other
    is_unknown = spoken.writes == "patch" and spoken.clearing is None and writing.clears
    if is_unknown and answer.status in _NO_SUCH_OPERATION:
        return replace(spoken, clearing="null")
    return None
