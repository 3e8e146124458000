"""LDAP servers as directories: what a reader is asked, and changes as modifications."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property

from msgspec.structs import replace

from connector.directories.ldap.looking import Looker
from connector.directories.ldap.modifying import Modifier
from connector.directories.ldap.post_read import PostRead
from connector.directories.ldap.proving import Assertions
from connector.directories.ldap.reader import LdapReader
from connector.directories.ldap.users import Users
from connector.directories.ldap.writing import Queue, Writer, skipped
from connector.errors import IncompleteRead
from connector.model import Change, Outcome, User, UserRef


class LdapDirectory(LdapReader):
    """An LDAP server, for reading and writing."""

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        """Modifications, as many in flight as the job's window, and never two of one entry."""
        queue = Queue(changes)
        bound = self._settings.bind_dn or self._settings.sasl
        try:
            writer = Writer(
                self._wire,
                self._modifier,
                self._post_read,
                window=self._settings.window if bound else self._questions,
                covers=self._realm.covers,
                looker=Looker(
                    self._modifier,
                    self._marked,
                    self.holds,
                    self._whole_view.attributes,
                    self._assertions,
                ),
            )
        except IncompleteRead as fault:
            yield from skipped(queue, fault)
            return
        yield from writer.write(queue)

    @cached_property
    def _modifier(self) -> Modifier:
        inspection = self._inspection
        disabled = (
            self._disabled.filter if self._disabled and self._view.disabled else None
        )
        rules = inspection.info, inspection.rules
        return Modifier(
            inspection.dialect,
            self._realm.filter,
            *rules,
            disabled,
            rights=self._wire.rights,
        )

    def _noticed(self) -> Iterator[str]:
        yield from super()._noticed()
        yield from self._assertions.cautions()
        yield from self._post_read.cautions()

    @cached_property
    def _assertions(self) -> Assertions:
        return Assertions(self._wire, self._modifier, self._marked)

    @cached_property
    def _post_read(self) -> PostRead:
        return PostRead(self._inspection, self._users, self._realm.filter)

    def _marked(self, users: Iterable[UserRef]) -> Iterator[User]:
        """As they are now, with the mark of the entry's last change where the server keeps one."""
        return self._read(users, self._users_with_marks, disabled=self._view.disabled)

    @cached_property
    def _users_with_marks(self) -> Users:
        mark, view = self._inspection.dialect.mark, self._whole_view
        marked = replace(view, attributes=(*view.attributes, *([mark] if mark else ())))
        return Users(marked, self._inspection)
