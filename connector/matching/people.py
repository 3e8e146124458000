"""What people decided by hand: agents pinned to users, and those that are left alone.

`settings/people_lists.py` reads them from CSV.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.matching.lookup import Lookup
from connector.matching.user_names import NameRules
from connector.model import (
    ID,
    Agent,
    AgentRef,
    Equality,
    InvalidRecord,
    Key,
    Problem,
    Refusal,
    Tenant,
    User,
    UserRef,
)
from connector.model.equality import likenesses_of
from connector.model.limits import EXCLUDE

TOLD: Final = 5
"""So many lines of the exclude list that name nobody are named in its refusal."""

DOUBT: Final = (
    "kept: the state does not know for which agent it was written, and the source has no such agent as is on {lines}. "
    "Replace that line by the user, or remove it"
)
"""A stale user may be the one whom a line means."""
_LIKE: Final = likenesses_of(Equality.CASE_IGNORE)
"""Accounts that only case or spaces tell apart: one of the exclude list spares all of them,
for that writes less."""


class AgentPin(Struct, frozen=True):
    """An agent, by accountCode or workNo or both, is this user (by id or name), whatever the rules would find.

    Where both are given the account decides, for a seat can be given to somebody else.
    `line`: where the pins file says it, for messages.
    """

    account_code: str | None = None
    work_no: int | None = None
    user: str = ""
    line: int = 0


class ExcludeList(Struct, frozen=True):
    """Agents and users (by id or name) that are matched and reported like all others, and never written.

    An entry by account or seat spares also the user that it stood for before: the tenant
    may drop the account, and the user is then stale, or another agent's.

    `lines`: where the file names each of them first, for messages. `known`: by entry (a user as listed, an account or
    seat as of `agents`), the ids of users that it named in earlier runs.
    """

    account_codes: frozenset[str] = frozenset()
    work_nos: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    lines: dict[str | int, int] = {}
    known: Mapping[str, frozenset[str]] = {}

    def with_known_users(self, known: Mapping[str, frozenset[str]]) -> Self:
        """The same list, with what earlier runs know of its entries."""
        return replace(
            self,
            known={
                entry: known.get(entry, frozenset())
                for entry in (*self.users, *self.agents_by_entry)
            },
        )

    @property
    def agents_by_entry(self) -> dict[str, str | int]:
        """The accounts and seats on the list, as the list has them, by their entries in the state."""
        accounts = {_account_entry(each): each for each in sorted(self.account_codes)}
        return {**accounts, **{_seat_entry(each): each for each in self.work_nos}}

    def describe_place(self, entry: str | int) -> str:
        """Where an entry is, as the beginning of a sentence."""
        return (
            f"line {self.lines[entry]} of the exclude list"
            if entry in self.lines
            else "the exclude list"
        )

    def list_keys(self, naming: NameRules) -> list[Key]:
        """The users on the list, to be looked up."""
        ids = {id_ for user in self.users for id_ in self.known.get(user, ())}
        return sorted(
            {(ID, id_) for id_ in ids}
            | {key for user in self.users for key in naming.list_keys(user)}
        )

    def name_users(
        self,
        found: Collection[User],
        naming: NameRules,
    ) -> dict[str, frozenset[str]]:
        """By entry the ids of the users that it names, of those that a look-up has found."""
        entries = {}
        for entry in self.users:
            is_named, known = naming.make_test([entry]), self.known.get(entry, ())
            ids = [user.id for user in found if user.id in known or is_named(user.ref)]
            entries[entry] = frozenset(ids)
        return entries

    def named_by_agents(
        self, agents: Iterable[tuple[AgentRef, str]]
    ) -> dict[str, frozenset[str]]:
        """By entry for an account or seat the ids of the users that it names, of these agents with their users."""
        found = {
            entry: set(self.known.get(entry, ())) for entry in self.agents_by_entry
        }
        for agent, id_ in agents:
            for entry in found.keys() & _entries_of(agent):
                found[entry].add(id_)
        return {entry: frozenset(ids) for entry, ids in found.items()}

    def make_test(
        self,
        naming: NameRules,
        last: Mapping[str, AgentRef],
    ) -> Callable[[AgentRef | None, UserRef], bool]:
        """A test whether an agent or a user is on the list; a name may be written in any of its spellings.

        `last`: by user id the agent for whom this job last wrote the user.
        """
        listed = naming.make_test(self.users)
        known = {id_ for some in self.known.values() for id_ in some}
        agents = self.agents_by_entry.keys()

        def spared(
            agent: AgentRef | None,
            user: UserRef,
        ) -> bool:
            meant = (agent, last.get(user.id)) if agents else ()
            if any(
                each is not None and not agents.isdisjoint(_entries_of(each))
                for each in meant
            ):
                return True
            return user.id in known or (bool(self.users) and listed(user))

        return spared


def _account_entry(code: str) -> str:
    """An account as an entry of the list, in the state."""
    return f"account:{_LIKE(code)!s}"


def _seat_entry(work_no: int) -> str:
    """A seat as an entry of the list, in the state."""
    return f"seat:{work_no}"


def _entries_of(agent: AgentRef) -> set[str]:
    """The entries that would list an agent."""
    account = {_account_entry(agent.account_code)} if agent.account_code else set[str]()
    return (
        account | {_seat_entry(agent.work_no)} if agent.work_no is not None else account
    )


class Exclusion(Struct, frozen=True):
    """Whom the exclude list means in one run."""

    spares: Callable[[AgentRef | None, UserRef], bool]
    """Whether an agent or a user is on the list."""
    doubt: Callable[[UserRef], str]
    """Why a stale user may be meant by the list; empty: it is not."""
    named: Mapping[str, frozenset[str]]
    """By entry the ids of the users that it names."""
    found: Sequence[User]
    """The listed users that were found within base and filter."""
    refusals: Sequence[Refusal]


def find_excluded(
    directory: Lookup,
    exclude: ExcludeList,
    naming: NameRules,
    tenant: Tenant,
    *,
    matched: Iterable[tuple[AgentRef, str]],
    last: Callable[[], Mapping[str, AgentRef]],
) -> Exclusion:
    """Look the list's users up. `matched`: agents with the ids of their users.

    `last`: by user id the agent for whom this job last wrote the user; asked where the list has agents.
    """
    keys = exclude.list_keys(naming)
    found = list(directory.find(keys)) if keys else []
    named = exclude.name_users(found, naming)
    nowhere = [entry for entry, ids in named.items() if not ids]
    refusals = refuse_unprotected(
        directory,
        exclude,
        naming,
        nowhere,
    )
    written, gone = dict[str, AgentRef](), list[str]()
    if exclude.agents_by_entry:
        written = dict(last())
        before = ((agent, id_) for id_, agent in written.items())
        by_agents = exclude.named_by_agents([*matched, *before])
        named |= by_agents
        known = {
            each for entry, each in exclude.agents_by_entry.items() if by_agents[entry]
        }
        gone = [
            exclude.describe_place(each)
            for each in unknown_agents(exclude, tenant)
            if each not in known
        ]
    doubt = DOUBT.format(lines=", ".join(gone[:TOLD])) if gone else ""
    return Exclusion(
        exclude.make_test(naming, written),
        lambda user: "" if user.id in written else doubt,
        named,
        found,
        refusals,
    )


def find_strangers(
    pins: Iterable[AgentPin],
    exclude: ExcludeList,
    tenant: Tenant,
    spared: Collection[User],
    naming: NameRules,
) -> Iterator[Problem]:
    """Lines of either list that name nobody: most likely typing errors, which would protect or place nobody.

    `spared`: the users that a look-up of the exclude list's users has found.
    """
    pins = list(pins)
    if not pins and exclude == ExcludeList():
        # for speed alone: nearly every job is without lists, and a tenant may be
        # large
        return
    records: list[Agent | InvalidRecord] = [
        *tenant.agents,
        *tenant.invalid,
        *tenant.others_invalid,
    ]
    accounts = {record.account_code for record in records}
    seats = {record.work_no for record in records}
    alike = {_LIKE(account): account for account in accounts if account}
    for pin in pins:
        agent = AgentRef(pin.work_no, pin.account_code)
        if (
            pin.account_code not in accounts
            if pin.account_code
            else pin.work_no not in seats
        ):
            near = alike.get(_LIKE(pin.account_code)) if pin.account_code else None
            meant = f"; did you mean {near!r}?" if near else ""
            why = f"line {pin.line} of the pins: no such agent in the source{meant}"
            yield Problem(
                "pin",
                why,
                agent=agent,
            )
    for entry in unknown_agents(exclude, tenant):
        what, agent = (
            ("seat", AgentRef(entry))
            if isinstance(entry, int)
            else ("account", AgentRef(None, entry))
        )
        yield Problem(
            "exclude",
            f"{exclude.describe_place(entry)}: no such {what} in the source",
            agent,
        )
    for listed, ids in sorted(exclude.name_users(spared, naming).items()):
        if not ids:
            why = (
                f"{exclude.describe_place(listed)}: no such user within base and filter"
            )
            yield Problem(
                "exclude",
                why,
                users=(listed,),
            )


def unknown_agents(
    exclude: ExcludeList,
    tenant: Tenant,
) -> list[str | int]:
    """Accounts and seats of the exclude list that the tenant does not have."""
    records: list[Agent | InvalidRecord] = [
        *tenant.agents,
        *tenant.invalid,
        *tenant.others_invalid,
    ]
    accounts = {_LIKE(record.account_code) for record in records if record.account_code}
    seats = {record.work_no for record in records}
    gone = (each for each in exclude.account_codes if _LIKE(each) not in accounts)
    return [*sorted(gone), *sorted(exclude.work_nos - seats)]


def find_lost_pins(
    pins: Iterable[AgentPin],
    found: Collection[User],
    naming: NameRules,
) -> Iterator[Problem]:
    """Pins to users that are not there. `found`: whom a look-up of all pinned users has found."""
    ids, names = (
        {naming.id_key(user.id) for user in found},
        {naming.name_key(user.name) for user in found},
    )
    for pin in pins:
        if (
            naming.id_key(pin.user) not in ids
            and naming.name_key(pin.user) not in names
        ):
            why = f"line {pin.line} of the pins: no such user within base and filter"
            yield Problem(
                "pin",
                why,
                AgentRef(pin.work_no, pin.account_code),
                (pin.user,),
            )


def refuse_unprotected(
    directory: Lookup,
    exclude: ExcludeList,
    naming: NameRules,
    entries: Collection[str],
) -> list[Refusal]:
    """The refusal for those of these entries of the exclude list that name nobody past base and filter either."""
    if not entries:
        return []
    keys = sorted({key for entry in entries for key in naming.list_keys(entry)})
    try:
        outside = list(directory.find_outside(keys))
    except IncompleteRead:
        outside = []
    found = exclude.name_users(outside, naming)
    lost = sorted(entry for entry in entries if not found[entry])
    if not lost:
        return []
    named = ", ".join(
        f"{exclude.describe_place(entry)} ({entry})" for entry in lost[:TOLD]
    )
    why = f"these lines match no agent or user, so the person meant may be written: {named}. Correct or remove them"
    return [
        Refusal(
            EXCLUDE,
            0,
            len(lost),
            why,
        )
    ]
