"""What a server tells of its restrictions beyond the schema: whether it says our rights, and what is unique."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from connector.directories.ldap import dialect, requests, results, uniqueness
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.requests import Search
from connector.directories.ldap.uniqueness import Domain
from connector.directories.ldap.wire import Wire
from connector.model import AttributeInfo, Description

Told = Literal["", "effective", "allowed"]
"""How rights are told: not at all, by 389-DS's control, by Active Directory's attribute."""


class Restrictions(Struct, frozen=True, dict=True):
    """One server's, for users below `bases`; `who` is the DN that we are bound as, where there is one."""

    wire: Wire
    inspection: Inspection
    bases: Sequence[str]
    who: str | None

    @cached_property
    def rights(self) -> Told:
        if self.inspection.dialect.microsoft:
            return "allowed"
        if not (self.inspection.dialect.effective_rights and self.who):
            return ""
        code = self.wire.code(
            requests.one(self.bases[0]), requests.effective_rights(self.who)
        )
        return "effective" if code == results.SUCCESS else ""

    @cached_property
    def _configuration(self) -> tuple[list[Domain] | None, frozenset[str], str]:
        """The domains of unique values, constrained attributes, and what of it is not understood."""
        key = self.inspection.schema.key
        try:
            if self.inspection.dialect.kind == dialect.OPENLDAP.kind:
                found = self._read(uniqueness.OPENLDAP)
                return (
                    uniqueness.of_openldap(found, key),
                    uniqueness.constrained(found, key),
                    "",
                )
            if self.inspection.dialect.kind == dialect.DS389.kind:
                found = self._read(uniqueness.DS389)
                return uniqueness.of_389ds(found, key), frozenset(), ""
        except ValueError as fault:
            return (
                None,
                frozenset(),
                f"a uniqueness rule of the server is not understood: {fault}",
            )
        return ([] if self.inspection.dialect.microsoft else None), frozenset(), ""

    def _read(self, search: Search) -> list[uniqueness.Entry]:
        """Entries of the server's configuration; none where we may not read it."""
        return [{"dn": [entry.dn]} | entry.texts() for entry in self.wire.seen(search)]

    @property
    def domains(self) -> list[Domain]:
        return self._configuration[0] or []

    def unique(self, name: str) -> bool:
        """Whether no two of all the job's users may hold one value of the attribute, so that the plan sees to it."""
        key = self.inspection.schema.key(name)
        return any(
            domain.alone(key) and all(map(domain.over, self.bases))
            for domain in self.domains
        )

    def described(self, description: Description) -> Description:
        domains, constrained, fault = self._configuration
        infos: dict[str, AttributeInfo] = {
            name: replace(info, unique=self.unique(name))
            for name, info in description.attributes.items()
        }
        cautions = [fault] if fault else []
        cautions += [
            f"the server's overlay constraint has a rule for {name}, which is not checked in advance"
            for name in infos
            if self.inspection.schema.key(name) in constrained
        ]
        known = ["schema"] if description.closed else []
        unknown = [] if description.closed else ["schema"]
        (known if self.rights else unknown).append("write rights")
        (unknown if domains is None else known).append("uniqueness")
        untold = (
            [f"not checked (the server does not tell): {', '.join(unknown)}"]
            if unknown
            else []
        )
        said = "; ".join([", ".join(known)] * bool(known) + untold)
        return replace(
            description,
            attributes=infos,
            checked=said,
            cautions=(*description.cautions, *cautions),
        )
