"""The body of the agent query as a `Tenant`: every record becomes an `Agent` or an `InvalidRecord`, never an exception.

The field names, and what is tolerated in them, are those of the vendor's page of `queryAgentInfo`.

Nearly every tenant is well-formed, so the whole body is first decoded into strict types in one
go, which C does. Only if that fails does `record_faults.py` look at each record. JSON strings
cannot hold a C0 character unescaped (RFC 8259 §7), so single characters are looked at only in a
text that has certain escapes or octets.

JSON readers differ in which of two members of one name they take (RFC 8259 §4), and the decoder
takes the last. A text in which the names occur no more often than members were read has none
twice, unless names are spelt with escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Annotated, Final, Generic, TypeVar

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

from connector.errors import MalformedError
from connector.model import Agent, InvalidRecord, Secret, Tenant
from connector.model.nesting import too_deep
from connector.net.quoting import looks_like
from connector.sources.envelopes import ErrorEnvelope, read_member
from connector.sources.record_faults import (
    DIGITS,
    FIELDS,
    MAX_CHARACTERS,
    STAND_IN,
    examine_record,
    read_service_ip,
    read_service_port,
    without_blanks,
)

DELETE: Final = b"\x7f"
UNWELCOME: Final = (b"\xc2", b"\xe2\x80\xa8", b"\xe2\x80\xa9", b"\xef\xbf\xbe")
"""The octet that every C1 character begins with, U+2028, U+2029, U+FFFE: in UTF-8."""
ESCAPED: Final = re.compile(rb"\\(?:[bfnrt]|u00[0189]|u007[fF]|u202[89]|u[fF]{3}[eE])")
"""The same characters and the C0 ones, as escapes."""
ESCAPED_LETTER: Final = re.compile(rb"\\u00(?:[46][1-9a-fA-F]|[57][0-9aA])")
"""Escapes that a member's name may be spelt with: the names are made of letters."""
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
LEVELS: Final = 512
"""Arrays and objects in each other that are read, on every Python: unknown members may hold some."""
_TOO_DEEP: Final = "not an answer of the agent query: nested too deeply"
PLACE: Final = re.compile(r" \(byte (\d+)\)$")
SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")
ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_SHAPE: Final = (
    '{"agents": [{"workNo": 1001, "accountCode": "…"}, …]} (docs/job-file.md)'
)
"""The least that an answer has, for somebody who wrote the file by hand."""
Text = Annotated[str, Meta(max_length=MAX_CHARACTERS)]
Digits = Annotated[str, Meta(max_length=MAX_CHARACTERS, pattern=DIGITS)]
Number = Annotated[int, Meta(gt=0)]


class _FittingRecord(Struct, gc=False, rename="camel"):
    """A record that fits."""

    work_no: Number | Digits
    account_code: Text | UnsetType | None = UNSET
    sip_account: Text | UnsetType | None = UNSET
    sip_pwd: Text | UnsetType | None = UNSET

    def __repr__(self) -> str:
        return "<record>"  # it holds a password


R = TypeVar("R", _FittingRecord, Raw)


class _AgentAnswer(ErrorEnvelope, Generic[R], rename="camel"):
    """An answer: with its records, or with the octets of each."""

    sip_service_ip: Raw = Raw()
    sip_service_port: Raw = Raw()
    agents: list[R] | None = None


AnyAnswer = _AgentAnswer[_FittingRecord] | _AgentAnswer[Raw]


class _RawAgents(Struct):
    agents: Raw = Raw()


def decode_tenant(
    body: bytes,
    where: str,
    hide: Collection[str] = (),
    *,
    passwords: bool = True,
) -> Tenant:
    """Read the tenant in a body.

    `hide`: secrets that an error text of the other side must not repeat. Without `passwords`
    those of the agents are held to their shape like everything else, and forgotten. Raises
    MalformedError if the body as a whole is no answer of the agent query, or is an error in
    disguise.
    """
    text = check_encoding(body, where)
    answer = _parse_answer(text, where)
    _refuse_error(answer, where, hide, text)
    agents, invalid = _read_records(answer, passwords=passwords)
    notes: list[str] = []
    ip = read_service_ip(read_member(answer.sip_service_ip), notes)
    port = read_service_port(read_member(answer.sip_service_port), notes)
    return Tenant(agents, invalid, ip, port, notes)


# ---------------------------------------------------------------- the records


def _read_records(
    answer: AnyAnswer, *, passwords: bool
) -> tuple[list[Agent], list[InvalidRecord]]:
    """Read each record. They leave the answer, so that records and agents are not held twice."""
    records = [*(answer.agents or ())]
    answer.agents = None
    agents: list[Agent] = []
    invalid: list[InvalidRecord] = []
    number = 0
    records.reverse()
    while records:
        number += 1
        record = records.pop()
        if isinstance(record, _FittingRecord):
            agent = Agent(
                int(record.work_no),
                without_blanks(record.account_code or None),
                without_blanks(record.sip_account or None),
                Secret(record.sip_pwd) if record.sip_pwd and passwords else None,
            )
            agents.append(agent)
            continue
        judged = examine_record(record, number)
        if isinstance(judged, InvalidRecord):
            invalid.append(judged)
        else:
            agents.append(judged if passwords else replace(judged, sip_pwd=None))
    return agents, invalid


def _names_each_once(text: bytes, records: Sequence[_FittingRecord]) -> bool:
    """Tell whether names occur no more often than members, so that no record has one twice."""
    if ESCAPED_LETTER.search(text):
        return False
    for name, key in zip(FIELDS, _FittingRecord.__struct_fields__, strict=True):
        count = sum(getattr(record, key) is not UNSET for record in records)
        if text.count(f'"{name}"'.encode()) > count:
            return False
    return True


def _may_hold_unwelcome(text: bytes) -> bool:
    """Tell whether a string in it may hold an unwelcome character, escaped or in UTF-8."""
    if DELETE in text:
        return True
    if not text.isascii() and any(mark in text for mark in UNWELCOME):
        return True
    if b"\\" not in text:  # ten times as fast as a search for an escape
        return False
    # An escaped backslash may stand before such a letter: without those, a backslash that
    # is left escapes what follows.
    return ESCAPED.search(text.replace(rb"\\", b"")) is not None


# ---------------------------------------------------------------- the body as a whole


def check_encoding(body: bytes, where: str) -> bytes:
    """Return the body without a byte order mark and without lone surrogates.

    A stand-in takes the place of a surrogate that lacks its partner: that is well-formed JSON
    (RFC 8259 §8.2) but would make the decoder refuse the whole body.
    """
    text = body.removeprefix(BYTE_ORDER_MARK)
    place = None if text.isascii() else _find_invalid_utf8(text)
    if place is not None:
        what = f"not UTF-8 at byte {place + len(body) - len(text)}"
        hint = looks_like(body)
        if hint:
            what += f"; it looks like {hint}"
        raise MalformedError(what, where=where)
    if b"\\" in text and SURROGATE.search(text):
        stand_in = f"\\u{ord(STAND_IN):04x}".encode()
        text = ESCAPE.sub(lambda found: stand_in if found[1] else found[0], text)
    return text


def _find_invalid_utf8(text: bytes) -> int | None:
    try:
        text.decode()
    except UnicodeDecodeError as error:
        # the error itself holds the whole body and must not travel in an exception
        # chain
        return error.start
    return None


def _parse_answer(text: bytes, where: str) -> AnyAnswer:
    try:
        answer = _parse_members(text)
        fault = _find_fault(answer, text)
    except msgspec.ValidationError as error:
        fault = f"not an answer of the agent query, {_SHAPE}: {error}"
    except (msgspec.DecodeError, RecursionError) as error:
        fault = _describe_syntax(text, str(error))
        if too_deep(text, LEVELS):
            fault = _TOO_DEEP
    if fault:
        raise MalformedError(fault, where=where)
    return answer


def _parse_members(text: bytes) -> AnyAnswer:
    """Parse the answer: with its records, if they fit and none has a member twice."""
    if not _may_hold_unwelcome(text):
        # a record that does not fit is looked at by itself
        with suppress(msgspec.ValidationError):
            answer = msgspec.json.decode(text, type=_AgentAnswer[_FittingRecord])
            if _names_each_once(text, answer.agents or ()):
                return answer
    return msgspec.json.decode(text, type=_AgentAnswer[Raw])


def _find_fault(answer: AnyAnswer, text: bytes) -> str:
    objects = 0  # records that open a brace
    for record in answer.agents or ():
        if isinstance(record, _FittingRecord) or bytes(record).lstrip().startswith(
            b"{"
        ):
            objects += 1
    if too_deep(text, LEVELS, ordinary=objects):
        return _TOO_DEEP
    return _find_repeated_member(text)


def _find_repeated_member(text: bytes) -> str:
    """Tell which of its own members an answer has twice; empty if none.

    What stands in the last `agents` is left out.
    """
    last = msgspec.json.decode(text, type=_RawAgents).agents
    rest = text
    if last:
        rest = text.replace(last, b"null", 1)
    pairs = json.loads(rest, object_pairs_hook=list, parse_int=str)
    names = [name for name, _ in pairs]
    for name in _AgentAnswer.__struct_encode_fields__:
        if names.count(name) > 1:
            return f"the answer has {name} twice"
    return ""


def _describe_syntax(text: bytes, reason: str) -> str:
    hint = looks_like(text)
    if hint:
        return f"not JSON but {hint}"
    found = PLACE.search(reason)
    if found is not None:
        place = int(found[1])
        line = text.count(b"\n", 0, place) + 1
        words = reason[: found.start()].removeprefix("JSON is malformed: ")
        return f"not JSON at byte {place} (line {line}): {words}"
    if "truncated" in reason:
        return f"not JSON: cut off after byte {len(text)}"
    return f"not JSON: {reason}"


def _refuse_error(
    answer: AnyAnswer,
    where: str,
    hide: Collection[str],
    body: bytes,
) -> None:
    if answer.agents is not None and answer.is_success:
        return
    said = answer.describe_error(hide, body)
    if answer.agents is not None:
        why = f"agents together with an error, so perhaps incomplete: {said}"
    elif said:
        why = f"an error in place of agents: {said}"
    else:
        why = f"no `agents` in it. An answer is {_SHAPE}"
    raise MalformedError(why, where=where)
