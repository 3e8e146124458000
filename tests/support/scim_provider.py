"""A SCIM server in the process of a test, as the transport to it: it keeps every request, and is odd as it is told.

What it holds is what RFC 7644 says of it: PATCH by whole attributes (§3.5.2), PUT (§3.5.1), versions (§3.14), lists by
index. What is "returned": "never" is stored and not shown.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.protocol import Answer, Item, Request, Result
from connector.errors import IncompleteRead
from connector.model import AttributeChange, Change, Outcome, Result as Became, UserRef, View
from connector.settings.scim import ScimDirectory as Settings

Json = dict[str, Any]
Meddler = Callable[[Request], Answer | None]
"""What is answered in the server's place; None: the server answers."""

CORE = "urn:ietf:params:scim:schemas:core:2.0:User"
CEC = "urn:ietf:params:scim:schemas:extension:cec:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ACCOUNT, SEAT, LINE, PASSWORD, ADDRESS, PORT = (
    f"{CEC}:{name}" for name in ("accountCode", "workNo", "sipAccount", "sipPassword", "sipServiceIp", "sipServicePort")
)

_BASE = "https://scim.example.org/v2"
_EXTENSION = Path(__file__).parents[2] / "deploy" / "schema" / "scim" / "cec-extension.json"


def _attribute(name: str, *subs: str, several: bool = False, **more: Any) -> Json:
    kind = "complex" if subs else "boolean" if name in {"active", "primary"} else "string"
    parts = [_attribute(sub) for sub in subs]
    return {"name": name, "type": kind, "multiValued": several, "subAttributes": parts} | more


_ELEMENT = ("value", "type", "display", "primary")
_CORE = [
    *map(_attribute, ("userName", "displayName", "title", "nickName", "active")),
    _attribute("name", "formatted", "familyName", "givenName", "middleName"),
    _attribute("emails", *_ELEMENT, several=True),
    _attribute("phoneNumbers", *_ELEMENT, several=True),
    _attribute("tags", several=True, caseExact=True),
]


def schemas(*, hidden: bool = True) -> list[Json]:
    """What it publishes; without `hidden`, nothing is kept from whoever asks, so that PUT takes nothing away."""
    extension: Json = json.loads(_EXTENSION.read_text())
    if not hidden:
        for attribute in extension["attributes"]:
            attribute["returned"] = "default"
    return [{"id": CORE, "attributes": _CORE}, extension]


def user(number: int, **more: Any) -> Json:
    """An invented user, with attributes that nobody is to touch."""
    name = f"agent{number:03}"
    return {
        "schemas": [CORE], "id": f"u{number}", "userName": name, "active": True, "title": "Sample",
        "name": {"givenName": "Example", "familyName": f"Person {number}"},
        "emails": [{"value": f"{name}@example.org", "type": "work", "primary": True}],
    } | more  # fmt: skip


class Provider:
    """A server. `patch`, `etag`: what it says that it can; `heeds`: whether it refuses a version that is no longer.

    `shows`: a write is answered with the user. `removes`: it knows `remove`. `meddle` sees every request first, and
    `asked` keeps all that are about users. `at_once`: so many items are under way together.
    """

    def __init__(
        self,
        *users: Json,
        patch: bool = True,
        etag: bool = True,
        heeds: bool = True,
        shows: bool = True,
        removes: bool = True,
        published: Iterable[Json] | None = None,
        meddle: Meddler = lambda request: None,
    ) -> None:
        self.users = {each["id"]: copy.deepcopy(each) for each in users}
        self.etag, self.heeds, self.shows, self.removes = etag, heeds, shows, removes
        self.meddle = meddle
        self.at_once = 1
        self.asked: list[Request] = []
        published = schemas() if published is None else list(published)
        features = {"patch": {"supported": patch}, "etag": {"supported": etag}}
        self._pages = {"/ServiceProviderConfig": features, "/Schemas": {"Resources": published}, "/ResourceTypes": []}
        self._never = {
            (schema["id"] if schema["id"] != CORE else "", attribute["name"])
            for schema in published
            for attribute in schema["attributes"]
            if attribute.get("returned") == "never"
        }
        self._versions = dict.fromkeys(self.users, 1)

    # ------------------------------------------------------------ behind SCIM's back

    def stored(self, id_: str) -> Json:
        """A user as it is, secrets included, without `schemas`."""
        return {name: copy.deepcopy(held) for name, held in self.users[id_].items() if name != "schemas"}

    def set(self, id_: str, **values: Any) -> None:
        """Change a user as another client would; None takes an attribute away."""
        held = self.users[id_] | copy.deepcopy(values)
        self.users[id_] = {name: value for name, value in held.items() if value is not None}
        self._versions[id_] += 1

    def version(self, id_: str) -> str:
        return f'W/"{self._versions[id_]}"'

    def shown(self, id_: str) -> Json:
        """A user as SCIM shows it."""
        found = copy.deepcopy(self.users[id_])
        for schema, name in self._never:
            (found.get(schema, {}) if schema else found).pop(name, None)
        version = {"version": self.version(id_)} if self.etag else {}
        return found | {"meta": {"resourceType": "User"} | version}

    # ------------------------------------------------------------ what was asked

    @property
    def writes(self) -> list[Request]:
        """The requests that were to change something."""
        return [each for each in self.asked if each.method != "GET"]

    @property
    def said(self) -> list[str]:
        """All requests, in short: the method, whose it was if it was one user's, and the version, if it named one."""
        return [
            " ".join(filter(None, [each.method, each.path.removeprefix("/Users").removeprefix("/"), given(each)]))
            for each in self.asked
        ]

    # ------------------------------------------------------------ the transport

    def send(self, request: Request) -> Answer:
        if request.path.startswith("/Users"):
            self.asked.append(request)
        return self.meddle(request) or self.answer(request)

    def each(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """One by one; where several are under way at once, the last that was drawn is the first that is done."""
        source = iter(items)
        while some := list(islice(source, self.at_once)):
            yield from map(work, reversed(some))

    def close(self) -> None:
        """There is nothing to let go of."""

    def answer(self, request: Request) -> Answer:
        """What the server answers, if it is asked."""
        if request.path in self._pages:
            return said(self._pages[request.path], request=request)
        if request.path == "/Users":
            return self._list(request)
        id_ = request.path.rpartition("/")[2]
        if id_ not in self.users:
            return said({"status": "404"}, 404, request=request)
        return self._user(id_, request) if request.method == "GET" else self._write(id_, request)

    def _write(self, id_: str, request: Request) -> Answer:
        if self.heeds and given(request) not in {"", self.version(id_)}:
            return said({"status": "412"}, 412, request=request)
        body = json.loads(json.dumps(request.body))
        try:
            self.users[id_] = body if request.method == "PUT" else self._patched(id_, body)
        except ValueError as why:
            return said({"status": str(why), "scimType": "invalidPath"}, int(str(why)), request=request)
        self._versions[id_] += 1
        return self._user(id_, request) if self.shows else Answer(204, {}, b"", _BASE + request.path)

    def _user(self, id_: str, request: Request) -> Answer:
        return said(self.shown(id_), request=request, headers={"etag": self.version(id_)} if self.etag else {})

    def _list(self, request: Request) -> Answer:
        params = dict(request.params)
        ids = list(self.users)
        if "filter" in params:
            path, _, value = params["filter"].partition(" eq ")
            ids = [id_ for id_ in ids if json.dumps(self.users[id_].get(path)) == value]
        start = int(params.get("startIndex", "1")) - 1
        some = ids[start : start + int(params.get("count", "100"))]
        return said({"totalResults": len(ids), "Resources": [self.shown(id_) for id_ in some]}, request=request)

    def _patched(self, id_: str, body: Json) -> Json:
        found = copy.deepcopy(self.users[id_])
        for operation in body["Operations"]:
            op, path = operation["op"], operation["path"]
            if op not in {"replace", "remove"} or (op == "remove" and not self.removes) or "[" in path:
                raise ValueError(501 if op == "remove" else 400)
            schema, _, attribute = path.rpartition(":")
            name, _, sub = attribute.partition(".")
            holder = found.setdefault(schema, {}) if schema else found
            holder, name = (holder.setdefault(name, {}), sub) if sub else (holder, name)
            if op == "remove" or operation["value"] is None:
                holder.pop(name, None)
            else:
                holder[name] = operation["value"]
        return found


def given(request: Request) -> str:
    """The version that a request is for, if it says one."""
    return dict(request.headers).get("If-Match", "")


def said(
    document: Any, status: int = 200, *, request: Request | None = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """An answer with this body."""
    where, sent = (_BASE + request.path, request.body) if request else (_BASE, None)
    return Answer(status, headers or {}, json.dumps(document).encode(), where, sent=sent)


def once(meddler: Meddler, method: str = "PATCH", *, skip: int = 0, times: int = 1) -> Meddler:
    """The meddler for so many requests of this method, after so many."""
    seen = iter(range(1 << 30))

    def meddle(request: Request) -> Answer | None:
        if request.method != method or not request.path.startswith("/Users/"):
            return None
        return meddler(request) if skip <= next(seen) < skip + times else None

    return meddle


def failing(fault: IncompleteRead) -> Meddler:
    """No answer, but this error."""

    def meddle(request: Request) -> Answer | None:
        raise fault

    return meddle


# ---------------------------------------------------------------- the directory before it

VIEW = View(("userName", ACCOUNT, SEAT, LINE, PASSWORD, PORT), frozenset({PASSWORD}))


def opened(provider: Provider, view: View = VIEW, **more: Any) -> ScimDirectory:
    """The program's own view of it."""
    job = {"type": "scim", "url": _BASE, "token": {"env": "UNUSED"}} | more
    return ScimDirectory(Settings.model_validate(job), provider, view)


def change(number: int, *attributes: AttributeChange) -> Change:
    """A change of a user that `user` has made."""
    return Change(UserRef(f"u{number}", f"agent{number:03}"), None, 1, attributes)


def seat(number: int, old: str = "", new: str = "8") -> Change:
    """A change of one attribute."""
    return change(number, AttributeChange(SEAT, (old,) if old else (), (new,) if new else ()))


def write(directory: ScimDirectory, *changes: Change) -> list[Outcome]:
    """The outcomes, of which each but *written* says why."""
    outcomes = list(directory.write(iter(changes)))
    assert all(outcome.why or outcome.result is Became.WRITTEN for outcome in outcomes)
    return outcomes
