"""What people decided by hand: agents pinned to users, and those that are left alone.

`settings/people.py` reads them from CSV.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from connector.model import AgentRef, Equality, UserRef
from connector.reconcile import equality


class Pin(Struct, frozen=True):
    """An agent, by accountCode or workNo or both, is this user (by id or name), whatever the rules would find.

    Where both are given the account decides, for a seat can be given to somebody else. `line`: where the pins file
    says it, for messages.
    """

    account_code: str | None = None
    work_no: int | None = None
    user: str = ""
    line: int = 0


class Never(Struct, frozen=True):
    """Agents and users (by id or name) that are matched and reported like all others, and never written."""

    account_codes: frozenset[str] = frozenset()
    work_nos: frozenset[int] = frozenset()
    users: frozenset[str] = frozenset()

    def spares(self) -> Callable[[AgentRef | None, UserRef], bool]:
        """A test whether an agent or a user is on the list; a DN may be written in any of its spellings."""
        ids = {user.lower() for user in self.users}
        names = {equality.key(Equality.DN, user) for user in self.users}

        def spared(agent: AgentRef | None, user: UserRef) -> bool:
            if agent and (agent.account_code in self.account_codes or agent.work_no in self.work_nos):
                return True
            return bool(ids) and (user.id.lower() in ids or equality.key(Equality.DN, user.name) in names)

        return spared
