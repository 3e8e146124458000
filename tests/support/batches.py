"""Users in batches, as a reader may have them (`Reader.batches`), of users one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

from connector.model import OBJECT_CLASS, Batch, Texts, User

MOST = 3
"""Users of a batch: small, so that laws meet several batches and users beside them."""


def in_batches(users: Iterable[User]) -> Iterator[User | Batch]:
    """The same users, those next to one another in one batch that show one value each of the same attributes."""
    for (single, _), alike in groupby(users, _shown):
        while some := list(islice(alike, MOST)):
            if len(some) == 1 or some[0].disabled:
                yield from some
                continue
            columns = {name: [user.values[name][0] for user in some] for name in single}
            shared = {name: held for name, held in some[0].values.items() if name not in single}
            inactive = [user.inactive for user in some]
            ids, names = Texts.of([user.id for user in some]), Texts.of([user.name for user in some])
            yield Batch(ids, names, columns, shared, inactive)


def each_user(found: Iterable[User | Batch]) -> Iterator[User]:
    """One by one again."""
    for each in found:
        if isinstance(each, Batch):
            yield from each.users()
        else:
            yield each


def _shown(user: User) -> tuple[set[str], dict[str, object]]:
    """The attributes of which a user shows one value, and all else that it shows."""
    single = {name for name, held in user.values.items() if len(held) == 1 and name != OBJECT_CLASS}
    return single, {name: held for name, held in user.values.items() if name not in single}
