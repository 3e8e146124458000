"""The tenant's account list: mail address, phone, name and type of each account, joined to the agents by account.

The list is that of the vendor's page of `agentAccount/query` (cec_07_0023). Every field of it is
optional, page sizes have no documented maximum, and samples and table of the page disagree: so it
is read whole or not at all, and what it masks or lacks is unknown, never absent.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from functools import partial
from itertools import count
from typing import Any, Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType
from msgspec.structs import replace

from connector.errors import NOT_JSON, IncompleteRead, MalformedError
from connector.model import Account, AccountList, Agent, Tenant
from connector.model.nesting import too_deep
from connector.net.quoting import looks_like
from connector.sources.envelopes import ErrorEnvelope
from connector.sources.record_faults import (
    MAX_CHARACTERS,
    find_character_fault,
    read_number,
)
from connector.sources.records import ESCAPED_LETTER, LEVELS, check_encoding

MASK: Final = "*"
"""A text that holds it is masked, such as `t**@*****.com` of the vendor's samples."""
NO_ACCOUNTS: Final = (
    "no list of `accounts` in it: with `source.accounts` a file has one beside `agents`"
)
_MEMBERS: Final = {
    "email": "email",
    "phone": "phone",
    "userName": "user_name",
    "agentType": "agent_type",
    "role": "role",
    "skill": "skills",
}
"""Fields of templates and selections, with the members of a record."""


class AccountRecord(Struct, gc=False, rename="camel"):
    """A record of the list, as it is there."""

    user_account: Any = UNSET
    user_name: Any = UNSET
    email: Any = UNSET
    phone: Any = UNSET
    agent_type: Any = UNSET
    cc_role_id: Any = UNSET
    skills: Any = UNSET
    work_no: Any = UNSET


class AccountPage(Struct, frozen=True):
    """One page of the list."""

    records: list[AccountRecord]
    total: int | None
    """Records of the whole list; None: the page does not say."""
    shape: str
    """How the list stands in the answer, for `check`."""
    digest: bytes
    """Digest of the answer, by which a page that comes again is known."""


_ATTRIBUTES: Final = _MEMBERS | {"role": "cc_role_id"}
"""The same fields, with the attributes of a record."""


class AccountRecords(Struct):
    """The records of the list that were read so far, with these fields alone."""

    fields: Collection[str]
    listed: int = 0
    by_account: dict[str, AccountRecord] = {}

    def add_page(self, records: Iterable[AccountRecord], where: str) -> None:
        """Raises IncompleteRead for an account that is there already."""
        unused = [key for name, key in _ATTRIBUTES.items() if name not in self.fields]
        for record in records:
            self.listed += 1
            for key in unused:
                setattr(record, key, UNSET)
            account = _read_text(record.user_account)
            if account is None:
                continue
            if account in self.by_account:
                why = f"record {self.listed} of the account list has an account that is there already"
                raise IncompleteRead(why, where=where)
            self.by_account[account] = record


class _AccountAnswer(ErrorEnvelope):
    data: list[AccountRecord] | UnsetType | None = UNSET
    total: Any = None


# ---------------------------------------------------------------- pages


def decode_page(body: bytes, where: str, hide: Collection[str] = ()) -> AccountPage:
    """Read one page, flat or wrapped in one member.

    `hide`: secrets that no error text repeats. Raises MalformedError.
    """
    text = check_encoding(body, where)
    try:
        answer, shape = _find_answer(text)
    except NOT_JSON:
        hint = looks_like(text) or "cut off, or of another shape"
        why = f"the account list is not the JSON that its page says, but {hint}"
        raise MalformedError(why, where=where) from None
    if not answer.is_success:
        said = answer.describe_error(hide, body)
        raise MalformedError(f"the account list was refused: {said}", where=where)
    if shape == "no list":
        raise MalformedError("no `data` in the account list", where=where)
    total = None if answer.total is None else read_number(answer.total)
    total = 0 if answer.total == "0" else total
    if answer.total is not None and (total is None or total < 0):
        raise MalformedError("`total` of the account list is no number", where=where)
    records = list(answer.data or ())
    _refuse_repeated_members(text, records, where)
    digest = hashlib.blake2b(text, digest_size=16).digest()
    return AccountPage(records, total, shape, digest)


def _find_answer(text: bytes) -> tuple[_AccountAnswer, str]:
    answer = msgspec.json.decode(text, type=_AccountAnswer)
    if answer.data is not UNSET:
        return answer, "flat"
    has_more = False
    for name, member in msgspec.json.decode(text, type=dict[str, Raw]).items():
        has_more = has_more or bytes(member)[:1] in (b"{", b"[")
        if bytes(member).startswith(b"{"):
            inner = msgspec.json.decode(member, type=_AccountAnswer)
            if inner.data is not UNSET and answer.is_success:
                return inner, f"wrapped in `{name}`"
    # an empty page may leave its list out, but not have another in its place
    return answer, "flat" if answer.has_code and not has_more else "no list"


def _refuse_repeated_members(
    text: bytes, records: list[AccountRecord], where: str
) -> None:
    """JSON readers differ in which of two members they take (RFC 8259 §4).

    Names that occur no more often than members were read are there once each; else, since a value
    may be such a word too, every object is looked at.
    """
    names = AccountRecord.__struct_encode_fields__
    counts = {
        name: sum(getattr(record, key) is not UNSET for record in records)
        for name, key in zip(names, AccountRecord.__struct_fields__, strict=True)
    }
    counts |= {"data": 1, "total": 1}
    is_sure = not ESCAPED_LETTER.search(text) and all(
        text.count(f'"{name}"'.encode()) <= count for name, count in counts.items()
    )
    if is_sure:
        return
    if too_deep(text, LEVELS):
        raise MalformedError("the account list is nested too deeply", where=where)
    objects: list[list[tuple[str, Any]]] = []
    json.loads(text, object_pairs_hook=objects.append, parse_int=str)
    for members in objects:
        times = Counter(name for name, _ in members)
        for name in counts:
            if times[name] > 1:
                why = f"a record of the account list has {name} twice"
                raise MalformedError(why, where=where)


_FILE_MEMBER: Final = re.compile(rb'"accounts"\s*:\s*')


class _FileAccounts(Struct):
    accounts: Raw = Raw()


def split_accounts(
    body: bytes, where: str, fields: Collection[str]
) -> tuple[bytes, AccountRecords]:
    """Take the member `accounts` out of a file of agents. Raises MalformedError, IncompleteRead."""
    text = check_encoding(body, where)
    records = AccountRecords(fields)
    try:
        raw = bytes(msgspec.json.decode(text, type=_FileAccounts).accounts)
    except NOT_JSON:
        return body, records  # what is wrong with the file is told of its agents
    if not raw:
        raise MalformedError(NO_ACCOUNTS, where=where)
    try:
        listed = msgspec.json.decode(raw, type=list[AccountRecord])
    except msgspec.ValidationError:
        why = "`accounts` in it is no list of records that can be read"
        raise MalformedError(why, where=where) from None
    _refuse_repeated_members(raw, listed, where)
    records.add_page(listed, where)
    return _cut_accounts(text, raw, where), records


def _cut_accounts(text: bytes, raw: bytes, where: str) -> bytes:
    """The file without its account list, so that its agents are read as fast as without one."""
    members = [found.end() for found in _FILE_MEMBER.finditer(text)]
    if len(members) > 1 and not too_deep(text, LEVELS):
        pairs = json.loads(text, object_pairs_hook=list, parse_int=str)
        if [name for name, _ in pairs].count("accounts") > 1:
            raise MalformedError("the file has accounts twice", where=where)
    for place in members:
        if text.startswith(raw, place):
            return b"".join((text[:place], b"null", text[place + len(raw) :]))
    return text


def collect_records(
    ask: Callable[[int], AccountPage], where: str, fields: Collection[str]
) -> tuple[AccountRecords, str]:
    """Read all pages, from 0 on, with these fields alone, and tell the shape of the first.

    An empty page, or a total that is reached, ends the list: servers may cap a page below what was
    asked. Behind the total one more page is asked for, since a total may be short. Raises
    IncompleteRead where a page repeats, an account is there twice, or the total is another.
    """
    records = AccountRecords(fields)
    digests: set[bytes] = set()
    total: int | None = None
    shape = ""
    for number in count():
        page = ask(number)
        shape = shape or page.shape
        if total is not None and page.total not in (None, total):
            why = f"the account list says {total} records, then {page.total}"
            raise IncompleteRead(why, where=where)
        total = total if page.total is None else page.total
        if not page.records:
            break
        if page.digest in digests:
            why = f"page {number} of the account list is an earlier one again"
            raise IncompleteRead(why, where=where)
        digests.add(page.digest)
        records.add_page(page.records, where)
        if total is not None and records.listed >= total:
            _refuse_more(partial(ask, number + 1), digests, records, where)
            break
    if total is not None and records.listed != total:
        why = f"the account list says {total} records, and shows {records.listed}"
        raise IncompleteRead(why, where=where)
    return records, shape


def _refuse_more(
    ask: Callable[[], AccountPage],
    digests: Collection[bytes],
    records: AccountRecords,
    where: str,
) -> None:
    """Raises IncompleteRead if the page behind the total has a record that no earlier one had."""
    try:
        page = ask()
    except IncompleteRead:
        return  # a page that is not there: the total has been reached
    if page.digest in digests:
        return
    for record in page.records:
        account = _read_text(record.user_account)
        if account is None or account not in records.by_account:
            why = f"the account list says {records.listed} records, and shows more"
            raise IncompleteRead(why, where=where)


# ---------------------------------------------------------------- the join


def join_accounts(tenant: Tenant, records: AccountRecords, shape: str) -> Tenant:
    """Give each agent what the list says of its account."""
    by_account, fields = records.by_account, records.fields
    untold = _find_untold(by_account.values(), fields)
    agents: list[Agent] = []
    unlisted = 0
    unknown: Counter[str] = Counter()
    contradictions: dict[int, str] = {}
    accounts = {agent.account_code for agent in tenant.agents}
    for number, agent in enumerate(tenant.agents):
        if agent.account_code is None:
            agents.append(agent)
            continue
        found = by_account.get(agent.account_code)
        if found is None:
            unlisted += 1
            account = Account(unknown=frozenset(fields))
        else:
            account = _make_account(found, fields, untold)
            seat = found.work_no
            if seat != agent.work_no and read_number(seat) not in (None, agent.work_no):
                contradictions[number] = f"the account list has it at the seat {seat}"
        if account.unknown:
            unknown.update(account.unknown)
        agents.append(replace(agent, account=account))
    alone = frozenset(by_account.keys() - accounts)
    summary = AccountList(
        records.listed, unlisted, alone, dict(unknown), contradictions, shape
    )
    return replace(tenant, agents=agents, accounts=summary)


def _find_untold(
    records: Collection[AccountRecord], fields: Collection[str]
) -> frozenset[str]:
    """Fields that no record shows: the tenant does not tell them, so they are not absent."""
    told: set[str] = set()
    for record in records:
        for field in fields:
            if field not in told and _read_field(record, field) not in (None, ()):
                told.add(field)
        if len(told) == len(fields):
            break
    return frozenset(fields) - told


def _make_account(
    record: AccountRecord, fields: Collection[str], untold: frozenset[str]
) -> Account:
    values: dict[str, Any] = {}
    unknown = untold
    for field in fields:
        value = _read_field(record, field)
        if value is UNSET:
            unknown |= {field}
        elif value is not None:
            values[_MEMBERS[field]] = value
    return Account(**values, unknown=unknown)


def _read_field(record: AccountRecord, field: str) -> Any:
    """What a record says: a text, or the texts of its skills; None: absent, UNSET: masked or faulty."""
    if field == "skill":
        return _read_skills(record.skills)
    held = record.cc_role_id if field == "role" else getattr(record, _MEMBERS[field])
    if held is UNSET or held is None or held == "":
        return None
    if type(held) is int and field in ("role", "agentType"):
        return str(held)
    text = _read_text(held)
    return UNSET if text is None or MASK in text else text


def _read_skills(held: Any) -> Any:
    """The names and ids of skills; samples show texts and objects. UNSET where one is masked or faulty."""
    if held is UNSET or held is None or held == "":
        return ()
    if not isinstance(held, list):
        return UNSET
    parts = [
        part
        for each in held
        for part in (each.values() if isinstance(each, dict) else (each,))
    ]
    skills = [str(part) for part in parts if type(part) in (str, int) and part != ""]
    if any(MASK in skill or _read_text(skill) is None for skill in skills):
        return UNSET
    return tuple(skills)


def _read_text(held: Any) -> str | None:
    if type(held) is not str or len(held) > MAX_CHARACTERS:
        return None
    if not held.isprintable() and find_character_fault(held):
        return None
    return held if held.strip(" ") else None
