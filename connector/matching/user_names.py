"""How people name users in their lists, by id or by name, and how the directory's schema compares these."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from functools import lru_cache
from typing import Final

from connector.model import (
    ID,
    NAME,
    Description,
    Equality,
    Holds,
    Key,
    User,
    UserRef,
    Value,
    dn,
    equality,
)

_GUID: Final = re.compile(
    r"(?:<GUID=)?\{?([0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12})\}?>?"
)
"""An id as Active Directory's tools write it: `{GUID}`, `<GUID=…>`, or bare."""

USUAL_NAMES: Final = ("uid", "mail", "sAMAccountName", "userPrincipalName")
"""Attributes of LDAP by which people know a user (RFC 4519 §2.39, RFC 4524 §2.16, Active Directory)."""


class NameRules:
    """The names and ids of one directory's users."""

    def __init__(self, description: Description) -> None:
        self._names = description.naming.names
        self._ids = description.naming.ids
        self._types = description.schema.types
        self._rule_of = description.equality
        # what stands above an entry is shared by most entries
        self._rdn = lru_cache(maxsize=4096)(self._rdn_of)

    def list_keys(self, written: str) -> tuple[Key, ...]:
        """What a user is looked up by. A DN has a `=`, and an id has none; elsewhere a text may be either."""
        if self._names is Equality.DN and (guid := _GUID.fullmatch(written)):
            return ((ID, guid[1]),)
        if self._names is Equality.DN:
            return ((NAME if "=" in written else ID, written),)
        return (NAME, written), (ID, written)

    def list_usual_keys(self, written: str) -> tuple[Key, ...]:
        """What an entry may be looked up by that neither name nor id nor a match attribute tells."""
        if self._names is not Equality.DN:
            return ()
        types = self._types
        known = [name for name in USUAL_NAMES if not types or name.lower() in types]
        return tuple((name, written) for name in known)

    def shows_value(
        self,
        user: User,
        attributes: Iterable[str],
        value: str,
    ) -> bool:
        """Whether the user shows this value in one of these attributes."""
        for attribute in attributes:
            held = user.values.get(attribute, ())
            rule = self._rule_of(attribute)
            if equality.whether_held(rule, held, value) is Holds.SAME:
                return True
        return False

    def id_key(self, value: Value) -> Hashable:
        """What equal ids have in common."""
        return equality.equality_key(self._ids, value)

    def name_key(self, value: Value) -> Hashable:
        """What equal names have in common; in a DN, values compare as their attributes do."""
        if self._names is not Equality.DN or not isinstance(value, str):
            return equality.equality_key(self._names, value)
        try:
            return tuple(map(self._rdn, dn.rdn_texts(value)))
        except ValueError:
            return ("no DN", value)

    def make_test(self, listed: Iterable[str]) -> Callable[[UserRef], bool]:
        """A test whether a user is listed, by id or name; also by a name that some server takes for equal."""
        listed = list(listed)
        ids = {
            self.id_key(value)
            for each in listed
            for kind, value in self.list_keys(each)
            if kind == ID
        }
        names = set(map(self._like_name, listed))
        return lambda user: (
            self.id_key(user.id) in ids or self._like_name(user.name) in names
        )

    def _like_name(self, name: str) -> Hashable:
        return (
            self.name_key(name)
            if self._names is Equality.DN
            else equality.likeness_key(self._names, name)
        )

    def _rdn_of(self, text: str) -> dn.Rdn:
        types = self._types
        found = dn.rdn_key(text, self._rule_of_type)
        return frozenset(
            (types[kind].name.lower() if kind in types else kind, value)
            for kind, value in found
        )

    def _rule_of_type(self, kind: str) -> Equality:
        info = self._types.get(kind)
        return info.equality if info and info.comparable else Equality.CASE_IGNORE
