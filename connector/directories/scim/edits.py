"""A planned change as edits of a resource, and edits as PATCH or PUT on the wire.

Measured: the form of PATCH that every server knows which can hold an extension is `replace` with the
attribute's full path, in the schema's own spelling. `add` is unknown to some, a value without a path
wipes what stands beside it on others, and a path with a sub-attribute becomes a key of its own on yet
others. So an attribute of several values is replaced whole, as it was just read, but for the values
that are ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.common.entries import (
    ComparedValues,
    ForbiddenError,
    compare_and_set,
)
from connector.directories.scim.discovery import Dialect
from connector.directories.scim.paths import (
    VALUE,
    AttributePath,
    Json,
    Resource,
    list_elements,
    read_id,
    spell_member,
)
from connector.directories.scim.protocol import PLAIN_JSON, Answer, Method, Request
from connector.directories.scim.reading import UserResources
from connector.directories.scim.schemas import LocatedAttribute, ViewAttributes
from connector.model import Change
from connector.model.equality import plain_text

PATCH_OP: Final = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class AttributeEdit(Struct, frozen=True):
    """What an attribute, or a sub-attribute, is to be."""

    path: AttributePath
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
    attributes: ViewAttributes,
) -> list[AttributeEdit]:
    """What to do to the resource; nothing where it says all of it already.

    Several elements of an attribute (work and home of `phoneNumbers`) are set together: each is
    replaced in what the others have left.

    Raises ConflictError where it is not what the change believes, and ForbiddenError for what
    cannot be set.
    """
    found: dict[str, AttributeEdit] = {}
    for each in change.attributes:
        located = attributes.locate_name(each.name)
        held = list(located.path.find_values(resource)) if located.is_shown else []
        values = compare_and_set(
            held,
            each,
            located.info.equality,
            plain_text,
        )
        if each.seen and not values.removed and not values.added:
            continue
        if located.info.single:
            values.refuse_several(each.name)
            value = _to_json(located, values.wanted[0]) if values.wanted else None
            edit = AttributeEdit(located.path, value, not each.seen)
        else:
            target = located.path.whole_attribute
            earlier = found.get(str(target).lower())
            before = earlier.value if earlier else target.read_attribute(resource)
            edit = AttributeEdit(
                target, _replace_elements(before, located, values) or None
            )
        found[str(edit.path).lower()] = edit
    return list(found.values())


def _replace_elements(
    held: Json,
    located: LocatedAttribute,
    values: ComparedValues[str],
) -> list[Json]:
    """All that an attribute of several values is to hold. A new value takes the place of an old one."""
    path, sub = located.path, located.path.sub or VALUE
    coming = [_to_json(located, text) for text in values.added]
    left: list[Json] = []
    for element in list_elements(held):
        if path.read_element(element) not in values.removed:
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


# ---------------------------------------------------------------- bodies


def build_put(
    resource: Resource,
    edits: Iterable[AttributeEdit],
    *,
    keeps_null: bool = False,
) -> Resource:
    """The whole resource as the edits leave it (RFC 7644 §3.5.1); what PATCH is to come to as well.

    `keeps_null`: what is emptied is null, and not left out.
    """
    whole = dict(resource)  # what is set within it is copied on the way there
    for edit in edits:
        path, holder = edit.path, whole
        if path.schema:
            holder = _copy_member(whole, path.schema)
            if edit.value is not None:
                _add_schema(whole, path.schema)
        if path.sub:
            holder = _copy_member(holder, path.attribute)
        key = spell_member(holder, path.sub or path.attribute)
        holder[key] = edit.value
        if edit.value is None and not keeps_null:
            del holder[key]
    empty: list[Json] = [{}] if keeps_null else [{}, None]
    return {name: value for name, value in whole.items() if value not in empty}


def _copy_member(holder: Resource, name: str) -> Resource:
    """A copy of a complex member, in its place; a new one where there is none."""
    key = spell_member(holder, name)
    held = holder.get(key)
    inner: Resource = dict(held) if isinstance(held, dict) else {}
    holder[key] = inner
    return inner


def _add_schema(whole: Resource, schema: str) -> None:
    """Name an extension among `schemas` (RFC 7643 §3)."""
    key = spell_member(whole, "schemas")
    named = whole.get(key) or []
    if schema.lower() not in (str(urn).lower() for urn in named):
        whole[key] = [*named, schema]


def _build_patch(
    edits: Iterable[AttributeEdit],
    dialect: Dialect,
    before: Resource,
) -> dict[str, Json]:
    """Edits of a user that was `before` as a PATCH (RFC 7644 §3.5.2), as a server understands it.

    What is emptied comes first: if that is refused, nothing was done. What is set unseen comes
    last: if something before it is refused, it was not done, and the rest can be taken back.

    Without paths, what is removed has to be named, and all else is one value (RFC 7644
    §3.5.2.3). An extension or complex value in it has all that it held, for some servers replace
    it whole.
    """
    removes = dialect.clearing != "null"
    ordered = sorted(edits, key=lambda edit: (edit.value is not None, edit.unseen))
    operations: list[dict[str, Json]] = []
    together: dict[str, Json] = {}
    whole = build_put(before, ordered, keeps_null=not removes)
    for edit in ordered:
        path, value = edit.path, edit.value
        if value is None and removes:
            operations.append({"op": "remove", "path": str(path)})
        elif dialect.paths:
            if dialect.arrays and not isinstance(value, list | None):
                value = [value]
            operations.append({"op": "replace", "path": str(path), "value": value})
        else:
            key = spell_member(whole, path.schema or path.attribute)
            together[key] = whole[key]
    if together:
        operations.append({"op": "replace", "value": together})
    if dialect.capitals:
        for operation in operations:
            operation["op"] = operation["op"].capitalize()
    return {"schemas": [PATCH_OP], "Operations": operations}


# ---------------------------------------------------------------- sending

_NO_SUCH_OPERATION: Final = (
    400, 405, 501,
)  # fmt: skip
"""How servers refuse `remove`."""


class UserWrite(Struct, frozen=True):
    """One write of one user."""

    before: Resource
    """The user as it was read to be compared."""
    version: str | None
    """None where versions are not asked for; empty where the server shows none."""
    edits: list[AttributeEdit]

    @property
    def clears_attribute(self) -> bool:
        """Whether it empties an attribute."""
        return any(edit.value is None for edit in self.edits)


class WriteSender:
    """Sends writes to one server, in the form that it understands, which is learnt from its answers."""

    def __init__(self, resources: UserResources, dialect: Dialect) -> None:
        self._resources = resources
        self._dialect = dialect
        self.names_versions = dialect.versions
        """The server says that it heeds versions, or has demanded one (428)."""

    def send_write(self, writing: UserWrite) -> Answer:
        """The answer; 412 where the user is no longer of its version. Raises IncompleteRead.

        One request, and another one in each other form that a refusal asks for, which is kept if
        it is understood. Several threads may learn one at a time; what one forgets is learnt again.
        """
        spoken = self._dialect
        answer = self._send_as(writing, spoken)
        while not answer.is_success and (other := _find_form(writing, spoken, answer)):
            again = self._send_as(writing, other)
            if again.status == 412:
                # the first one changed the version: it did a part before its refusal
                return answer
            spoken, answer = other, again
        if answer.is_success and writing.clears_attribute:
            spoken = replace(spoken, clearing=spoken.clearing or "remove")
        if answer.is_success:
            self._dialect = spoken
        return answer

    def _send_as(self, writing: UserWrite, dialect: Dialect) -> Answer:
        headers = {"Content-Type": str(dialect.media)}
        if writing.version:
            headers["If-Match"] = writing.version
        method: Method = "PATCH"
        body = _build_patch(writing.edits, dialect, writing.before)
        if dialect.writes == "put":
            method, body = "PUT", build_put(writing.before, writing.edits)
        request = Request(
            method,
            self._resources.build_path(read_id(writing.before)),
            body=body,
            headers=headers,
        )
        return self._resources.transport.send(request)


def _find_form(
    writing: UserWrite,
    spoken: Dialect,
    answer: Answer,
) -> Dialect | None:
    """The form that the refusal can only mean; or the other way of emptying, if it is not known yet."""
    is_unsupported = answer.status == 415
    if is_unsupported and spoken.media != PLAIN_JSON:
        return replace(spoken, media=PLAIN_JSON)
    is_unknown = (
        spoken.writes == "patch"
        and spoken.clearing is None
        and writing.clears_attribute
    )
    if is_unknown and answer.status in _NO_SUCH_OPERATION:
        return replace(spoken, clearing="null")
    return None
