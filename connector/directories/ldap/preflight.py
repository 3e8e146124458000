"""What a server, asked without writing, has against changes: rights that we lack, values and names that are not free.

Nothing here is asked for users that stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from msgspec import Struct

from connector.directories.common.changing import octets
from connector.directories.common.schema import base_of
from connector.directories.ldap import requests, results
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import NOTHING, Search, one
from connector.directories.ldap.responses import Entry
from connector.directories.ldap.restrictions import Restrictions
from connector.directories.ldap.rights import Right
from connector.directories.ldap.searches import Realm
from connector.directories.ldap.wire import Wire
from connector.model import OBJECT_CLASS, AttributeChange, Change, Objection, Syntax
from connector.reconcile.dn import rdns
from connector.reconcile.equality import key, minus

_NO_ENTRY: Final = frozenset({results.NO_SUCH_OBJECT, results.INVALID_DN_SYNTAX})
_ALLOWED: Final = "allowedAttributes"
_EFFECTIVE: Final = "allowedAttributesEffective"
_TEMPLATE: Final = re.compile("objectclass=template_(?P<class>.*?)_objectclass,")
_LEVEL: Final = re.compile(r"([^\s,:]+):([a-zA-Z]+)")
_CLASSES: Final = OBJECT_CLASS.lower()
_DENIED: Final = "the job's account may not write this attribute of this entry"


class Preflight(Struct, frozen=True):
    """The questions of one run to one server."""

    wire: Wire
    inspection: Inspection
    restrictions: Restrictions
    realm: Realm
    window: int

    def of(self, changes: Iterable[Change]) -> Iterator[Objection]:
        told = self.restrictions
        if not (told.rights or told.domains or self.inspection.dialect.microsoft):
            return  # nor need anybody work the changes out
        wanted = list(changes)
        if wanted:
            yield from self.rights(wanted)
            yield from self._held(wanted)
            yield from self._nobody(wanted)

    # ------------------------------------------------------------ rights

    def rights(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """The rights to make these changes that we lack, where the server tells."""
        told = self.restrictions
        if told.rights == "allowed":
            yield from self._allowed(changes)
        elif told.rights == "effective" and told.who:
            yield from self._effective(changes, told.who)

    def _allowed(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """Active Directory works out which attributes we may write ([MS-ADTS] 3.1.1.4.5.9).

        It lists those that the entry's classes allow now, so that of one whose class comes
        with the change nothing is known.
        """
        searches = (
            (each, one(each.user.name, (_ALLOWED, _EFFECTIVE))) for each in changes
        )
        for change, found in self.wire.entries(searches, self.window):
            listed = {
                name: {value.lower() for value in some}
                for name, some in found.texts().items()
            }
            denied = listed.get(_ALLOWED.lower(), set()) - listed.get(
                _EFFECTIVE.lower(), set()
            )
            for each in _written(change):
                names = self.inspection.info(each.name).aliases | {
                    base_of(each.name).lower()
                }
                if not names.isdisjoint(denied):
                    yield Objection(
                        change.user.id, each.name, "rights", self._denied(each)
                    )

    def _effective(self, changes: Sequence[Change], who: str) -> Iterator[Objection]:
        """389-DS tells the rights of whoever is named, to themselves at least (draft-ietf-ldapext-acl-model).

        Of an attribute that the entry's classes do not allow it says none; so of one whose
        class comes with the change the rights are asked for in an entry of that class
        (`name@class`), which the server makes up below the user's. A rule for entries like
        the user's may not hold for the made-up one: what is denied there counts only where
        both are alike in what may be done with objectClass.
        """
        control = (requests.effective_rights(who),)
        searches = (
            (each, one(each.user.name, tuple(dict.fromkeys(self._asked(each)))))
            for each in changes
        )
        shown: dict[str, dict[str, str]] = {}
        made_up: dict[tuple[str, str], dict[str, str]] = {}
        for change, found in self.wire.entries(searches, self.window, control):
            template = _TEMPLATE.match(found.dn.lower())
            if template:
                made_up[change.user.id, template["class"]] = dict(_levels(found))
            else:
                shown[change.user.id] = dict(_levels(found))
        for change in changes:
            ours = shown.get(change.user.id, {})
            for each in _written(change):
                coming = self._class_of(change, each)
                rights = (
                    made_up.get((change.user.id, coming.lower()), {})
                    if coming
                    else ours
                )
                alike = rights.get(_CLASSES) == ours.get(_CLASSES)
                letters = rights.get(base_of(each.name).lower()) if alike else None
                needed = ("w" if each.new else "") + (
                    "o" if each.old or not each.seen else ""
                )
                if letters is not None and not set(needed) <= set(letters):
                    yield Objection(
                        change.user.id, each.name, "rights", self._denied(each)
                    )

    def _denied(self, each: AttributeChange) -> str:
        secrets = [each.name] if each.secret else []
        grant = self.wire.rights.grant(
            f"write {each.name}", [base_of(each.name)], Right.WRITE, secrets
        )
        return f"{_DENIED}. {grant}"

    def _asked(self, change: Change) -> Iterator[str]:
        yield OBJECT_CLASS
        for each in _written(change):
            coming = self._class_of(change, each)
            if coming:
                yield f"{OBJECT_CLASS}@{coming}"
            yield f"{base_of(each.name)}@{coming}" if coming else base_of(each.name)

    def _class_of(self, change: Change, written: AttributeChange) -> str | None:
        """The class that comes with the change and allows the attribute."""
        classes = self.inspection.info(written.name).classes
        coming = (
            str(name)
            for each in change.attributes
            if each.name == OBJECT_CLASS
            for name in each.new
        )
        return next((name for name in coming if name.lower() in classes), None)

    # ------------------------------------------------------------ values that one entry
    # alone may hold

    def _held(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """Values that others hold, and of domains that the plan does not see through, values that are set twice."""
        domains = self.restrictions.domains
        given: dict[tuple[int, object], str] = {}
        searches: list[tuple[tuple[Change, AttributeChange], Search]] = []
        for change in changes if domains else ():
            for each in _written(change):
                info = self.inspection.info(each.name)
                name = self.inspection.schema.key(each.name)
                for number, domain in enumerate(domains):
                    for value in (
                        minus(info.equality, each.new, each.old)
                        if domain.minds(name)
                        else ()
                    ):
                        stored = octets(value)
                        searches.append(((change, each), domain.holders(name, stored)))
                        first = given.setdefault(
                            (number, key(info.equality, stored)), change.user.id
                        )
                        if first != change.user.id and not self.restrictions.unique(
                            each.name
                        ):
                            why = "the directory keeps this value unique, and another user of this plan gets it"
                            yield Objection(change.user.id, each.name, "shared", why)
        found = [
            (about, entry.dn)
            for about, entry in self.wire.entries(searches, self.window)
        ]
        others = [
            (about, name)
            for about, name in found
            if rdns(name) != rdns(about[0].user.name)
        ]
        seen = self._users(
            {name for (_, each), name in others if self.restrictions.unique(each.name)}
        )
        for (change, each), name in others:
            if not (name in seen and self.restrictions.unique(each.name)):
                why = "the directory keeps this value unique, and another entry has it"
                yield Objection(change.user.id, each.name, "reassigned", why)

    def _users(self, names: Iterable[str]) -> set[str]:
        """Those of the names that are of users of the job, about whom the plan sees to it itself."""
        wanted = (
            (name, self.realm.named(name, NOTHING))
            for name in names
            if self.realm.covers(name)
        )
        return {name for name, _ in self.wire.entries(wanted, self.window)}

    # ------------------------------------------------------------ names of nobody

    def _nobody(self, changes: Sequence[Change]) -> Iterator[Objection]:
        """Active Directory takes the name of an entry only where there is one."""
        if not self.inspection.dialect.microsoft:
            return
        asked = [
            ((change, each.name), one(value))
            for change in changes
            for each in _written(change)
            if self.inspection.info(each.name).syntax is Syntax.DN
            for value in each.new
            if isinstance(value, str)
        ]
        for (change, name), end in self.wire.ends(asked, self.window):
            if end.code in _NO_ENTRY:
                yield Objection(
                    change.user.id,
                    name,
                    "value",
                    "it is the DN of an entry that does not exist",
                )


def _written(change: Change) -> Iterator[AttributeChange]:
    """The attributes of a change, but for object classes, of which no server tells enough.

    389-DS shows no right to write them where the values decide (targattrfilters), and
    Active Directory none at all.
    """
    return (each for each in change.attributes if each.name != OBJECT_CLASS)


def _levels(found: Entry) -> Iterator[tuple[str, str]]:
    """The letters of each attribute: w, values may be added; o, values may be taken out."""
    for value in found.texts().get("attributelevelrights", ()):
        for attribute, letters in _LEVEL.findall(value):
            yield attribute.lower(), "" if letters == "none" else letters
