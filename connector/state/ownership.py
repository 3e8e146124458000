"""What we wrote last, where: a row for each user, so that a plan of everybody reads as many rows as there are users.

Of each attribute it is known which run wrote it, a digest of its values or the fingerprint of a secret, and how often
in a row these were the same: who has to write one value over and over is told that somebody keeps taking it away.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import DecodeError, Struct, ValidationError, json

from connector.errors import StateError
from connector.model import AttributeChange, UserRef
from connector.reconcile.digests import digest_of_values
from connector.state.database import Database, Transaction

_ALL: Final = "select user_id, user_name, attributes from ownership where directory = ?"
_KEEP: Final = """
    insert into ownership (directory, user_id, user_name, attributes, times) values (?, ?, ?, ?, ?)
    on conflict (directory, user_id)
    do update set user_name = excluded.user_name, attributes = excluded.attributes, times = excluded.times
"""
_FORGET: Final = "delete from ownership where directory = ? and user_id = ?"
_ASKED: Final = 500
"""So many users are looked up by one statement."""


class Owned(Struct, frozen=True, array_like=True, gc=False):
    """One attribute of one user: `times` in a row the run `run` and those before it wrote the same."""

    run: str
    value: str | None
    fingerprint: str | None = None
    times: int = 1


Attributes = dict[str, Owned]
Taken = tuple[UserRef, Sequence[AttributeChange], Sequence[AttributeChange]]
"""A user, what a run has made ours there, and what is ours no longer."""
_decode = json.Decoder(Attributes).decode


class Ownership:
    """What is ours in one directory. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str) -> None:
        self._database = database
        self._directory = directory

    def everything(self) -> Iterator[tuple[UserRef, Attributes]]:
        """Every user that holds something of ours."""
        return self._decoded(_ALL)

    def rewritten(self) -> Iterator[tuple[UserRef, Attributes]]:
        """The users to whom the same was written more than once running."""
        return self._decoded(f"{_ALL} and times > 1")

    def of(self, users: Sequence[str]) -> dict[str, tuple[UserRef, Attributes]]:
        """By user id what is ours, of those of these users that hold something of ours."""
        found = {}
        for start in range(0, len(users), _ASKED):
            some = users[start : start + _ASKED]
            places = ", ".join("?" * len(some))
            for user, attributes in self._decoded(f"{_ALL} and user_id in ({places})", *some):
                found[user.id] = (user, attributes)
        return found

    def note(self, transaction: Transaction, run: str, taken: Sequence[Taken]) -> None:
        """Note what this run has made ours, and what is ours no longer; what is both has been set after all."""
        users = {user.id: user for user, _, _ in taken}
        known = self.of(list(users))
        held: dict[str, Attributes] = {id_: known[id_][1] if id_ in known else {} for id_ in users}
        for user, _, gone in taken:
            for each in gone:
                held[user.id].pop(each.name, None)
        for user, owned, _ in taken:
            attributes = held[user.id]
            for each in owned:
                value, before = digest_of_values(each), attributes.get(each.name)
                times = before.times + 1 if before is not None and before.value == value else 1
                attributes[each.name] = Owned(run, value, each.fingerprint or None, times)
        self.keep(transaction, ((users[id_], attributes) for id_, attributes in held.items()))

    def keep(self, transaction: Transaction, held: Iterable[tuple[UserRef, Attributes]]) -> None:
        """Replace what is known of these users, each of which comes once."""
        rows, gone = [], []
        for user, attributes in held:
            if attributes:
                rows.append((self._directory, user.id, user.name, *_encoded(attributes)))
            else:
                gone.append((self._directory, user.id))
        transaction.executemany(_KEEP, rows)
        transaction.executemany(_FORGET, gone)

    def _decoded(self, sql: str, *values: str) -> Iterator[tuple[UserRef, Attributes]]:
        try:
            for id_, name, attributes in self._database.rows(sql, self._directory, *values):
                yield UserRef(id_, name), _decode(attributes)
        except (DecodeError, ValidationError, TypeError) as fault:
            why = "the state is damaged: what was written by earlier runs cannot be read"
            raise StateError(why, where=self._database.where) from fault


def _encoded(attributes: Attributes) -> tuple[str, int]:
    return json.encode(attributes).decode(), max([each.times for each in attributes.values()])
