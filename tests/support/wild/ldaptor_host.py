"""ldaptor's own server over entries in memory, in a process of its own: `ldaptor_host.py ENTRIES.json`.

It runs under the Python of `.tools/wild`. Its first line is the port on loopback that it listens on. Everything else is
ldaptor's: no control is known, none is listed, and there are no schema, no operational attributes and no limits.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ldaptor.inmemory import ReadOnlyInMemoryLDAPEntry
from ldaptor.interfaces import IConnectedLDAPEntry
from ldaptor.protocols.ldap.distinguishedname import DistinguishedName
from ldaptor.protocols.ldap.ldapserver import LDAPServer
from twisted.internet import protocol, reactor
from twisted.python.components import registerAdapter


class Factory(protocol.ServerFactory):
    """Each connection finds the one tree."""

    protocol = LDAPServer

    def __init__(self, root: Any) -> None:
        self.root = root


def tree(entries: dict[str, Any]) -> Any:
    """The entries below the first one; each comes after the one that it is below."""
    dns = list(entries)
    known = {dns[0].lower(): ReadOnlyInMemoryLDAPEntry(dns[0], entries[dns[0]])}
    for dn in dns[1:]:
        rdn, *_ = DistinguishedName(dn).split()
        above = dn.partition(",")[2]
        known[dn.lower()] = known[above.lower()].addChild(rdn.getText(), entries[dn])
    return known[dns[0].lower()]


def main() -> None:
    entries = json.loads(Path(sys.argv[1]).read_text())
    registerAdapter(lambda factory: factory.root, Factory, IConnectedLDAPEntry)
    listening = reactor.listenTCP(0, Factory(tree(entries)), interface="127.0.0.1")
    sys.stdout.write(f"{listening.getHost().port}\n")
    sys.stdout.flush()
    reactor.run()


main()
