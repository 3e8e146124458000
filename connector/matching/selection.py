"""Some agents of a tenant: those that a command line names, and those that are a job's.

A command line names agents and users: `account:1001`, `seat:1001`, `user:…`, or a bare name. A job's are told by
`source.only` and `source.except`, patterns of accounts and ranges of seats. The rest are read and matched like all
others. So they still contest, and their users are nobody's to clear; but they are not written, not listed and not
counted.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import IncompleteRead, UsageError
from connector.matching.lookup import Lookup
from connector.matching.user_names import NameRules
from connector.model import (
    Agent,
    AgentRef,
    Holds,
    InvalidRecord,
    Question,
    Tenant,
    User,
    UserRef,
)
from connector.model.patterns import is_owned

NAMED: Final = 5
"""How many agents of nearly that name are suggested."""
ALIKE: Final = 0.6
"""Names that are less alike are two names, and no slip of the pen (difflib's ratio)."""
ACCOUNT: Final = "account"
SEAT: Final = "seat"
USER: Final = "user"


class Selection(Struct, frozen=True):
    """Agents by accounts and seats, and `users` as they are written. `ids`: whom these are, once they are looked up.

    `names`: all of it as somebody wrote it; none: everybody. `bare`: users that are no agent's name, each with what to
    say where it is no user's name either.
    """

    names: tuple[str, ...] = ()
    accounts: frozenset[str] = frozenset()
    seats: frozenset[int] = frozenset()
    users: tuple[str, ...] = ()
    ids: frozenset[str] = frozenset()
    bare: Mapping[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self.names)

    def names_agent(self, agent: AgentRef) -> bool:
        return agent.account_code in self.accounts or agent.work_no in self.seats

    def holds_user(
        self,
        agent: AgentRef | None,
        user: UserRef,
    ) -> bool:
        return user.id in self.ids or (agent is not None and self.names_agent(agent))


EVERYBODY: Final = Selection()


def select_names(
    names: Iterable[str],
    agents: Sequence[AgentRef],
    where: str,
    others: Collection[int] = (),
) -> Selection:
    """Whom these names name, of the source's agents.

    `others`: agents that are not this job's, by number. Raises UsageError for a name that is theirs, nobody's, or two
    things.
    """
    names = tuple(dict.fromkeys(names))
    texts: dict[str, list[str]] = {ACCOUNT: [], SEAT: [], USER: []}
    bare: dict[str, str] = {}
    for name in names:
        kind, text, unknown = _read_name(name, agents, where)
        texts[kind].append(text)
        if unknown:
            bare[text] = unknown
    found = Selection(
        names,
        frozenset(texts[ACCOUNT]),
        frozenset(map(int, texts[SEAT])),
        tuple(texts[USER]),
        bare=bare,
    )
    for number in sorted(others):
        if found.names_agent(agents[number]):
            raise UsageError(
                f"{agents[number]} is not this job's: see source.only and source.except",
                where=where,
            )
    return found


def look_up_users(
    directory: Lookup,
    selection: Selection,
    naming: NameRules,
    searched: Collection[str],
    where: str,
) -> Selection:
    """The same with the ids of its users. `searched`: as in `find_named_users`.

    Raises UsageError for a user that is not within base and filter, and for a value that
    several hold.
    """
    ids = set[str]()
    for name in selection.users:
        users = find_named_users(
            directory,
            name,
            naming,
            searched,
        )
        found = {user.id for user in users}
        if not found:
            raise UsageError(describe_nobody(selection, name), where=where)
        if len(found) > 1:
            raise UsageError(describe_several(name, users), where=where)
        ids |= found
    return replace(selection, ids=frozenset(ids))


def find_named_users(
    directory: Lookup,
    name: str,
    naming: NameRules,
    searched: Collection[str],
) -> list[User]:
    """Users of this name or id; where there is none, those that hold it in an attribute such as uid or mail.

    `searched`: the attributes that look-ups find users by.
    """
    named = naming.make_test([name])
    found = [user for user in directory.find(naming.list_keys(name)) if named(user.ref)]
    if not found and searched:
        holders = directory.find([(attribute, name) for attribute in searched])
        found = [user for user in holders if naming.shows_value(user, searched, name)]
    if not found:
        with suppress(IncompleteRead):  # without an index nobody is found
            found = _find_by_usual_names(directory, name, naming)
    return found


def _find_by_usual_names(
    directory: Lookup,
    name: str,
    naming: NameRules,
) -> list[User]:
    """Users that hold a name in an attribute that the job does not read, as the server compares it."""
    keys = naming.list_usual_keys(name)
    if not keys:
        return []
    users = list(directory.find(keys))
    questions = [
        Question(user.ref, attribute, name) for user in users for attribute, _ in keys
    ]
    ids = {
        question.user.id
        for question, answer in directory.compare(questions)
        if answer is Holds.SAME
    }
    return [user for user in users if user.id in ids]


def describe_several(name: str, users: Sequence[User | UserRef]) -> str:
    """That a name is that of several users, and how each is named alone."""
    names = sorted({f"'{USER}:{user.name}'" for user in users})
    some = " or ".join(names[:NAMED])
    return f"{len(names)} users have {name!r}. Name one of them: {some}"


def describe_nobody(
    selection: Selection,
    name: str,
) -> str:
    """That a user in a selection is not there."""
    return (
        selection.bare.get(name) or f"there is no user {name!r} within base and filter"
    )


def _read_name(
    name: str,
    agents: Sequence[AgentRef],
    where: str,
) -> tuple[str, str, str]:
    """What a name names: a kind, and the name without it; of a bare one that is no agent's, what to say of that."""
    kind, colon, text = name.partition(":")
    if kind == USER and text:
        return USER, text, ""
    if not (colon and kind in (ACCOUNT, SEAT)):
        kind, text = "", name
    theirs = [each for each in agents if kind != SEAT and each.account_code == text]
    seated = [each for each in agents if kind != ACCOUNT and str(each.work_no) == text]
    if theirs and seated and theirs != seated:
        why = f"{text!r} is the account of {theirs[0]}, and the seat of {seated[0]}"
        raise UsageError(f"{why}: say account:{text} or seat:{text}", where=where)
    if theirs or seated:
        return ACCOUNT if theirs else SEAT, text, ""
    sought = {ACCOUNT: "accountCode", SEAT: "workNo"}.get(kind, "accountCode or workNo")
    unknown = f"the source has no agent with {sought} {text!r}"
    suggested = _suggest_names(agents, text)
    if kind:
        other = f". To name a user, say {f'{USER}:{text}'!r}"
        raise UsageError(unknown + (suggested or other), where=where)
    if not text or text == f"{USER}:":
        raise UsageError(unknown + suggested, where=where)
    neither = ", and base and filter have no user of that name"
    return USER, text, unknown + neither + suggested


def _suggest_names(
    agents: Iterable[AgentRef],
    name: str,
) -> str:
    """Agents of nearly that name, as the end of a sentence: in another domain or with other zeros, or spelt alike."""
    known = {
        word.lower(): word
        for agent in agents
        for word in (agent.account_code, str(agent.work_no))
        if word
    }
    stem = _stem_of(name)
    close = sorted(word for word in known if _stem_of(word) == stem)
    close = close or difflib.get_close_matches(
        name.lower(),
        known,
        NAMED,
        ALIKE,
    )
    if not close:
        return ""
    return f"; did you mean {' or '.join(repr(known[word]) for word in close[:NAMED])}?"


def _stem_of(name: str) -> str:
    """What names have in common that only case, spaces, leading zeros or a domain tell apart."""
    return name.partition("@")[0].replace(" ", "").lstrip("0").lower()


# ---------------------------------------------------------------- a job's agents

_SEATS: Final = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")


_KINDS: Final = ("account", "seat", "agent_type", "role", "skill")
_LISTED: Final = {"agent_type": "agentType", "role": "role", "skill": "skill"}
"""Kinds that the tenant's account list tells, with its fields."""


class AgentPattern(Struct, frozen=True):
    """Accounts, types, roles or skills that fit a glob (`*` is any text, case does not count), or a range of seats."""

    text: str
    kind: str
    glob: str = ""
    seats: range = range(0)

    @classmethod
    def parse_text(cls, text: str) -> Self:
        """`p*`, `account:p*`, `seat:1000` or `seat:1000-1999`. Raises ValueError for anything else."""
        kind, colon, rest = text.partition(":")
        if not colon:
            kind, rest = "account", text
        if not rest or not text.isprintable() or kind not in _KINDS:
            raise ValueError(
                "must be a pattern of accounts (p* or account:p*), seats (seat:1000-1999), "
                "agent_type:…, role:… or skill:…"
            )
        if kind != "seat":
            return cls(text, kind, rest)
        found = _SEATS.fullmatch(rest)
        if found is None:
            raise ValueError("seats are numbers: seat:1000 or seat:1000-1999")
        first, last = int(found[1]), int(found[2] or found[1])
        if last < first:
            raise ValueError(f"the range ends before it begins: {first}-{last}")
        return cls(text, kind, seats=range(first, last + 1))

    @property
    def field(self) -> str | None:
        """The field of the account list that it looks at; None: it needs no list."""
        return _LISTED.get(self.kind)

    def fits_record(self, record: Agent | InvalidRecord) -> bool:
        if self.kind == "seat":
            return record.work_no is not None and record.work_no in self.seats
        return any(map(is_owned(self.glob), self._list_texts(record)))

    def _list_texts(self, record: Agent | InvalidRecord) -> tuple[str, ...]:
        if self.kind == "account":
            return (record.account_code,) if record.account_code else ()
        if isinstance(record, InvalidRecord) or record.account is None:
            return ()
        account = record.account
        if self.kind == "skill":
            return account.skills
        text = account.role if self.kind == "role" else account.agent_type
        return (text,) if text else ()


class JobAgents(Struct, frozen=True):
    """Whoever fits one of `only` (none: everybody), and none of `besides`."""

    only: Sequence[AgentPattern] = ()
    besides: Sequence[AgentPattern] = ()

    @property
    def account_fields(self) -> frozenset[str]:
        """The fields of the account list that the patterns look at."""
        fields = {pattern.field for pattern in (*self.only, *self.besides)}
        return frozenset(field for field in fields if field)

    def takes_record(self, record: Agent | InvalidRecord) -> bool:
        """Whether it is the job's. An agent of whom the account list does not tell enough is not."""
        if isinstance(record, Agent) and record.has_unknown(self.account_fields):
            return False
        if self.only and not _fits_any(self.only, record):
            return False
        return not _fits_any(self.besides, record)

    def mark_others(self, tenant: Tenant) -> Tenant:
        """The tenant, with whoever is not this job's marked. A record is this job's, too, where nobody can tell."""
        agents = enumerate(tenant.agents)
        others = [number for number, agent in agents if not self.takes_record(agent)]
        invalid, apart = list[InvalidRecord](), list[InvalidRecord]()
        for record in tenant.invalid:
            is_others = self._is_known(record) and not self.takes_record(record)
            (apart if is_others else invalid).append(record)
        return replace(
            tenant,
            invalid=invalid,
            others=frozenset(others),
            others_invalid=apart,
            notes=[*tenant.notes, *self._describe_unused(tenant)],
        )

    def _is_known(self, record: InvalidRecord) -> bool:
        """Whether what the patterns look at could be read."""
        known = {"account": record.account_code, "seat": record.work_no}
        patterns = [*self.only, *self.besides]
        return all(known.get(pattern.kind) is not None for pattern in patterns)

    def _describe_unused(self, tenant: Tenant) -> Iterator[str]:
        records: list[Agent | InvalidRecord] = [*tenant.agents, *tenant.invalid]
        for key, patterns in (("only", self.only), ("except", self.besides)):
            for pattern in patterns:
                if not any(map(pattern.fits_record, records)):
                    yield f"no agent fits {pattern.text!r} of source.{key}"


def _fits_any(
    patterns: Iterable[AgentPattern],
    record: Agent | InvalidRecord,
) -> bool:
    return any(pattern.fits_record(record) for pattern in patterns)
