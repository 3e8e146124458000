"""The client's end of a connection to an LDAP server that is a script: whenever the client waits, the script answers.

Nothing runs beside the test, so that what had been sent by a moment, and what not, is never a matter of luck.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ldap3.protocol import rfc4511
from msgspec import Struct
from pyasn1.codec.ber import decoder
from pyasn1.error import PyAsn1Error, SubstrateUnderrunError

from connector.directories.common.ldap_filters import parse_filter
from connector.directories.ldap import ber, requests
from connector.directories.ldap.adapter import ChangeWriter, PostRead
from connector.directories.ldap.assertions import UserLooker
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.modifying import FILTER, ChangeModifier
from connector.directories.ldap.responses import DONE, ENTRY
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.model import ID, AttributeChange, Change, Holds, Question, User, UserRef, View
from tests.support.ldap_answers import COMPARED, MODIFIED

Attributes = Mapping[str, Sequence[str | bytes]]
WHERE = "ldap://ldap.example.org"
BASE = "dc=example"


class Asked(Struct, frozen=True):
    """A request, as ldap3 reads it.

    `edits`: how (`add`, `delete`, `replace`, or `compare`), of which attribute, which values; `controls`: whether it is
    critical, and its value, by number.
    """

    number: int
    kind: str
    name: str
    edits: list[tuple[str, str, list[bytes]]]
    controls: dict[str, tuple[bool, bytes]]
    attributes: list[str]


class Line(socket.socket):
    """`waiting`: requests that have no answer; `came`: all so far; `waits`: how many were waiting whenever it waited.

    The `searches` are no part of that: they find the root DSE, or the one of `entries` that they name, and end in the
    result that `judges` says: by default success. `ends`: the kind of message that they end in. `given_up`: the numbers
    of requests that the client has abandoned. `quiet`: nothing comes any more, and that is meant so.
    """

    def __init__(self, script: Callable[[Line], object], *controls: str, **entries: Attributes) -> None:
        """A connection to a server that has these controls and these entries, by their uid."""
        ours, self.other = socket.socketpair()
        super().__init__(fileno=ours.detach())
        self.other.setblocking(False)
        self.script = script
        self.root: Attributes = {"objectClass": ["OpenLDAProotDSE"], "supportedControl": list(controls)}
        self.entries: dict[str, Attributes] = {f"uid={uid},{BASE}": held for uid, held in entries.items()}
        self.waiting: list[Asked] = []
        self.came: list[Asked] = []
        self.waits: list[int] = []
        self.searches: list[Asked] = []
        self.judges: Callable[[Asked], int] = lambda asked: 0
        self.ends: Callable[[Asked, int], int] = lambda asked, code: DONE
        self.given_up: list[int] = []
        self.quiet = False
        self._octets = b""

    def recv(self, size: int, flags: int = 0) -> bytes:
        """What the server has answered by now. The test has failed where that is nothing, and nothing will come."""
        self.take()
        if self.waiting:
            self.waits.append(len(self.waiting))
            self.script(self)
        try:
            return super().recv(size, flags)
        except BlockingIOError:
            if self.quiet:
                raise
            raise AssertionError("the client waits for an answer that will never come") from None

    def take(self) -> None:
        """Take in what has been sent, and answer searches."""
        try:
            self._octets += self.other.recv(1 << 20)
        except OSError:
            return
        while self._octets:
            try:
                message, rest = decoder.decode(self._octets, asn1Spec=rfc4511.LDAPMessage())
                asked = _asked(message)
            except SubstrateUnderrunError:
                return
            except PyAsn1Error:
                asked, rest = _search_for_what_is_not(self._octets)
            self._octets = rest
            if asked.kind == "searchRequest":
                self._search(asked)
            elif asked.kind == "abandonRequest":
                number = int(message["protocolOp"].getComponent())
                self.given_up.append(number)
                self.waiting = [each for each in self.waiting if each.number != number]
            elif asked.kind in {"modifyRequest", "compareRequest"}:
                self.came.append(asked)
                self.waiting.append(asked)

    def _search(self, asked: Asked) -> None:
        self.searches.append(asked)
        held = self.entries.get(asked.name) if asked.name else self.root
        code = self.judges(asked)
        if held is not None and not code:
            self.say(asked.number, entry(asked.name, held))
        self.say(asked.number, _result(self.ends(asked, code), code))

    # ------------------------------------------------------------ for scripts

    def answer(self, asked: Asked, code: int = 0, words: str = "", control: bytes = b"") -> None:
        """Answer a request."""
        self.waiting.remove(asked)
        self.say(asked.number, _result(COMPARED if asked.kind == "compareRequest" else MODIFIED, code, words), control)

    def say(self, number: int, operation: bytes, control: bytes = b"") -> None:
        """Send any message."""
        self.other.send(requests.encode_message(number, operation, [control] if control else []))

    def cut(self) -> None:
        """Hang up."""
        self.other.close()


def _asked(message: Any) -> Asked:
    kind, operation = message["protocolOp"].getName(), message["protocolOp"].getComponent()
    name, edits, attributes = "", [], []
    if kind == "searchRequest":
        name, attributes = str(operation["baseObject"]), [str(each) for each in operation["attributes"]]
    elif kind == "compareRequest":
        name, part = str(operation["entry"]), operation["ava"]
        edits = [("compare", str(part["attributeDesc"]), [bytes(part["assertionValue"])])]
    elif kind == "modifyRequest":
        name = str(operation["object"])
        for each in operation["changes"]:
            part = each["modification"]
            how = ("add", "delete", "replace")[int(each["operation"])]
            edits.append((how, str(part["type"]), [bytes(value) for value in part["vals"]]))
    controls = {
        str(each["controlType"]): (bool(each["criticality"]), bytes(each["controlValue"]))
        for each in (message["controls"] if message["controls"].isValue else ())
    }
    return Asked(int(message["messageID"]), kind, name, edits, controls, attributes)


def _search_for_what_is_not(octets: bytes) -> tuple[Asked, bytes]:
    """A search whose filter has a `not`, which ldap3 cannot read; and the octets behind it."""
    at, end = ber.find_element(octets, 0, len(octets), ber.SEQUENCE)
    number, at = ber.find_element(octets, at, end, ber.INTEGER)
    start, stop = ber.find_content(octets, at + 1, end)
    parts = []
    while start < stop:
        begun, start = ber.find_content(octets, start + 1, stop)
        parts.append(octets[begun:start])
    (base, *_, listed), names = parts, []
    at = 0
    while at < len(listed):
        begun, at = ber.find_element(listed, at, len(listed), ber.OCTETS)
        names.append(listed[begun:at].decode())
    return Asked(octets[number], "searchRequest", base.decode(), [], {}, names), octets[end:]


def asked_of(operation: bytes, controls: Iterable[bytes] = ()) -> Asked:
    """A request, as ldap3 reads it."""
    octets = requests.encode_message(1, operation, controls)
    return _asked(decoder.decode(octets, asn1Spec=rfc4511.LDAPMessage())[0])


def entry(name: str, attributes: Attributes) -> bytes:
    """A search result entry."""
    listed = (
        ber.encode_sequence((_octets(kind), ber.encode_sequence(map(_octets, values), ber.SET)))
        for kind, values in attributes.items()
    )
    return ber.encode_sequence((_octets(name), ber.encode_sequence(listed)), ENTRY)


def post_read(name: str, attributes: Attributes) -> bytes:
    """The control beside an answer that shows an entry (RFC 4527)."""
    return ber.encode_sequence((_octets(requests.POST_READ), _octets(entry(name, attributes))))


def _result(tag: int, code: int, words: str = "") -> bytes:
    return ber.encode_sequence((ber.encode_integer(code, ber.ENUMERATED), _octets(""), _octets(words)), tag)


def _octets(value: str | bytes) -> bytes:
    return ber.encode_tlv(ber.OCTETS, value if isinstance(value, bytes) else value.encode())


# ---------------------------------------------------------------- the program's side

VIEW = View(("uid", "employeeNumber", "description", "facsimileTelephoneNumber"))


def writer(
    line: Line,
    *,
    window: int = 8,
    filter_: str = "(uid=*)",
    view: View = VIEW,
    timeout: float = 5,
    covers: Callable[[str], bool] = lambda name: True,
    read: Callable[[Iterable[UserRef]], Iterator[User]] = lambda users: iter(()),
    holds: Callable[[Iterable[Question]], Iterator[Holds]] = lambda questions: iter(()),
    proven: Iterable[str] | None = None,
) -> ChangeWriter:
    """What writes changes over this connection, put together as an LDAP directory does it.

    `proven`: the attributes of which assertions are believed from the beginning; else all.
    """
    wire = Wire(line, WHERE, timeout)
    inspection = Inspection(wire, BASE)
    filter_of_the_job = parse_filter(filter_)
    modifier = ChangeModifier(inspection.dialect, filter_of_the_job, inspection.info, inspection.has_substrings)
    looker = UserLooker(wire, modifier, read, holds)
    looker.proven |= {ID, FILTER, *(view.attributes if proven is None else proven)}
    return ChangeWriter(
        wire,
        modifier,
        PostRead(inspection, UserDecoder(view, inspection), filter_of_the_job),
        window=window,
        covers=covers,
        looker=looker,
    )


def person(number: int) -> UserRef:
    """An invented user."""
    return UserRef(f"id-{number}", f"uid=u{number},{BASE}")


def change(number: int, *attributes: AttributeChange) -> Change:
    """A change of one: of a number from nothing to something, where nothing else is said."""
    return Change(person(number), None, 1, attributes or (AttributeChange("employeeNumber", (), ("7",)),))
