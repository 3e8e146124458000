"""What a server does, tried out on a user that is made for it and removed again; only when somebody asks.

What a server announces is one thing; whether it heeds `If-Match`, how it empties an attribute, whether its pages and
filters can be relied on is another, and only seen by doing it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final
from urllib.parse import quote
from uuid import uuid4

from msgspec.structs import replace

from connector.directories.scim import filters
from connector.directories.scim.answers import NOT_FOUND, failure, good, id_of, listing, resource, said
from connector.directories.scim.attributes import Attributes, Located
from connector.directories.scim.dialect import announced
from connector.directories.scim.discovery import Discovery
from connector.directories.scim.edits import PATCH_OP, Edit, edited
from connector.directories.scim.effects import effects
from connector.directories.scim.paging import Params
from connector.directories.scim.paths import CORE, Json, Path, Resource
from connector.directories.scim.port import Answer, LostAnswerError, Method, Request, Transport
from connector.directories.scim.probe_paging import WORKS, paging
from connector.errors import IncompleteRead
from connector.model import View
from connector.settings.scim import ScimDirectory as Settings

NAME: Final = "cec-connector-probe"
_CANARY: Final = "probe-canary"
_NO_SUCH_METHOD: Final = (405, 501)


class Probe:
    """One server, tried out. Raises the kinds of IncompleteRead.

    `dialect` is what was found, when `run` has ended; `replaceable`: the file of an earlier one, which may go.
    """

    def __init__(self, settings: Settings, transport: Transport, view: View) -> None:
        discovery = Discovery(transport, settings.url)
        self._transport = transport
        self._endpoint = discovery.users
        self._features = discovery.features
        self._open = discovery.schemas.open
        self._attributes = Attributes(view, discovery.schemas, settings.urn)
        self._view = [each for each in self._attributes.view if each.info.writable]
        self._name = f"{NAME}-{uuid4().hex[:12]}"
        self._id = ""
        self.replaceable = {settings.dialect} if settings.dialect else set()
        self.dialect = announced(discovery.features, discovery.schemas)

    def run(self) -> Iterator[tuple[str, str]]:
        """What was tried, and what came of it, as it is found; the user is removed whatever happens."""
        self._id = self._made()
        try:
            yield from self._noted("scratch user", f"made: {self._name}")
            for what, seen in self._tried():
                yield from self._noted(what, seen)
        finally:
            self._remove()
        yield from self._noted("scratch user", "removed")

    def _noted(self, what: str, seen: str) -> Iterator[tuple[str, str]]:
        yield what, seen
        if what != "scratch user":
            self.dialect = replace(self.dialect, found={**self.dialect.found, what: seen})

    def _tried(self) -> Iterator[tuple[str, str]]:
        yield from self._writing()
        yield from self._versions()
        yield from self._secrets()
        yield from self._filters()
        cursor = yield from paging(self._ask, announced=self._features.cursor)
        self.dialect = replace(self.dialect, cursor=cursor)
        yield "Bulk", self._bulk()

    def _bulk(self) -> str:
        """What is announced of it (RFC 7643 §5)."""
        told = ((self._features.bulk_operations, "operations"), (self._features.bulk_octets, "octets"))
        limits = " and ".join(f"{number} {what}" for number, what in told if number is not None)
        if not self._features.bulk:
            return "not announced"
        return f"announced, {limits} at once; not used" if limits else "announced, without limits; not used"

    # ------------------------------------------------------------ the scratch user

    @property
    def _address(self) -> str:
        return f"{self._endpoint}/{quote(self._id, safe='')}"

    def _made(self) -> str:
        body = {
            "schemas": [CORE], "userName": self._name, "displayName": self._name, "active": False,
            "name": {"givenName": "Probe", "familyName": self._name},
            "emails": [{"value": f"{self._name}@example.invalid", "type": "work", "primary": True}],
        }  # fmt: skip
        try:
            answer = self._transport.send(Request("POST", self._endpoint, body=body))
        except LostAnswerError as fault:
            why = f"{fault.what}; the probe's user {self._name} may have been made: look for it, and remove it"
            raise IncompleteRead(why, where=fault.where) from None
        if not good(answer):
            raise failure(answer, "a user to be made for the probe")
        return id_of(resource(answer))

    def _remove(self) -> None:
        """Remove the user, or say that somebody has to."""
        try:
            answer = self._transport.send(Request("DELETE", self._address, repeatable=True))
        except IncompleteRead as fault:
            why, where = fault.what, fault.where
        else:
            if good(answer) or answer.status == NOT_FOUND:
                return
            why, where = said(answer), answer.where
        raise IncompleteRead(f"the probe's user {self._name} could not be removed: {why}; remove it", where=where)

    def _now(self) -> tuple[Resource, Answer]:
        answer = self._transport.send(Request("GET", self._address, repeatable=True))
        if not good(answer):
            raise failure(answer, "the probe's user")
        return resource(answer), answer

    def _patch(self, *operations: Json, version: str = "") -> Answer:
        return self._write("PATCH", {"schemas": [PATCH_OP], "Operations": operations}, version)

    def _put(self, path: Path, value: Json, version: str = "") -> Answer:
        return self._write("PUT", edited(self._now()[0], [Edit(path, value)]), version)

    def _set(self, path: Path, value: str, version: str = "") -> Answer:
        """Set a value in the way in which users are written here."""
        if self.dialect.writes == "put":
            return self._put(path, value, version)
        return self._patch({"op": "replace", "path": str(path), "value": value}, version=version)

    def _write(self, method: Method, body: Json, version: str) -> Answer:
        headers = (("If-Match", version),) if version else ()
        return self._transport.send(Request(method, self._address, body=body, headers=headers))

    def _done(self, answer: Answer, path: Path, value: Json) -> str:
        """What came of setting a value at a path, or of emptying it."""
        if not good(answer):
            return f"refused: {said(answer)}"
        now, _ = self._now()
        wanted = [] if value is None else [str(value)]
        return WORKS if list(path.values(now)) == wanted else "answered with yes and not done"

    # ------------------------------------------------------------ what is tried

    def _subject(self) -> Located | None:
        """An attribute of the mapping that is written and shown: of text, and of one value."""
        texts = [each for each in self._view if each.shown and each.info.single and each.json("7") == "7"]
        return next((each for each in texts if each.path.schema), next(iter(texts), None))

    def _writing(self) -> Iterator[tuple[str, str]]:
        subject = self._subject()
        if subject is None:
            yield "PATCH", "not tried: the mapping writes no single text that is shown"
            return
        path, whole = subject.path, str(subject.path)
        before, _ = self._now()
        answer = self._patch({"op": "replace", "path": whole, "value": "probe-1"})
        replaced = self._done(answer, path, "probe-1")
        yield "PATCH replace", replaced
        if replaced == WORKS:
            self.dialect = replace(self.dialect, writes="patch")
        elif answer.status in _NO_SUCH_METHOD or not self._features.patch:
            yield from self._replacing(path)
            return
        now, _ = self._now()
        lost = sorted(name for name in before if name not in {"meta", "schemas"} and not now.get(name) and before[name])
        yield "PATCH beside", f"takes away {', '.join(lost)}" if lost else "what stands beside is kept"
        removed = self._done(self._patch({"op": "remove", "path": whole}), path, None)
        yield "PATCH remove", removed
        self._patch({"op": "replace", "path": whole, "value": "probe-2"})
        nulled = self._done(self._patch({"op": "replace", "path": whole, "value": None}), path, None)
        yield "PATCH replace with null", nulled
        clearing = "remove" if removed == WORKS else "null" if nulled == WORKS else None
        self.dialect = replace(self.dialect, clearing=clearing)
        yield "PATCH add", self._done(self._patch({"op": "add", "path": whole, "value": "probe-3"}), path, "probe-3")
        if not path.sub:
            value = {path.schema: {path.attribute: "probe-4"}} if path.schema else {path.attribute: "probe-4"}
            answer = self._patch({"op": "replace", "value": value})
            yield "PATCH without a path", self._done(answer, path, "probe-4")
        phone = 'phoneNumbers[type eq "work"].value'
        self._patch({"op": "replace", "path": "phoneNumbers", "value": [{"type": "work", "value": "1"}]})
        answer = self._patch({"op": "replace", "path": phone, "value": "2"})
        yield "PATCH with a filter in the path", self._done(answer, Path.parse(phone), "2")

    def _replacing(self, path: Path) -> Iterator[tuple[str, str]]:
        """Whether a PUT changes what it is to change, and nothing else (RFC 7644 §3.5.1)."""
        before, _ = self._now()
        seen = self._done(self._put(path, "probe-put"), path, "probe-put")
        if seen == WORKS:
            some = [Edit(path, "probe-put")]
            found = effects(before, self._now()[0], some, self._attributes)
            if found:
                seen = f"takes away or changes {', '.join((*found.lost, *found.changed))}"
            elif not self._open:
                seen = f"{WORKS}, as far as is shown: what is never shown it may take away"
        self.dialect = replace(self.dialect, writes="put" if seen == WORKS else "no")
        yield "PUT", seen

    def _versions(self) -> Iterator[tuple[str, str]]:
        """Whether a wrong version is refused and the right one is not (RFC 7644 §3.14)."""
        subject = self._subject()
        now, answer = self._now()
        meta = now.get("meta")
        version = answer.headers.get("etag") or (str(meta.get("version", "")) if isinstance(meta, dict) else "")
        heeded = False
        if not version or subject is None:
            seen = "none are shown"
        elif self.dialect.writes == "no":
            seen = "not tried: there is no way to write"
        else:
            path = subject.path
            wrong = self._set(path, "probe-5", 'W/"not-the-version"')
            right = self._set(path, "probe-6", version)
            heeded = wrong.status == 412 and self._done(right, path, "probe-6") == WORKS
            seen = "heeded" if heeded else f"not heeded: a wrong one is answered with {said(wrong)}"
        self.dialect = replace(self.dialect, versions=heeded)
        yield "versions (ETag, If-Match)", seen

    def _secrets(self) -> Iterator[tuple[str, str]]:
        """Whether what is `returned: never` is shown all the same."""
        for located in self._view:
            if not located.shown:
                answer = self._set(located.path, _CANARY)
                _, read = self._now()
                shown = any(_CANARY.encode() in each.content for each in (answer, read))
                taken = "" if good(answer) else f"; refused: {said(answer)}"
                yield f"secret {located.path}", ("SHOWN" if shown else "never shown") + taken

    def _filters(self) -> Iterator[tuple[str, str]]:
        nobody = " or ".join(filters.equal(Path("userName"), uuid4().hex) for _ in range(24))
        mine = filters.equal(Path("userName"), self._name)
        yield "filter userName", self._found(mine)
        yield "filter userName in the other case", self._found(filters.equal(Path("userName"), self._name.upper()))
        yield "filter with 25 terms", self._found(f"{nobody} or {mine}")
        yield "filter id", self._found(filters.equal(Path("id"), self._id))
        subject = self._subject()
        if subject is not None and subject.path.schema:
            self._set(subject.path, self._name)
            yield f"filter {subject.path}", self._found(filters.equal(subject.path, self._name))

    def _ask(self, params: Params) -> Answer:
        return self._transport.send(Request("GET", self._endpoint, params, repeatable=True))

    def _found(self, text: str) -> str:
        answer = self._ask((("filter", text),))
        if not good(answer):
            return f"refused: {said(answer)}"
        page = listing(answer)
        ids = [id_of(resource(answer, raw)) for raw in page.resources]
        if self._id not in ids:
            return "finds nobody" if not ids else "finds others"
        return WORKS if len(ids) == 1 else f"ignored: finds {page.total} users"
