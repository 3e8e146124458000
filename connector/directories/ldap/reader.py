"""LDAP servers as readers: the port's questions as searches and compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain
from typing import Final

from msgspec.structs import replace

from connector.directories.common.disabled import left_out
from connector.directories.common.ldap_filters import ANYTHING, Equal, Or, Present
from connector.directories.common.scope import filtered, nobody_within
from connector.directories.ldap import access_file, holding, indexes
from connector.directories.ldap.connection import connect
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.preflight import Preflight
from connector.directories.ldap.restrictions import Restrictions
from connector.directories.ldap.rights import Right
from connector.directories.ldap.searches import Realm, lookups
from connector.directories.ldap.users import Users
from connector.directories.ldap.wire import Wire
from connector.errors import TruncatedError
from connector.model import (
    ID,
    OBJECT_CLASS,
    AttributeInfo,
    Batch,
    Change,
    Description,
    Holds,
    Key,
    Objection,
    Question,
    Secret,
    User,
    UserRef,
    View,
)
from connector.reconcile.dn import rdns
from connector.settings.ldap import LdapDirectory as Settings

_MANY: Final = 1000
"""So many entries are counted at most."""
_USERS: Final = Or(
    tuple(
        Equal(OBJECT_CLASS, name) for name in (b"person", b"account", b"posixAccount")
    )
)
_ALL: Final = (("users", _USERS), ("entries", ANYTHING))
"""Whom a filter leaves out: users, or where there are none, whatever is there."""
_QUESTIONS: Final = 64
"""So many reads and comparisons are in flight at most. OpenLDAP hangs up on a client that has
not bound and has more than a hundred requests waiting (slapd.conf(5), conn_max_pending)."""


class LdapReader:
    """An LDAP server, for reading. It is connected to at first use, and the reader stays with that one server.

    Every method raises one of the kinds of IncompleteRead, or FileError where the
    certificates that the job names are of no use; the constructor raises FileError for a
    base or a filter that is none. `past`: users are looked for in the whole naming context
    that the base is in. `unread`: the server's schema is not read, which takes long.
    """

    def __init__(
        self,
        settings: Settings,
        password: Secret | None,
        view: View,
        *,
        past: bool = False,
        unread: bool = False,
    ) -> None:
        self._settings = settings
        self._password = password
        self._view = view
        self._given = Realm.of(settings)
        self._past = past
        self._unread = unread
        self._seen: bool | None = None
        """Whether a look-up or a scan has found anybody; None: none came to its end."""

    @cached_property
    def _wire(self) -> Wire:
        return connect(self._settings, self._password)

    @cached_property
    def _realm(self) -> Realm:
        if not self._past:
            return self._given
        bases = (
            [self._inspection.context]
            if self._inspection.context
            else self._settings.base
        )
        return replace(self._given, bases=bases, rdns=[rdns(base) for base in bases])

    @property
    def _page_size(self) -> int:
        """Entries a page; 0: the job wants none, or the server lists no paging."""
        return self._settings.page_size if self._inspection.dialect.pages else 0

    @property
    def _questions(self) -> int:
        return min(self._settings.window, _QUESTIONS)

    @cached_property
    def _inspection(self) -> Inspection:
        return Inspection(
            self._wire, self._settings.base, self._settings.id, unread=self._unread
        )

    @cached_property
    def _users(self) -> Users:
        return Users(self._whole_view, self._inspection)

    @cached_property
    def _whole_view(self) -> View:
        return self._inspection.schema.widened(self._view)

    def describe(self) -> Description:
        """What the root DSE and the schema say. What is readable is not known, where the schema does not tell that."""
        described = self._description
        return replace(described, cautions=(*described.cautions, *self._noticed()))

    def _noticed(self) -> Iterator[str]:
        most = self._wire.most
        if most is not None:
            yield f"the server's size limit is below `page_size`: pages of {most} entries were asked for instead"
        if self._seen is False and self._nobody:
            yield self._nobody

    @cached_property
    def _nobody(self) -> str:
        """That nobody is within the filter, where it is so. Raises one of the kinds of IncompleteRead."""
        settings = self._settings
        if self._count(self._realm, 1)[0]:
            return ""
        realms = (
            (what, replace(self._realm, filter=everybody)) for what, everybody in _ALL
        )
        counts = ((what, self._count(realm, _MANY)) for what, realm in realms)
        what, (there, more) = next(
            ((what, found) for what, found in counts if found[0]),
            ("entries", (0, False)),
        )
        count = f"{there} or more" if more else str(there)
        rights = "the account's rights to search by its attributes"
        return nobody_within(
            f"{count} {what}", " and ".join(settings.base), settings.filter, rights
        )

    def _count(self, realm: Realm, most: int) -> tuple[int, bool]:
        """How many entries are shown, and whether there are more."""
        found = [self._wire.count(search, most) for search in realm.all(("1.1",))]
        return sum(count for count, _ in found), any(more for _, more in found)

    @cached_property
    def _description(self) -> Description:
        found = self._inspection.describe(
            self._whole_view.attributes, self._view.object_classes
        )
        one_level = self._settings.scope == "onelevel"
        looks_at = filtered(self._given.filter, self._inspection.schema, self._view)
        bases = tuple(self._settings.base)
        found = replace(
            found, bases=bases, one_level=one_level, by_value=True, filtered=looks_at
        )
        return self._restrictions.described(found)

    @cached_property
    def _restrictions(self) -> Restrictions:
        return Restrictions(
            self._wire, self._inspection, self._settings.base, self._settings.bind_dn
        )

    def size(self) -> int | None:
        """The server's own estimate beside a page of one entry (RFC 2696 §3), where it is of a kind that gives one."""
        if not (self._page_size and self._inspection.dialect.estimates):
            return None
        sizes = [self._wire.estimate(search) for search in self._realm.all(("1.1",))]
        return None if None in sizes else sum(filter(None, sizes))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """Equality terms, many to a search, and a few searches in flight."""
        return self._found(keys, self._users, self._realm)

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        attributes = self._users.attributes
        shown = Or(tuple(map(Present, holding)))
        searches = (
            self._realm.holding(shown, attributes)
            if holding
            else self._realm.all(attributes)
        )
        pages = (
            self._wire.paged(search, self._page_size, self._users.user)
            for search in searches
        )
        return self._whole(chain.from_iterable(pages), self._users, self._realm)

    def batches(self) -> Iterator[User | Batch]:
        users = self._users
        for search in self._realm.all(users.attributes):
            for each in self._wire.paged(
                search, self._page_size, users.user, users.batches
            ):
                self._seen = self._seen or isinstance(each, Batch)
                yield from (
                    (each,)
                    if isinstance(each, Batch)
                    else self._whole((each,), users, self._realm)
                )
        self._seen = bool(self._seen)

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        """By name, or where the server takes that by id, many in flight; the renamed that no name finds by id."""
        return self._read(users, self._users, disabled=disabled)

    def _read(
        self, users: Iterable[UserRef], shown: Users, *, disabled: bool
    ) -> Iterator[User]:
        missing = {ref.id: ref for ref in users}
        for user in self._named(list(missing.values()), shown, self._realm):
            del missing[user.id]
            yield user
        realm = self._disabled if disabled and missing else None
        if realm is not None:
            yield from (
                replace(user, disabled=True)
                for user in self._named(list(missing.values()), shown, realm)
            )

    def _named(
        self, wanted: Sequence[UserRef], shown: Users, realm: Realm
    ) -> Iterator[User]:
        by_id = self._inspection.dialect.by_guid
        address = self._inspection.dialect.address
        names = dict.fromkeys(
            address(ref) for ref in wanted if by_id or realm.covers(ref.name)
        )
        searches = (realm.named(name, shown.attributes) for name in names)
        missing = dict.fromkeys(ref.id for ref in wanted)
        found = self._wire.searches(searches, self._questions, shown.user, or_gone=True)
        for user in self._whole(found, shown, realm):
            if user.id in missing and (not by_id or realm.covers(user.name)):
                del missing[user.id]
                yield user
        if not by_id:
            ids = ((ID, id_) for id_ in list(missing))
            renamed = {
                user.ref: user
                for user in self._found(ids, shown, realm)
                if user.id in missing
            }
            # two of one id (`directory.id`): nobody knows which
            shared = Counter(ref.id for ref in renamed)
            yield from (user for ref, user in renamed.items() if shared[ref.id] == 1)

    @cached_property
    def _disabled(self) -> Realm | None:
        """Those whom the filter leaves out since they are disabled; None: it does not look at that."""
        filter_ = left_out(self._realm.filter, self._inspection.dialect.disabled)
        return replace(self._realm, filter=filter_) if filter_ else None

    def _found(self, keys: Iterable[Key], shown: Users, realm: Realm) -> Iterator[User]:
        dialect = self._inspection.dialect
        searches = lookups(keys, realm, dialect, shown.attributes)
        found = self._wire.searches(
            searches, dialect.batches, shown.user, or_gone=True, pages=self._page_size
        )
        return self._whole(found, shown, realm)

    def _whole(
        self, found: Iterable[User], shown: Users, realm: Realm
    ) -> Iterator[User]:
        """With all values of attributes that have too many for one answer; who goes while it is read is left out."""
        unfinished, own = shown.unfinished, realm is self._realm
        for user in found:
            whole = (
                self._completed(user, shown, realm)
                if unfinished and user.id in unfinished
                else user
            )
            if whole is not None:
                self._seen = self._seen or own
                yield whole
        self._seen = bool(self._seen)

    def _completed(self, user: User, shown: Users, realm: Realm) -> User | None:
        """The user with the values that are still to come, asked for piece by piece; None where it is gone.

        Active Directory sends 1,500 values of an attribute (MaxValRange), under a name that
        says which:
        `member;range=0-1499`. What follows is asked for as `member;range=1500-*`, until a name ends in `*` ([MS-ADTS]
        3.1.1.3.1.3.3).
        """
        values = dict(user.values)
        missing = shown.unfinished.pop(user.id)
        while missing:
            attributes = (
                *(f"{name};range={start}-*" for name, start in missing.items()),
                shown.id_attribute,
            )
            searches = realm.holding(
                self._inspection.dialect.is_user(user.id), attributes
            )
            found = [
                each
                for each in self._wire.searches(searches, 1, shown.user)
                if each.id == user.id
            ]
            if not found:
                return None
            following = shown.unfinished.pop(user.id, {})
            if any(
                start <= missing.get(name, start) for name, start in following.items()
            ):
                why = f"the server sends no more values of {', '.join(following)}"
                raise TruncatedError(why, where=self._wire.where)
            for name in missing:
                values[name] = (*values[name], *found[0].values.get(name, ()))
            missing = following
        return replace(user, values=values)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """By comparing, many in flight; on servers where that tells nothing, by reading."""
        dialect, window = self._inspection.dialect, self._questions
        if dialect.microsoft:
            return holding.read(
                self._wire, questions, window, dialect.is_user, self._inspection.info
            )
        key, asserted = self._inspection.schema.key, dialect.assertions
        return holding.told(
            self._wire, questions, window, dialect.is_user, key, asserted=asserted
        )

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        return self._preflight.of(changes)

    def missing_rights(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """The rights to make these changes that the account lacks, where the server tells."""
        return self._preflight.rights(changes)

    @property
    def _preflight(self) -> Preflight:
        return Preflight(
            self._wire,
            self._inspection,
            self._restrictions,
            self._realm,
            self._questions,
        )

    def right_to_compare(self, name: str) -> str:
        """What to grant, so that a secret can be compared; nothing on servers where comparing tells nothing."""
        if (
            self._inspection.dialect.microsoft
            or not self._inspection.info(name).comparable
        ):
            return ""
        return self._wire.rights.grant(
            f"write and compare {name}", [name], Right.BLIND, [name]
        )

    def index_notes(self, names: Iterable[str]) -> Iterator[str]:
        """What is to be said of equality indexes for look-ups by id and by these attributes."""
        return indexes.missing(self._wire, self._inspection, self._settings.base, names)

    def indexed(self) -> list[AttributeInfo] | None:
        """The attributes that have an equality index; None where the server does not show this account which."""
        found = indexes.indexed(self._wire, self._inspection, self._settings.base)
        types = self._inspection.schema.types
        return (
            None
            if found is None
            else [types[name] for name in sorted(found) if name in types]
        )

    def access_rules(
        self, written: Collection[str], sought: Iterable[str]
    ) -> list[str]:
        """What this account needs for a mapping, as a file that its server takes: as of `access_file.rules`."""
        of = self._wire, self._inspection, self._view
        return list(
            access_file.rules(
                *of, filter_=self._given.filter, written=written, sought=sought
            )
        )

    def close(self) -> None:
        if "_wire" in vars(self):
            self._wire.close()
