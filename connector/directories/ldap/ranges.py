"""Attributes with more values than a server sends at once: the rest is asked for, piece by piece.

Active Directory sends 1,500 values of an attribute (MaxValRange), under a name that says which: `member;range=0-1499`.
What follows is asked for as `member;range=1500-*`, until a name ends in `*` ([MS-ADTS] 3.1.1.3.1.3.3).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from connector.directories.ldap.requests import Search
from connector.directories.ldap.users import Users
from connector.directories.ldap.wire import Wire
from connector.errors import TruncatedError
from connector.model import User

Asking = Callable[[str, tuple[str, ...]], Search]
"""A search for one user, by id, and for these attributes of it."""


def whole(found: Iterable[User], users: Users, wire: Wire, asking: Asking) -> Iterator[User]:
    """The users with all of their values; one that goes while it is read is left out."""
    for user in found:
        if user.id not in users.unfinished:
            yield user
        elif (complete := _completed(user, users, wire, asking)) is not None:
            yield complete


def _completed(user: User, users: Users, wire: Wire, asking: Asking) -> User | None:
    values = dict(user.values)
    missing = users.unfinished.pop(user.id)
    while missing:
        attributes = tuple(f"{name};range={start}-*" for name, start in missing.items())
        search = asking(user.id, (*attributes, users.id_attribute))
        found = [each for each in wire.searches([search], 1, users.user) if each.id == user.id]
        if not found:
            return None
        following = users.unfinished.pop(user.id, {})
        if any(start <= missing.get(name, start) for name, start in following.items()):
            raise TruncatedError(f"the server sends no more values of {', '.join(following)}", where=wire.where)
        for name in missing:
            values[name] = (*values[name], *found[0].values.get(name, ()))
        missing = following
    return User(user.id, user.name, values)
