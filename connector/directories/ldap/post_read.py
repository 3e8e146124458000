"""What the answer to a modify shows of the entry (RFC 4527): the same operation that wrote it read it back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

from connector.directories.common.changing import octets
from connector.directories.common.filter_matching import Matcher, Values, matcher
from connector.directories.common.ldap_filters import Filter, attributes_of
from connector.directories.ldap import requests, responses
from connector.directories.ldap.framing import Frame
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.responses import Response
from connector.directories.ldap.users import Users
from connector.errors import MalformedError
from connector.model import OBJECT_CLASS, Change, User

_CLASSES: Final = OBJECT_CLASS.lower()


class PostRead:
    """Asks for what was written, where the server knows the control, and takes it out of the answers.

    An answer shows a user only where nothing is left to be asked: it is this user by its
    id, and plainly in the job's filter, whose attributes are asked for too since a change
    may take its user out of it. (Out of the base it cannot: a modify renames nobody.) In
    all other cases (an entry that we may not read, a filter that cannot be judged here, a
    server that knows the control by name only) a search has to show the user.

    Behind OpenLDAP's overlay rwm an answer lacks all mapped attributes (measured, 2.6). So
    none is taken for cleared before some answer of this run has shown a value of it.
    """

    def __init__(self, inspection: Inspection, users: Users, filter_: Filter) -> None:
        self._users = users
        self._matches: Matcher | None = None
        with suppress(ValueError):  # a rule that only the server can evaluate
            self._matches = matcher(filter_, inspection.schema)
        self._beside = (
            *sorted(attributes_of(filter_)),
            inspection.dialect.identity.attribute,
        )
        self._known = inspection.dialect.post_read
        self._key = lru_cache(maxsize=1024)(
            lambda name: inspection.schema.key(name.decode("utf-8", "replace"))
        )
        self._shown: set[str] = {OBJECT_CLASS}
        self._lacked: set[str] = set()
        self._of_classes = lru_cache(maxsize=1024)(
            lambda classes: self._judged({_CLASSES: list(map(octets, classes))})
        )
        self._by_class = {
            inspection.schema.key(name) for name in attributes_of(filter_)
        } == {_CLASSES}

    def controls(self, change: Change) -> tuple[bytes, ...]:
        """The control that asks for the attributes of a change, and for what is needed to judge the answer."""
        if not self._known or self._matches is None:
            return ()
        return (
            requests.post_read(
                (*[each.name for each in change.attributes], *self._beside)
            ),
        )

    def user(self, change: Change, response: Response) -> User | None:
        """The user of a change as an answer shows it; None where the answer does not, or not plainly."""
        value = response.controls.get(requests.POST_READ)
        if value is None or self._matches is None:
            return None
        try:
            message = responses.post_read(value)
            user = self._users.user(message)
            if user.id != change.user.id or self._fits(message, user) is not True:
                return None
        except MalformedError:
            return None
        return user if self._shows(change, user) else None

    def _shows(self, change: Change, user: User) -> bool:
        """Whether an answer shows all attributes of a change that it ever would."""
        self._shown.update(user.values)
        silent = [each for each in change.attributes if each.name not in user.values]
        if not silent:
            return True
        self._lacked |= {each.name for each in silent if each.new and not each.secret}
        return all(each.new or each.name in self._shown for each in silent)

    def cautions(self) -> Iterator[str]:
        """Which attributes answers did not show, for the report."""
        if self._lacked:
            names = ", ".join(sorted(self._lacked))
            yield (
                f"the server's answers to writes (RFC 4527) did not show {names} as written. Those users were "
                "read again by search"
            )

    def _fits(self, message: Frame, user: User) -> bool | None:
        """What the filter says of the user. Most look at object classes alone, which many users share."""
        if self._by_class:
            return self._of_classes(user.values.get(OBJECT_CLASS, ()))
        return self._judged(
            {
                self._key(name): values
                for name, values in responses.entry(message).attributes
            }
        )

    def _judged(self, values: Values) -> bool | None:
        return self._matches(values) if self._matches is not None else None
