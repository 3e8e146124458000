"""LDAP servers as readers: the port's questions as searches and compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import chain

from msgspec.structs import replace

from connector.directories.common.entries import find_filtered, nobody_within
from connector.directories.common.ldap_filters import (
    ANYTHING,
    Or,
    Present,
    select_left_out,
)
from connector.directories.ldap import administration
from connector.directories.ldap.administration import RightsCheck
from connector.directories.ldap.connection import connect_server
from connector.directories.ldap.dialect import AccessRight
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import NOTHING
from connector.directories.ldap.searches import (
    JobRealm,
    compare_values,
    plan_lookups,
    read_values,
)
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.errors import TruncatedError
from connector.model import (
    ID,
    AttributeInfo,
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
from connector.settings.ldap import LdapDirectory as Settings

_MANY = 1000
"""So many entries are counted at most."""
_QUESTIONS = 64
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
        self._given = JobRealm.from_settings(settings)
        self._past = past
        self._unread = unread
        self._seen: bool | None = None
        """Whether a look-up or a scan has found anybody; None: none came to its end."""

    @cached_property
    def _wire(self) -> Wire:
        return connect_server(self._settings, self._password)

    @cached_property
    def _realm(self) -> JobRealm:
        if not self._past:
            return self._given
        context = self._inspection.naming_context
        bases = [context] if context else self._settings.base
        return replace(self._given, bases=bases)

    @property
    def _page_size(self) -> int:
        """Entries a page; 0: the job wants none, or the server lists no paging."""
        return (
            self._settings.page_size if self._inspection.dialect.controls.pages else 0
        )

    @property
    def _question_window(self) -> int:
        return min(self._settings.window, _QUESTIONS)

    @cached_property
    def _inspection(self) -> Inspection:
        return Inspection(
            self._wire, self._settings.base, self._settings.id, unread=self._unread
        )

    @cached_property
    def _users(self) -> UserDecoder:
        return UserDecoder(self._whole_view, self._inspection)

    @cached_property
    def _whole_view(self) -> View:
        return self._inspection.schema.widen_view(self._view)

    def describe(self) -> Description:
        """What the root DSE and the schema say. What is readable is not known, where the schema does not tell that."""
        described = self._description
        cautions = (*described.cautions, *self._note_limits())
        return replace(described, cautions=cautions)

    def _note_limits(self) -> Iterator[str]:
        """What reading has shown of the server's limits."""
        most = self._wire.most
        if most is not None:
            yield f"the server's size limit is below `page_size`: pages of {most} entries were asked for instead"
        if self._seen is False and self._caution_of_nobody:
            yield self._caution_of_nobody

    @cached_property
    def _caution_of_nobody(self) -> str:
        """That nobody is within the filter, where it is so. Raises one of the kinds of IncompleteRead."""
        for search in self._realm.search_all(NOTHING):
            if self._wire.count_entries(search, 1)[0]:
                return ""
        total, has_more = 0, False
        for search in replace(self._realm, filter=ANYTHING).search_all(NOTHING):
            count, is_cut = self._wire.count_entries(search, _MANY)
            total += count
            has_more = has_more or is_cut
        counted = f"{total} or more entries" if has_more else f"{total} entries"
        settings = self._settings
        where = " and ".join(settings.base)
        rights = "the account's rights to search by its attributes"
        return nobody_within(counted, where, settings.filter, rights)

    @cached_property
    def _description(self) -> Description:
        names, classes = self._whole_view.attributes, self._view.object_classes
        schema = self._inspection.schema
        described = self._inspection.describe_server(names, classes)
        scope = replace(
            described.scope,
            bases=tuple(self._settings.base),
            one_level=self._settings.scope == "onelevel",
            filtered=find_filtered(self._given.filter, schema, self._view),
        )
        writing = replace(described.writing, by_value=True)
        found = replace(described, scope=scope, writing=writing)
        return self._rights_check.note_checks(found)

    @cached_property
    def _rights_check(self) -> RightsCheck:
        account = self._settings.bind_dn
        return RightsCheck(self._inspection, account, self._question_window)

    def size(self) -> int | None:
        """None: what servers estimate beside a page is left alone, and the caller finds out as it reads."""
        return None

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        """Equality terms, many to a search, and a few searches in flight."""
        return self._find_users(keys, self._users, self._realm)

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        attributes = self._users.attributes
        if holding:
            shown = Or(tuple(map(Present, holding)))
            searches = self._realm.search_holding(shown, attributes)
        else:
            searches = self._realm.search_all(attributes)
        pages = (
            self._wire.search_paged(search, self._page_size, self._users.decode_user)
            for search in searches
        )
        return self._complete_users(
            chain.from_iterable(pages), self._users, self._realm
        )

    def read(
        self, users: Iterable[UserRef], *, disabled: bool = False
    ) -> Iterator[User]:
        """By name, or where the server takes that by id, many in flight; the renamed that no name finds by id."""
        return self._read_users(users, self._users, disabled=disabled)

    def _read_users(
        self,
        users: Iterable[UserRef],
        shown: UserDecoder,
        *,
        disabled: bool,
    ) -> Iterator[User]:
        missing = {ref.id: ref for ref in users}
        for user in self._read_named([*missing.values()], shown, self._realm):
            del missing[user.id]
            yield user
        if disabled and missing and self._disabled_realm is not None:
            left = [*missing.values()]
            for user in self._read_named(left, shown, self._disabled_realm):
                yield replace(user, disabled=True)

    def _read_named(
        self,
        wanted: Sequence[UserRef],
        shown: UserDecoder,
        realm: JobRealm,
    ) -> Iterator[User]:
        dialect = self._inspection.dialect
        by_id = dialect.takes_guid_names
        names = dict.fromkeys(
            dialect.address_of(ref)
            for ref in wanted
            if by_id or realm.covers_name(ref.name)
        )
        searches = (realm.search_named(name, shown.attributes) for name in names)
        missing = dict.fromkeys(ref.id for ref in wanted)
        found = self._wire.search_many(
            searches, self._question_window, shown.decode_user, or_gone=True
        )
        for user in self._complete_users(found, shown, realm):
            if user.id in missing and (not by_id or realm.covers_name(user.name)):
                del missing[user.id]
                yield user
        if not by_id:
            yield from self._read_renamed(set(missing), shown, realm)

    def _read_renamed(
        self,
        ids: Collection[str],
        shown: UserDecoder,
        realm: JobRealm,
    ) -> Iterator[User]:
        """Users that have another name by now; of two of one id (`directory.id`) nobody knows which."""
        found = self._find_users(((ID, id_) for id_ in ids), shown, realm)
        renamed = {user.ref: user for user in found if user.id in ids}
        count = Counter(ref.id for ref in renamed)
        for ref, user in renamed.items():
            if count[ref.id] == 1:
                yield user

    @cached_property
    def _disabled_realm(self) -> JobRealm | None:
        """Those whom the filter leaves out since they are disabled; None: it does not look at that."""
        mark = self._inspection.dialect.disabled
        filter_ = select_left_out(self._realm.filter, mark)
        if not filter_:
            return None
        return replace(self._realm, filter=filter_)

    def _find_users(
        self,
        keys: Iterable[Key],
        shown: UserDecoder,
        realm: JobRealm,
    ) -> Iterator[User]:
        dialect, size = self._inspection.dialect, self._page_size
        found = self._wire.search_many(
            plan_lookups(keys, realm, dialect, shown.attributes),
            dialect.searches.batches,
            shown.decode_user,
            or_gone=True,
            pages=size,
        )
        return self._complete_users(found, shown, realm)

    def _complete_users(
        self,
        found: Iterable[User],
        shown: UserDecoder,
        realm: JobRealm,
    ) -> Iterator[User]:
        """With all values of attributes that have too many for one answer; who goes while it is read is left out."""
        unfinished, own = shown.unfinished, realm is self._realm
        for user in found:
            whole: User | None = user
            if unfinished and user.id in unfinished:
                whole = self._read_rest(user, shown, realm)
            if whole is not None:
                self._seen = self._seen or own
                yield whole
        self._seen = bool(self._seen)

    def _read_rest(
        self,
        user: User,
        shown: UserDecoder,
        realm: JobRealm,
    ) -> User | None:
        """The user with the values that are still to come, asked for piece by piece; None where it is gone.

        Active Directory sends 1,500 values of an attribute (MaxValRange), under a name that
        says which: `member;range=0-1499`. What follows is asked for as
        `member;range=1500-*`, until a name ends in `*` ([MS-ADTS] 3.1.1.3.1.3.3).
        """
        values = dict(user.values)
        is_user = self._inspection.dialect.user_filter(user.id)
        missing = shown.unfinished.pop(user.id)
        while missing:
            ranges = [f"{name};range={start}-*" for name, start in missing.items()]
            searches = realm.search_holding(is_user, (*ranges, shown.id_attribute))
            answers = self._wire.search_many(searches, 1, shown.decode_user)
            found = [each for each in answers if each.id == user.id]
            if not found:
                return None
            following = shown.unfinished.pop(user.id, {})
            for name, start in following.items():
                if start <= missing.get(name, start):
                    why = f"the server sends no more values of {', '.join(following)}"
                    raise TruncatedError(why, where=self._wire.where)
            for name in missing:
                values[name] = (*values.get(name, ()), *found[0].values.get(name, ()))
            missing = following
        return replace(user, values=values)

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        """By comparing, many in flight; on servers where that tells nothing, by reading."""
        wire, window, inspection = self._wire, self._question_window, self._inspection
        dialect = inspection.dialect
        is_user = dialect.user_filter
        if dialect.microsoft:
            return read_values(wire, questions, window, is_user, inspection.info)
        key, asserted = inspection.schema.attribute_key, dialect.controls.assertions
        return compare_values(wire, questions, window, is_user, key, asserted=asserted)

    def preflight(self, changes: Iterable[Change]) -> Iterator[Objection]:
        return self._rights_check.find_objections(changes)

    def right_to_compare(self, name: str) -> str:
        """What to grant, so that a secret can be compared; nothing on servers where comparing tells nothing."""
        inspection = self._inspection
        if inspection.dialect.microsoft or not inspection.info(name).comparable:
            return ""
        what = f"write and compare {name}"
        return self._wire.rights.advise_grant(what, [name], AccessRight.BLIND, [name])

    def index_notes(self, names: Iterable[str]) -> Iterator[str]:
        """What is to be said of equality indexes for look-ups by id and by these attributes."""
        return administration.describe_missing_indexes(self._inspection, names)

    def list_indexed(self) -> list[AttributeInfo] | None:
        """The attributes that have an equality index; None where the server does not show this account which."""
        found = administration.find_indexed(self._inspection)
        if found is None:
            return None
        types = self._inspection.schema.types
        return [types[name] for name in sorted(found) if name in types]

    def access_rules(self, written: Sequence[str], sought: Sequence[str]) -> list[str]:
        """What this account needs for a mapping, as a file that its server takes."""
        rules = administration.write_access_rules(
            self._inspection, self._view, self._given.filter, written, sought
        )
        return list(rules)

    def close(self) -> None:
        if "_wire" in vars(self):
            self._wire.close()
