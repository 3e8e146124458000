"""The access rules that a job needs, as a file that the server's own tools take as it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from connector.directories.common.ldap_filters import Filter, attributes_of
from connector.directories.ldap import dialect, indexes
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.rights import Needed
from connector.directories.ldap.wire import Wire
from connector.model import OBJECT_CLASS, View
from connector.reports.ldif_lines import line

_NO_NUMBER: Final = "olcDatabase={N}mdb,cn=config"
_UNREAD: Final = """\
# This account may not read cn=config. Put the number of your database in the place of N:
#   ldapsearch -Q -Y EXTERNAL -H ldapi:/// -b cn=config '(olcSuffix=*)' olcSuffix
"""


def rules(
    wire: Wire,
    inspection: Inspection,
    view: View,
    *,
    filter_: Filter,
    written: Iterable[str],
    sought: Iterable[str],
) -> Iterator[str]:
    """What an account needs to show a view and to write a mapping: LDIF for ldapmodify, or commands of Windows.

    `filter_`: the job's. `written`: the mapping's attributes. `sought`: those that users are looked up by. Nothing
    where that is not known: of an unknown kind of server, or without a bind DN.
    """
    server, secrets = inspection.dialect, sorted(view.secrets)
    writes = [OBJECT_CLASS] if view.object_classes else []
    writes += [name for name in written if name not in view.secrets]
    named = [
        server.identity.attribute,
        OBJECT_CLASS,
        *view.attributes,
        *sorted(attributes_of(filter_)),
    ]
    named += [server.mark] if server.mark else []
    reads = dict[str, str]()
    for name in named:
        if name not in view.secrets:
            reads.setdefault(name.lower(), name)
    needed = list(
        wire.rights.needed([*reads.values()], writes, secrets, inspection.context)
    )
    ids = [server.identity.attribute] if server.kind == dialect.OPENLDAP.kind else []
    yield from _lines(wire, inspection, needed, dict.fromkeys([*sought, *ids]))


def _lines(
    wire: Wire, inspection: Inspection, needed: Sequence[Needed], sought: Iterable[str]
) -> Iterator[str]:
    kind = inspection.dialect.kind
    if not needed:
        return
    if kind == dialect.OPENLDAP.kind:
        yield "# What cec-connector needs. Load it as the administrator of cn=config, for instance:\n"
        yield "#   ldapmodify -Q -Y EXTERNAL -H ldapi:/// -f FILE\n"
        yield f"# Look-ups want equality indexes. Add those that are missing: olcDbIndex: {','.join(sought)} eq\n"
        yield from _openldap(wire, needed)
    elif kind == dialect.DS389.kind:
        yield "# What cec-connector needs. Load it as the Directory Manager, for instance:\n"
        yield '#   ldapmodify -x -H ldaps://HOST -D "cn=Directory Manager" -W -f FILE\n'
        yield "# Look-ups want equality indexes. Add those that are missing:\n"
        for name in sought:
            yield f"#   dsconf INSTANCE backend index add --attr {name} --index-type eq --reindex BACKEND\n"
        for base in dict.fromkeys(each.base for each in needed):
            yield from _record(
                base, "aci", [each.rule for each in needed if each.base == base]
            )
    else:
        yield from (f"{each.rule}\n" for each in needed)


def _openldap(wire: Wire, needed: Sequence[Needed]) -> Iterator[str]:
    """Numbered from 0, so that the first that decides is the first as printed, before those that are there."""
    entries = indexes.configured(wire, indexes.OPENLDAP)
    databases: dict[str, list[str]] = {}
    for each in needed:
        found = indexes.database(entries, each.base)
        databases.setdefault(found[0] if found else _NO_NUMBER, []).append(each.rule)
    if _NO_NUMBER in databases:
        yield _UNREAD
    for name, rules in databases.items():
        yield from _record(
            name,
            "olcAccess",
            [f"{{{number}}}{rule}" for number, rule in enumerate(rules)],
        )


def _record(name: str, attribute: str, values: Sequence[str]) -> Iterator[str]:
    yield line("dn", name) + f"changetype: modify\nadd: {attribute}\n"
    yield from (line(attribute, value) for value in values)
    yield "\n"
