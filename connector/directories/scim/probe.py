"""What a server does, tried out on a user that is made for it and removed again; only when somebody asks.

What a server announces is one thing; whether it heeds `If-Match`, how it empties an attribute, whether its pages and
filters can be relied on is another, and only seen by doing it. Only attributes that the job writes, and finds nobody
by, are tried: a user whose name was changed by its own probe could not even be named.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from http import HTTPStatus
from typing import Final
from uuid import uuid4

from msgspec.structs import replace

from connector.directories.scim import bodies, filters
from connector.directories.scim.answers import good, id_of, kind, listing, resource, said, version_of
from connector.directories.scim.dialect import announced
from connector.directories.scim.discovery import Discovery
from connector.directories.scim.edits import PATCH_OP, Edit, edited
from connector.directories.scim.effects import effects
from connector.directories.scim.paging import Params
from connector.directories.scim.paths import Json, Path, Resource, member, text_of
from connector.directories.scim.probe_paging import WORKS, paging
from connector.directories.scim.protocol import Answer, Method, Request, Transport
from connector.directories.scim.scratch import DOMAIN, Scratch
from connector.directories.scim.view import USER_NAME, Attributes, Located
from connector.model import View
from connector.runtime.stopping import Stop
from connector.settings.scim import ScimDirectory as Settings

_CANARY: Final = "probe-canary"
_NO_SUCH_METHOD: Final = (405, 501)
_NEVER_TRIED: Final = frozenset({"username", "id", "externalid", "active", "schemas", "meta"})

Tell = Callable[[str, str], None]
"""Is told what was tried, and what came of it."""


class Probe:
    """One server, tried out. Raises the kinds of IncompleteRead.

    `keys`: what users are matched by, which stays as it is. `anew` makes a way to the server. `dialect` is what was
    found, when `run` has ended; `replaceable`: the file of an earlier one, which may go.
    """

    def __init__(
        self,
        settings: Settings,
        transport: Transport,
        view: View,
        *,
        keys: Collection[str] = (),
        anew: Callable[[], Transport],
    ) -> None:
        discovery = Discovery(transport, settings.url)
        self._transport = transport
        self._discovery = discovery
        self._attributes = attributes = Attributes(view, discovery.schemas, settings.urn)
        held = {attributes.located(key).path.whole.lower() for key in keys}
        self._view = [each for each in attributes.view if not _why_not(each, held)]
        self._left_out = [(each.name, why) for each in attributes.view if (why := _why_not(each, held))]
        self._user = Scratch(transport, anew, discovery.users, discovery.schemas)
        self._demands = False
        self.replaceable = {settings.dialect} if settings.dialect else set()
        self.dialect = announced(discovery.features, discovery.schemas)

    def run(self, tell: Tell, stop: Stop) -> None:
        """Tell what was tried, and what came of it, as it is found; the user is removed whatever happens.

        Whoever asks to `stop` is heard between two trials.
        """
        stop.wait_for_the_end()
        try:
            self._user.make(self._discovery.extensions)
            tell("scratch user", f"made: {self._user.name}")
            for what, seen in self._tried():
                tell(what, seen)
                self.dialect = replace(self.dialect, found={**self.dialect.found, what: seen})
                if stop.why:
                    break
        except BaseException as fault:
            self._user.remove(after=fault)
            raise
        self._user.remove()
        tell("scratch user", "removed")

    def _tried(self) -> Iterator[tuple[str, str]]:
        for name, why in self._left_out:
            yield f"attribute {name}", f"not tried: {why}"
        now, _ = self._user.now()
        if member(now, "active") is True:
            yield "active", "the server creates users as active, against the request"
        yield from self._writing()
        yield from self._versions()
        yield from self._secrets()
        yield from self._filters()
        cursor = yield from paging(self._ask, announced=self._discovery.features.cursor)
        self.dialect = replace(self.dialect, cursor=cursor)
        yield "Bulk", self._bulk()

    def _bulk(self) -> str:
        """What is announced of it (RFC 7643 §5)."""
        features = self._discovery.features
        told = ((features.bulk_operations, "operations"), (features.bulk_octets, "octets"))
        limits = " and ".join(f"{number} {what}" for number, what in told if number is not None)
        if not features.bulk:
            return "not announced"
        return f"announced, {limits} at once; not used" if limits else "announced, without limits; not used"

    # ------------------------------------------------------------ writing to its user

    def _patch(self, *operations: Json) -> Answer:
        return self._write("PATCH", {"schemas": [PATCH_OP], "Operations": operations})

    def _put(self, path: Path, value: Json, version: str = "") -> Answer:
        return self._write("PUT", edited(self._user.now()[0], [Edit(path, value)]), version)

    def _set(self, path: Path, value: Json, version: str = "") -> Answer:
        """Set a value in the way in which users are written here."""
        if self.dialect.writes == "put":
            return self._put(path, value, version)
        return self._write("PATCH", bodies.body([Edit(path, value)], self.dialect, {}), version)

    def _write(self, method: Method, body: Json, version: str = "") -> Answer:
        """The answer; a server that demands a version (428) is told the right one, from then on."""
        if self._demands and not version:
            version = _version(*self._user.now())
        headers = (("If-Match", version),) if version else ()
        answer = self._transport.send(Request(method, self._user.address, body=body, headers=headers))
        if answer.status == HTTPStatus.PRECONDITION_REQUIRED and not (version or self._demands):
            self._demands = True
            return self._write(method, body, _version(*self._user.now()))
        return answer

    def _done(self, answer: Answer, path: Path, value: Json) -> str:
        """What came of setting a value at a path, or of emptying it."""
        if not good(answer):
            return f"refused: {said(answer)}"
        wanted = [] if value is None else [text_of(value)]
        done = self._user.comes_to(lambda now: list(path.values(now)) == wanted)
        return WORKS if done else "confirmed but not done"

    # ------------------------------------------------------------ what is tried

    def _subject(self) -> Located | None:
        """An attribute of the mapping that is written and shown, of one value; best a free text of an extension."""
        some = [each for each in self._view if each.shown and each.info.single and _value(each, 7) is not None]
        return min(some, key=_oddness, default=None)

    def _writing(self) -> Iterator[tuple[str, str]]:
        subject = self._subject()
        if subject is None:
            yield "PATCH", "not tried: the mapping writes no single text or number that is shown and not used to match"
            return
        path, whole = subject.path, str(subject.path)
        one, two, three, four = (_value(subject, number) for number in range(1, 5))
        before, _ = self._user.now()
        answer = self._patch({"op": "replace", "path": whole, "value": one})
        replaced = self._done(answer, path, one)
        if self._demands:
            yield "versions", "demanded of every write (428)"
        yield "PATCH replace", replaced
        if replaced == WORKS:
            self.dialect = replace(self.dialect, writes="patch")
        elif answer.status in _NO_SUCH_METHOD or not self._discovery.features.patch:
            yield from self._replacing(subject)
            return
        now, _ = self._user.now()
        lost = sorted(name for name in before if name not in {"meta", "schemas"} and not now.get(name) and before[name])
        yield "PATCH beside", f"takes away {', '.join(lost)}" if lost else "other values are kept"
        removed = self._done(self._patch({"op": "remove", "path": whole}), path, None)
        yield "PATCH remove", removed
        self._patch({"op": "replace", "path": whole, "value": two})
        nulled = self._done(self._patch({"op": "replace", "path": whole, "value": None}), path, None)
        yield "PATCH replace with null", nulled
        clearing = "remove" if removed == WORKS else "null" if nulled == WORKS else None
        self.dialect = replace(self.dialect, clearing=clearing)
        yield "PATCH add", self._done(self._patch({"op": "add", "path": whole, "value": three}), path, three)
        yield "PATCH of two operations", self._two_operations(path, one, two)
        if not path.sub:
            seen = self._without_a_path(path, four)
            yield "PATCH without a path", seen
            if seen == WORKS != replaced:
                self.dialect = replace(self.dialect, paths=False)
        yield "PATCH with a filter in the path", self._by_filter()

    def _two_operations(self, path: Path, one: Json, two: Json) -> str:
        """Whether a request may have several; where only one alone is understood, they are sent one by one."""
        both = [{"op": "replace", "path": str(path), "value": value} for value in (one, two)]
        seen = self._done(self._patch(*both), path, two)
        if seen != WORKS and self._done(self._patch(both[1]), path, two) == WORKS:
            self.dialect = replace(self.dialect, at_once=False)
        return seen

    def _without_a_path(self, path: Path, value: Json) -> str:
        before, _ = self._user.now()
        some = [Edit(path, value)]
        document = bodies.body(some, replace(self.dialect, paths=False), before)
        seen = self._done(self._write("PATCH", document), path, value)
        lost = effects(before, self._user.now()[0], some, self._attributes).lost
        return f"takes away {', '.join(lost)}" if lost else seen

    def _by_filter(self) -> str:
        """Whether one element of an attribute can be set by itself."""
        subject = next((each for each in self._view if each.path.tests and each.shown), None)
        if subject is None:
            return "not tried: the mapping writes no single element of an attribute"
        path = subject.path
        first, second = (_element(path, number) for number in (1, 2))
        sub = path.sub or "value"
        self._patch({"op": "replace", "path": path.whole, "value": [{**dict(path.tests), sub: first}]})
        return self._done(self._patch({"op": "replace", "path": str(path), "value": second}), path, second)

    def _replacing(self, subject: Located) -> Iterator[tuple[str, str]]:
        """Whether a PUT changes what it is to change, and nothing else (RFC 7644 §3.5.1)."""
        path, value = subject.path, _value(subject, 8)
        before, _ = self._user.now()
        seen = self._done(self._put(path, value), path, value)
        if seen == WORKS:
            some = [Edit(path, value)]
            found = effects(before, self._user.now()[0], some, self._attributes)
            if found:
                seen = f"takes away or changes {', '.join((*found.lost, *found.changed))}"
            elif not self._discovery.schemas.open:
                seen = f"{WORKS} for shown values; it may erase hidden ones"
        self.dialect = replace(self.dialect, writes="put" if seen == WORKS else "no")
        yield "PUT", seen

    def _versions(self) -> Iterator[tuple[str, str]]:
        """Whether a wrong version is refused and the right one is not (RFC 7644 §3.14)."""
        subject = self._subject()
        now, answer = self._user.now()
        version = _version(now, answer)
        heeded = False
        if not version:
            seen = "none are shown"
        elif subject is None:
            seen = "not tried: nothing of the mapping can be"
        elif self.dialect.writes == "no":
            seen = "not tried: there is no way to write"
        else:
            path, five, six = subject.path, _value(subject, 5), _value(subject, 6)
            wrong = self._set(path, five, 'W/"not-the-version"')
            right = self._set(path, six, version)
            heeded = wrong.status == HTTPStatus.PRECONDITION_FAILED and self._done(right, path, six) == WORKS
            seen = "heeded" if heeded else f"ignored: a wrong one is answered with {kind(wrong)}"
            if wrong.status == right.status == HTTPStatus.PRECONDITION_FAILED:
                seen = f"unusable: the server's own is answered with {kind(right)}"
        self.dialect = replace(self.dialect, versions=heeded)
        yield "versions (ETag, If-Match)", seen

    def _secrets(self) -> Iterator[tuple[str, str]]:
        """Whether what is `returned: never` is shown all the same."""
        for located in self._view:
            if not located.shown and isinstance(_value(located, 7), str):
                answer = self._set(located.path, _CANARY)
                _, read = self._user.now()
                shown = any(_CANARY.encode() in each.content for each in (answer, read))
                taken = "" if good(answer) else f"; refused: {said(answer)}"
                yield f"secret {located.path}", ("SHOWN" if shown else "never shown") + taken

    def _filters(self) -> Iterator[tuple[str, str]]:
        nobody = " or ".join(filters.equal(USER_NAME, uuid4().hex) for _ in range(24))
        mine = filters.equal(USER_NAME, self._user.name)
        yield "filter userName", self._found(mine)
        yield "filter userName in the other case", self._found(filters.equal(USER_NAME, self._user.name.upper()))
        yield "filter with 25 terms", self._found(f"{nobody} or {mine}")
        yield "filter id", self._found(filters.equal(Path("id"), self._user.id))
        subject = self._subject()
        if subject is not None and self.dialect.writes != "no":
            value = _value(subject, 9)
            self._set(subject.path, value)
            yield f"filter {subject.path}", self._found(filters.equal(subject.path, value))

    def _ask(self, params: Params) -> Answer:
        return self._transport.send(Request("GET", self._discovery.users, params, repeatable=True))

    def _found(self, text: str) -> str:
        answer = self._ask((("filter", text),))
        if not good(answer):
            return f"refused: {said(answer)}"
        page = listing(answer)
        ids = [id_of(resource(answer, raw)) for raw in page.resources]
        if self._user.id not in ids:
            return "finds nobody" if not ids else "finds others"
        return WORKS if len(ids) == 1 else f"ignored: finds {page.total} users"


def _why_not(located: Located, keys: Collection[str]) -> str:
    """Why an attribute is left as it is; empty: it can be tried."""
    whole = located.path.whole.lower()
    if whole in keys:
        return "users are matched by it"
    if whole in _NEVER_TRIED:
        return "it decides who the user is, or whether it may log in"
    return "" if located.info.writable else "no client may set it"


def _oddness(located: Located) -> tuple[bool, bool, bool, bool]:
    """The least odd is tried: a text, that may be any, of an extension, where nobody else's value can be in the way."""
    meant = located.found.meant if located.found else None
    odd = meant is not None and (meant.type.lower() != "string" or bool(meant.canonical_values))
    return odd, located.info.unique, not located.path.schema, bool(located.path.sub)


def _value(located: Located, number: int) -> Json:
    """A value of the attribute's type; None where nobody knows one that the server is sure to take."""
    match located.found.meant.type.lower() if located.found else "string":
        case "string":
            return f"probe-{number}"
        case "integer" | "decimal":
            return 90_000 + number
        case _:
            return None


def _element(path: Path, number: int) -> str:
    """A value for an element of an attribute: an address of e-mail, a number kept for fiction, or a text."""
    by_name = {"emails": f"probe-{number}@{DOMAIN}", "phonenumbers": f"+1202555010{number}"}
    return by_name.get(path.attribute.lower(), f"probe-{number}")


def _version(now: Resource, answer: Answer) -> str:
    return answer.headers.get("etag") or version_of(now)
