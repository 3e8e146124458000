"""The user that a probe makes for itself: so that any server takes it; and removes again, whatever happens.

Measured: servers refuse addresses under reserved domains such as `.invalid`, user names that are no address, and users
without what their schema requires. So a refused user is made again in another form, a few times.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Final
from urllib.parse import quote, unquote
from uuid import uuid4

from connector.directories.scim import filters
from connector.directories.scim.answers import GONE, failure, good, id_of, lacking, listing, resource, said
from connector.directories.scim.paths import CORE, Json, Resource
from connector.directories.scim.protocol import Answer, Request, Transport
from connector.directories.scim.resource_schema import Attribute, Schemas
from connector.directories.scim.view import USER_NAME
from connector.errors import ConnectorError, IncompleteRead

NAME: Final = "cec-connector-probe"
DOMAIN: Final = "example.org"
"""Reserved for documentation (RFC 2606 §3), and taken by validators that refuse `.invalid` and `.test`."""
PAUSES: Final = (0.0, 0.1, 0.2, 0.4, 0.8)
"""Seconds before each look at what a server has done: some show it a moment later only (measured: 0.3 s)."""
_OTHER_FORM: Final = (400, 409, 422)
"""How servers refuse a user for what it is, and not for who makes it."""
_SAMPLES: Final[dict[str, Json]] = {
    "boolean": False, "integer": 1, "decimal": 1.0, "datetime": "2020-01-01T00:00:00Z",
    "reference": f"https://{DOMAIN}/", "binary": "AA==",
}  # fmt: skip


class Scratch:
    """One user. `transport` is what it is used through; `anew` makes another, for removing it when that is worn out."""

    def __init__(self, transport: Transport, anew: Callable[[], Transport], endpoint: str, schemas: Schemas) -> None:
        self._transport, self._anew, self._endpoint = transport, anew, endpoint
        self._schemas = schemas
        self._open = False
        self.name = ""
        self.id = ""

    @property
    def address(self) -> str:
        return f"{self._endpoint}/{quote(self.id, safe='')}"

    def make(self, extensions: tuple[str, ...]) -> None:
        """Make it, with what the core and these schemas require. Raises IncompleteRead."""
        refusals = []
        for body in self._bodies(extensions):
            self.name, self._open = str(body["userName"]), True
            answer = self._transport.send(Request("POST", self._endpoint, body=body))
            if good(answer):
                self.id = _named(answer)
                if not self.id and not self._found(self._transport):
                    raise IncompleteRead(
                        "a user was created for the probe, but the answer has no id", where=answer.where
                    )
                return
            self._open = answer.status >= 500  # it may have been made all the same
            refusals.append(answer)
            if answer.status not in _OTHER_FORM:
                break
        raise failure(refusals[0], "the user to create for the probe", "create users (POST /Users)")

    def _bodies(self, extensions: tuple[str, ...]) -> Iterator[Resource]:
        """The forms in which it is tried: as most servers take it, named by an address, and with the least."""
        name = f"{NAME}-{uuid4().hex[:12]}"
        address = f"{name}@{DOMAIN}"
        needed: Resource = {"schemas": [CORE, *extensions]}
        for each in self._schemas.required(CORE):
            needed[each.name] = _sample(each, name)
        for urn in extensions:
            needed[urn] = {each.name: _sample(each, name) for each in self._schemas.required(urn)}
        usual = needed | {
            "userName": name, "displayName": name, "active": False,
            "name": {"givenName": "Probe", "familyName": name, "formatted": f"Probe {name}"},
            "emails": [{"value": address, "type": "work", "primary": True}],
        }  # fmt: skip
        yield usual
        yield usual | {"userName": address}
        yield needed | {"userName": name}
        yield usual | {"userName": address, "password": _password()}

    # ------------------------------------------------------------ what it is now

    def now(self) -> tuple[Resource, Answer]:
        """The user as it is; a server that shows it a moment later is waited for."""
        for pause in PAUSES:
            time.sleep(pause)
            answer = self._transport.send(Request("GET", self.address, repeatable=True))
            if answer.status not in GONE:
                break
        if not good(answer):
            raise failure(answer, "the probe's user")
        return resource(answer), answer

    def comes_to(self, test: Callable[[Resource], bool]) -> bool:
        """Whether the user is so now, or a moment later."""
        for pause in PAUSES:
            time.sleep(pause)
            if test(self.now()[0]):
                return True
        return False

    # ------------------------------------------------------------ its end

    def remove(self, after: BaseException | None = None) -> None:
        """Remove it; `after`: what ended the probe. Raises IncompleteRead, with its name, where that fails."""
        if not self._open:
            return
        where = ""
        try:
            why = self._removed(self._transport)
            if why:
                with closing(self._anew()) as fresh:
                    why = self._removed(fresh)
        except ConnectorError as fault:
            why, where = fault.what, fault.where
        except KeyboardInterrupt:
            why = "interrupted"
        if why:
            known = "could not be removed" if self.id else "may have been created, and was not found"
            ended = f"; the probe had ended with: {after}" if isinstance(after, ConnectorError) else ""
            what = f"the probe's user {self.name} {known}: {why}. Search for it and remove it{ended}"
            raise IncompleteRead(what, where=where or self._endpoint)

    def _removed(self, transport: Transport) -> str:
        """Remove it by this transport; why it is still there, or may be."""
        try:
            if not self.id and not self._found(transport):
                return "no answer told its id, and a search by its name does not show it"
            answer = transport.send(Request("DELETE", self.address, repeatable=True))
            if not good(answer) and answer.status not in GONE:
                return said(answer) + lacking(answer, "delete users (DELETE /Users/{id})")
            for pause in PAUSES:
                time.sleep(pause)
                if not good(transport.send(Request("GET", self.address, repeatable=True))):
                    return ""
        except IncompleteRead as fault:
            return fault.what
        return "the server confirmed it, and still shows it"

    def _found(self, transport: Transport) -> bool:
        for pause in PAUSES:
            time.sleep(pause)
            params = (("filter", filters.equal(USER_NAME, self.name)),)
            answer = transport.send(Request("GET", self._endpoint, params, repeatable=True))
            users = (resource(answer, raw) for raw in listing(answer).resources) if good(answer) else ()
            mine = (user for user in users if self.name.lower() in map(str.lower, USER_NAME.values(user)))
            self.id = next(map(id_of, mine), "")
            if self.id:
                return True
        return False


def _named(answer: Answer) -> str:
    """The id of who was made: in the answer, or at the end of its `Location` (RFC 7644 §3.3)."""
    try:
        return id_of(resource(answer))
    except IncompleteRead:
        return unquote(answer.headers.get("location", "").rstrip("/").rpartition("/")[2])


def _sample(attribute: Attribute, name: str) -> Json:
    """A value that a required attribute may hold, by its definition (RFC 7643 §7)."""
    if attribute.complex:
        subs = attribute.sub_attributes or ()
        some = [sub for sub in subs if sub.required] or [sub for sub in subs if sub.name.lower() == "value"]
        value: Json = {
            sub.name: _sample(sub, f"{name}@{DOMAIN}" if attribute.name == "emails" else name) for sub in some
        }
    elif attribute.name == "password":
        value = _password()
    else:
        canonical = attribute.canonical_values
        first = canonical[0] if isinstance(canonical, list) and canonical else name
        value = _SAMPLES.get(attribute.type.lower(), first)
    return [value] if attribute.multi_valued else value


def _password() -> str:
    """One that usual rules of passwords take; nobody ever learns it."""
    return f"aA1!{secrets.token_urlsafe(18)}"
