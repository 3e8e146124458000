"""The agents and users that a command line names: `account:1001`, `seat:1001`, `user:…`, or a bare name."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import UsageError
from connector.matching.lookup import Lookup
from connector.matching.near_misses import list_spellings
from connector.matching.user_names import NameRules
from connector.model import AgentRef, User, UserRef

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
    accounts, seats, users, bare = set[str](), set[int](), list[str](), dict[str, str]()
    names = tuple(dict.fromkeys(names))
    for name in names:
        kind, text, unknown = _read_name(
            name,
            agents,
            where,
        )
        if kind == ACCOUNT:
            accounts.add(text)
        elif kind == SEAT:
            seats.add(int(text))
        else:
            users.append(text)
            bare |= {text: unknown} if unknown else {}
    found = Selection(
        names,
        frozenset(accounts),
        frozenset(seats),
        tuple(users),
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
        found = {
            user.id
            for user in find_named_users(
                directory,
                name,
                naming,
                searched,
            )
        }
        if not found:
            raise UsageError(describe_nobody(selection, name), where=where)
        if len(found) > 1:
            raise UsageError(
                f"{len(found)} users hold {name!r}. Give a whole name or an id",
                where=where,
            )
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
    if found or not searched:
        return found
    holders = list(directory.find([(attribute, name) for attribute in searched]))
    return [
        user
        for user in holders
        if any(
            naming.shows_value(
                user,
                attribute,
                name,
            )
            for attribute in searched
        )
    ]


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
    if colon and kind == USER and text:
        return USER, text, ""
    bare = not (colon and kind in (ACCOUNT, SEAT))
    text = name if bare else text
    found = {
        ACCOUNT: [each for each in agents if each.account_code == text]
        if bare or kind == ACCOUNT
        else [],
        SEAT: [each for each in agents if str(each.work_no) == text]
        if bare or kind == SEAT
        else [],
    }
    match [kind for kind, some in found.items() if some]:
        case []:
            what = {ACCOUNT: "accountCode", SEAT: "workNo"}.get(
                "" if bare else kind, "accountCode or workNo"
            )
            maybe = bare and text and kind != USER
            neither = ", and base and filter have no user of that name" if maybe else ""
            unknown = f"the source has no agent with {what} {text!r}{neither}{_suggest_names(agents, text)}"
            if not maybe:
                raise UsageError(unknown, where=where)
            return USER, text, unknown
        case [only]:
            return only, text, ""
    theirs, others = found.values()
    if theirs != others:
        why = f"{text!r} is the account of {theirs[0]}, and the seat of {others[0]}"
        raise UsageError(f"{why}: say account:{text} or seat:{text}", where=where)
    return ACCOUNT, text, ""


def _suggest_names(
    agents: Iterable[AgentRef],
    name: str,
) -> str:
    """Agents of nearly that name, the nearest first, as the end of a sentence."""
    known = {
        word.lower(): word
        for agent in agents
        for word in (agent.account_code, str(agent.work_no))
        if word
    }
    domains = sorted({word.rpartition("@")[2] for word in known if "@" in word})[:NAMED]
    spelt_otherwise = {text.lower() for _, text in list_spellings(name, domains)}
    alike = difflib.get_close_matches(
        name.lower(),
        known,
        n=NAMED,
        cutoff=ALIKE,
    )
    close = sorted(spelt_otherwise & known.keys()) or alike
    if not close:
        return ""
    return f"; did you mean {' or '.join(repr(known[word]) for word in close[:NAMED])}?"
