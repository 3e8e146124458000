"""What people decided by hand: agents pinned to users, and those that are left alone.

`settings/people_lists.py` reads them from CSV.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Final, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import IncompleteRead
from connector.model import ID, Agent, AgentRef, Equality, Invalid, Key, Problem, Refusal, Tenant, User, UserRef
from connector.reconcile.checks.limits import EXCLUDE
from connector.reconcile.equality import likenesses_of
from connector.reconcile.matching.user_names import Naming
from connector.reconcile.questions import Find, Planning, ask

TOLD: Final = 5
"""So many lines of the exclude list that name nobody are named in its refusal."""

_LIKE: Final = likenesses_of(Equality.CASE_IGNORE)
"""Accounts that only case or spaces tell apart: one of the exclude list spares all of them, for that writes less."""


class Pin(Struct, frozen=True):
    """An agent, by accountCode or workNo or both, is this user (by id or name), whatever the rules would find.

    Where both are given the account decides, for a seat can be given to somebody else. `line`: where the pins file
    says it, for messages.
    """

    account_code: str | None = None
    work_no: int | None = None
    user: str = ""
    line: int = 0


class ExcludeList(Struct, frozen=True):
    """Agents and users (by id or name) that are matched and reported like all others, and never written.

    `lines`: where the file names each of them first, for messages. `known`: by entry, the ids of users that it named in
    earlier runs; whoever was renamed since is spared as before.
    """

    account_codes: frozenset[str] = frozenset()
    work_nos: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()
    lines: dict[str | int, int] = {}
    known: Mapping[str, frozenset[str]] = {}

    def remembering(self, known: Mapping[str, frozenset[str]]) -> Self:
        """The same list, with what earlier runs know of its entries."""
        return replace(self, known={user: known.get(user, frozenset()) for user in self.users})

    def at(self, entry: str | int) -> str:
        """Where an entry is, as the beginning of a sentence."""
        return f"line {self.lines[entry]} of the exclude list" if entry in self.lines else "the exclude list"

    def keys(self, naming: Naming) -> list[Key]:
        """The users on the list, to be looked up."""
        ids = {id_ for some in self.known.values() for id_ in some}
        return sorted({(ID, id_) for id_ in ids} | {key for user in self.users for key in naming.keys(user)})

    def named(self, found: Collection[User], naming: Naming) -> dict[str, frozenset[str]]:
        """By entry the ids of the users that it names, of those that a look-up has found."""
        users = {user: naming.among([user]) for user in self.users}
        return {
            entry: frozenset(
                user.id for user in found if names(user.ref) or user.id in self.known.get(entry, frozenset())
            )
            for entry, names in users.items()
        }

    def spares(self, naming: Naming) -> Callable[[AgentRef | None, UserRef], bool]:
        """A test whether an agent or a user is on the list; a name may be written in any of its spellings."""
        listed = naming.among(self.users)
        known = {id_ for some in self.known.values() for id_ in some}
        accounts = {_LIKE(account) for account in self.account_codes}

        def spared(agent: AgentRef | None, user: UserRef) -> bool:
            if agent and agent.work_no in self.work_nos:
                return True
            if agent and agent.account_code and _LIKE(agent.account_code) in accounts:
                return True
            return bool(self.users) and (user.id in known or listed(user))

        return spared


def strangers(
    pins: Iterable[Pin], exclude: ExcludeList, tenant: Tenant, spared: Collection[User], naming: Naming
) -> Iterator[Problem]:
    """Lines of either list that name nobody: most likely typing errors, which would protect or place nobody.

    `spared`: the users that a look-up of the exclude list's users has found.
    """
    pins = list(pins)
    if not pins and exclude == ExcludeList():
        return  # for speed alone: nearly every job is without lists, and a tenant may be large
    records: list[Agent | Invalid] = [*tenant.agents, *tenant.invalid, *tenant.others_invalid]
    accounts = {record.account_code for record in records}
    seats = {record.work_no for record in records}
    alike = {_LIKE(account): account for account in accounts if account}
    for pin in pins:
        agent = AgentRef(pin.work_no, pin.account_code)
        if pin.account_code not in accounts if pin.account_code else pin.work_no not in seats:
            near = alike.get(_LIKE(pin.account_code)) if pin.account_code else None
            meant = f"; did you mean {near!r}?" if near else ""
            why = f"line {pin.line} of the pins: no such agent in the source{meant}"
            yield Problem("pin", why, agent=agent)
    for account in sorted(each for each in exclude.account_codes if _LIKE(each) not in alike):
        why = f"{exclude.at(account)}: no such account in the source"
        yield Problem("exclude", why, AgentRef(None, account))
    for seat in sorted(exclude.work_nos - seats):
        yield Problem("exclude", f"{exclude.at(seat)}: no such seat in the source", AgentRef(seat))
    for listed, ids in sorted(exclude.named(spared, naming).items()):
        if not ids:
            why = f"{exclude.at(listed)}: no such user within base and filter"
            yield Problem("exclude", why, users=(listed,))


def nowhere(pins: Iterable[Pin], found: Collection[User], naming: Naming) -> Iterator[Problem]:
    """Pins to users that are not there. `found`: whom a look-up of all pinned users has found."""
    ids, names = {naming.id(user.id) for user in found}, {naming.name(user.name) for user in found}
    for pin in pins:
        if naming.id(pin.user) not in ids and naming.name(pin.user) not in names:
            why = f"line {pin.line} of the pins: no such user within base and filter"
            yield Problem("pin", why, AgentRef(pin.work_no, pin.account_code), (pin.user,))


def unprotected(exclude: ExcludeList, naming: Naming, entries: Collection[str]) -> Planning[list[Refusal]]:
    """The refusal for those of these entries of the exclude list that name nobody past base and filter either."""
    if not entries:
        return []
    keys = sorted({key for entry in entries for key in naming.keys(entry)})
    try:
        outside = list((yield from ask(Find(keys, outside=True))))
    except IncompleteRead:
        outside = []
    found = exclude.named(outside, naming)
    lost = sorted(entry for entry in entries if not found[entry])
    if not lost:
        return []
    named = ", ".join(f"{exclude.at(entry)} ({entry})" for entry in lost[:TOLD])
    why = f"these lines match no agent or user, so the person meant may be written: {named}. Correct or remove them"
    return [Refusal(EXCLUDE, 0, len(lost), why)]
