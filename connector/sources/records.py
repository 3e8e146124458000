"""The body of the agent query as a `Tenant`: every record becomes an `Agent` or an `Invalid`, never an exception.

The field names, and what is tolerated in them, are those of the vendor's page of `queryAgentInfo`.

Nearly every tenant is well-formed, so the whole body is first decoded into strict types in
one go, which C does. Only if that fails are records decoded one by one, and only one that
does not fit is looked at by `record_faults.py`. JSON strings cannot hold a C0 character
unescaped (RFC 8259 §7), so single characters are looked at only in a body that has certain
escapes or octets.

JSON readers differ in which of two members of one name they take (RFC 8259 §4), and the
decoder takes the last. Each member has a colon, however its name is spelt: a body without
more colons than members that were taken says none twice.
"""

from __future__ import annotations

import gc
import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from operator import attrgetter, countOf
from typing import Annotated, Final, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

from connector.errors import MalformedError
from connector.model import Agent, Invalid, Secret, Tenant
from connector.model.nesting import too_deep
from connector.net.quoting import looks_like
from connector.sources import record_faults
from connector.sources.envelopes import Envelope, value

T = TypeVar("T")

BATCH: Final = 1000
DELETE: Final = b"\x7f"
UNWELCOME: Final = (b"\xc2", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xef\xbf\xbe")
"""The octet that every C1 character begins with, U+2028, U+2029, U+FFFE: in UTF-8."""
_BLANK: Final = (b'" ', rb'"\u0020')
"""A text of spaces begins so. Elsewhere it is rare."""
ESCAPED: Final = re.compile(rb"\\(?:[bfnrt]|u00[0189]|u007[fF]|u202[89]|u[fF]{3}[eE])")
"""The same characters and the C0 ones, as escapes."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
LEVELS: Final = 512
"""What is read of arrays and objects in each other, on every Python: unknown members may
hold some."""
_SHAPE: Final = (
    '{"agents": [{"workNo": 1001, "accountCode": "…"}, …]} (docs/job-file.md)'
)
"""The least that an answer has, for somebody who wrote the file by hand."""
_TOO_DEEP: Final = "not an answer of the agent query: nested too deeply"
PLACE: Final = re.compile(r" \(byte (\d+)\)$")
SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

ESCAPED_LETTER: Final = re.compile(rb"\\u00(?:[46][1-9a-fA-F]|[57][0-9aA])")
"""Escapes that a member's name may be spelt with: the names are made of letters."""

Text = Annotated[str, Meta(max_length=record_faults.MAX_CHARACTERS)]
Digits = Annotated[
    str, Meta(max_length=record_faults.MAX_CHARACTERS, pattern=record_faults.DIGITS)
]


class _Record(Struct, gc=False, rename="camel"):
    """`_Full` is tried first: that it fits says of each member that it is there, which costs a while to count."""

    work_no: Annotated[int, Meta(gt=0)] | Digits
    account_code: Text | UnsetType | None = UNSET
    sip_account: Text | UnsetType | None = UNSET
    sip_pwd: Text | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return "<record>"  # it holds a password


class _Full(Struct, gc=False, rename="camel"):
    work_no: Annotated[int, Meta(gt=0)] | Digits
    account_code: Text | None
    sip_account: Text | None
    sip_pwd: Text | None

    def __repr__(self) -> str:
        return "<record>"  # it holds a password


_Records = list[_Full] | list[_Record]


class _Answer(Envelope, rename="camel"):
    sip_service_ip: Raw = Raw()
    sip_service_port: Raw = Raw()

    def colons(self) -> int:
        """How many colons the members take, but for `agents`, which has one."""
        others = (
            getattr(self, name) for name in self.__struct_fields__ if name != "agents"
        )
        return 1 + sum(1 + bytes(raw).count(b":") for raw in others if raw)


class _Whole(_Answer, rename="camel"):
    agents: list[_Record] | None = None


class _AllFull(_Answer, rename="camel"):
    agents: list[_Full] | None = None


class _OneByOne(_Answer, rename="camel"):
    agents: list[Raw] | None = None


class _Agents(Struct):
    agents: Raw = Raw()


def decode(
    body: bytes, where: str, hide: Collection[str] = (), *, passwords: bool = True
) -> Tenant:
    """The tenant in a body; `hide`: secrets that an error text of the other side must not repeat.

    Without `passwords` those of the agents are held to their shape like everything else,
    and forgotten. Raises MalformedError if the body as a whole is no answer of the agent
    query, or is an error in disguise.
    """
    text = _utf8(body, where)
    notes: list[str] = []
    with _no_collector():
        answer = _parsed(text, where)
        _no_error(answer, where, hide, text)
        agents, invalid = (
            _sifted(answer, passwords)
            if isinstance(answer, _OneByOne)
            else _all(answer, passwords)
        )
        agents = (
            list(map(_without_blanks, agents))
            if any(each in text for each in _BLANK)
            else agents
        )
        ip = record_faults.service_ip(value(answer.sip_service_ip), notes)
        port = record_faults.service_port(value(answer.sip_service_port), notes)
    return Tenant(agents, invalid, ip, port, notes)


def _all(
    answer: _AllFull | _Whole, passwords: bool
) -> tuple[list[Agent], list[Invalid]]:
    agents: list[Agent] = []
    # lists are invariant, and nothing is put into this one
    records: list[_Full | _Record] = answer.agents or []  # type: ignore[assignment]  # invariant
    for batch in _batches(records):
        agents += _made(batch, passwords)
    return agents, []


def _sifted(answer: _OneByOne, passwords: bool) -> tuple[list[Agent], list[Invalid]]:
    agents, invalid, number = list[Agent](), list[Invalid](), 0
    for batch in _batches(answer.agents or []):
        text = b"[%b]" % b",".join(batch)
        if not _suspicious(text):
            with suppress(msgspec.DecodeError):  # one of these does not fit
                records = msgspec.json.decode(text, type=list[_Record])
                said = _said(records)
                if text.count(b":") == sum(said.values()) or _named_once(text, said):
                    agents += _made(records, passwords)
                    number += len(batch)
                    continue
        for raw in batch:
            number += 1
            judged = record_faults.examine(raw, number)
            if isinstance(judged, Agent):
                agents.append(judged if passwords else replace(judged, sip_pwd=None))
            else:
                invalid.append(judged)
    return agents, invalid


def _without_blanks(agent: Agent) -> Agent:
    """The agent; an account or a SIP number of spaces alone is as good as absent."""
    account, number = agent.account_code, agent.sip_account
    if account and not account.strip(" "):
        agent = replace(agent, account_code=None)
    return (
        replace(agent, sip_account=None) if number and not number.strip(" ") else agent
    )


def _made(records: Sequence[_Full | _Record], passwords: bool) -> list[Agent]:
    return [
        Agent(
            number if type(number := record.work_no) is int else int(number),
            record.account_code or None,
            record.sip_account or None,
            Secret(password) if passwords and (password := record.sip_pwd) else None,
        )
        for record in records
    ]


def _said(records: _Records) -> Mapping[str, int]:
    """How many of these records say each member."""
    size = len(records)
    if records and isinstance(records[0], _Full):
        return dict.fromkeys(record_faults.FIELDS, size)
    optional = ("account_code", "sip_account", "sip_pwd")
    counts = (
        size,
        *(size - countOf(map(attrgetter(name), records), UNSET) for name in optional),
    )
    return dict(zip(record_faults.FIELDS, counts, strict=True))


def _named_once(text: bytes, said: Mapping[str, int]) -> bool:
    """Whether the names occur no more often than records say them, so that none of these says one twice."""
    if ESCAPED_LETTER.search(text):
        return False
    return all(
        text.count(f'"{name}"'.encode()) == times for name, times in said.items()
    )


def _suspicious(text: bytes) -> bool:
    """Whether a string in it may hold a character that is not welcome, escaped or in UTF-8."""
    if DELETE in text or (
        not text.isascii() and any(mark in text for mark in UNWELCOME)
    ):
        return True
    if (
        b"\\" not in text or ESCAPED.search(text) is None
    ):  # the former is looked for ten times as fast
        return False
    # An escaped backslash may stand before such a letter: without those, a backslash that
    # is left escapes what follows.
    return ESCAPED.search(text.replace(rb"\\", b"")) is not None


def _batches(items: list[T]) -> Iterator[list[T]]:
    """The list in slices, which leave it as they are taken: records and the agents made of them are not held twice."""
    items.reverse()
    while items:
        batch = items[-BATCH:]
        del items[-BATCH:]
        batch.reverse()
        yield batch


@contextmanager
def _no_collector() -> Iterator[None]:
    """Without cyclic garbage collection: a million new objects, none in a cycle, would be walked again and again."""
    on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if (
            gc.get_count()[0] > 50 * BATCH
        ):  # nor are they walked later; they are freed as ever
            gc.freeze()
        if on:
            gc.enable()


# ---------------------------------------------------------------- the body as a whole


def _utf8(body: bytes, where: str) -> bytes:
    """The body without a byte order mark, and with a stand-in for every surrogate that lacks its partner.

    Such a surrogate is well-formed JSON (RFC 8259 §8.2) but would make the decoder refuse
    the whole body.
    """
    text = body.removeprefix(BYTE_ORDER_MARK)
    if not text.isascii():
        place = _invalid_utf8(text)
        if place is not None:
            hint = looks_like(body)
            place += len(body) - len(text)
            raise MalformedError(
                f"not UTF-8 at byte {place}"
                + (f"; it looks like {hint}" if hint else ""),
                where=where,
            )
    if b"\\" in text and SURROGATE.search(text):
        stand_in = f"\\u{ord(record_faults.STAND_IN):04x}".encode()
        text = ESCAPE.sub(lambda found: stand_in if found[1] else found[0], text)
    return text


def _invalid_utf8(text: bytes) -> int | None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        # the error itself holds the whole body and must not travel in an exception
        # chain
        return error.start
    return None


def _parsed(text: bytes, where: str) -> _AllFull | _Whole | _OneByOne:
    try:
        return _taken(text, where)
    except msgspec.ValidationError as error:
        fault = f"not an answer of the agent query, {_SHAPE}: {error}"
    except (msgspec.DecodeError, RecursionError) as error:
        fault = _TOO_DEEP if too_deep(text, LEVELS) else _not_json(text, str(error))
    raise MalformedError(fault, where=where)


def _taken(text: bytes, where: str) -> _AllFull | _Whole | _OneByOne:
    """The answer: with its records, if they fit and none says a member twice, else with their octets."""
    whole = None if _suspicious(text) else _at_once(text)
    said = {} if whole is None else _said(whole.agents or [])
    if whole is not None and text.count(b":") == whole.colons() + sum(said.values()):
        return whole
    answer = (
        whole
        if whole is not None and _named_once(text, said)
        else msgspec.json.decode(text, type=_OneByOne)
    )
    objects = sum(
        not isinstance(each, Raw) or bytes(each).lstrip()[:1] == b"{"
        for each in answer.agents or ()
    )
    if too_deep(text, LEVELS, ordinary=objects):
        raise MalformedError(_TOO_DEEP, where=where)
    _said_once(text, where)
    return answer


def _at_once(text: bytes) -> _AllFull | _Whole | None:
    """The answer, if all of its records fit."""
    with suppress(msgspec.ValidationError):  # some record lacks a member
        return msgspec.json.decode(text, type=_AllFull)
    with suppress(
        msgspec.ValidationError
    ):  # some record does not fit, or the answer itself: see which
        return msgspec.json.decode(text, type=_Whole)
    return None


def _said_once(text: bytes, where: str) -> None:
    """Refuse an answer that says one of its own members twice. What stands in the last `agents` is left out."""
    last = msgspec.json.decode(text, type=_Agents).agents
    rest = text.replace(last, b"null", 1) if last else text
    names = [
        name for name, _ in json.loads(rest, object_pairs_hook=list, parse_int=str)
    ]
    for name in _OneByOne.__struct_encode_fields__:
        if names.count(name) > 1:
            raise MalformedError(f"the answer has {name} twice", where=where)


def _not_json(text: bytes, reason: str) -> str:
    hint = looks_like(text)
    if hint:
        return f"not JSON but {hint}"
    found = PLACE.search(reason)
    if found is None:
        return (
            f"not JSON: cut off after byte {len(text)}"
            if "truncated" in reason
            else f"not JSON: {reason}"
        )
    place = int(found[1])
    line = text.count(b"\n", 0, place) + 1
    return f"not JSON at byte {place} (line {line}): {reason[: found.start()].removeprefix('JSON is malformed: ')}"


def _no_error(
    answer: _AllFull | _Whole | _OneByOne,
    where: str,
    hide: Collection[str],
    body: bytes,
) -> None:
    if answer.agents is not None and answer.success:
        return
    said = answer.describe(hide, body)
    if answer.agents is None:
        why = (
            f"an error in place of agents: {said}"
            if said
            else f"no `agents` in it. An answer is {_SHAPE}"
        )
        raise MalformedError(why, where=where)
    raise MalformedError(
        f"agents together with an error, so perhaps incomplete: {said}", where=where
    )
