"""Replication between servers of the tests: what `dsconf INSTANCE replication` would set up, as entries."""

from __future__ import annotations

import secrets
import time

from tests.support.ds389 import Ds389
from tests.support.ldap_server import PEOPLE, SUFFIX

REPLICA = f'cn=replica,cn="{SUFFIX}",cn=mapping tree,cn=config'
_MANAGER = "cn=replication manager,cn=config"
_PASSWORD = "repl-pass"
_PATIENCE = 120


CONSUMER = 65535
"""The number of every server that only takes changes."""


def enable(server: Ds389, number: int) -> None:
    """Make it a supplier of that number, or a consumer, which nobody but suppliers may write."""
    kind, log = (2, 0) if number == CONSUMER else (3, 1)
    server.add(
        f"dn: {_MANAGER}\nobjectClass: person\ncn: replication manager\nsn: manager\nuserPassword: {_PASSWORD}\n\n"
        f"dn: {REPLICA}\nobjectClass: nsDS5Replica\ncn: replica\nnsDS5ReplicaRoot: {SUFFIX}\n"
        f"nsDS5ReplicaId: {number}\nnsDS5ReplicaType: {kind}\nnsDS5Flags: {log}\nnsDS5ReplicaBindDN: {_MANAGER}\n"
    )


def supply(supplier: Ds389, other: Ds389, *, whole: bool) -> None:
    """Let changes of one reach the other, which begins with a `whole` copy where it has none, and wait for that."""
    dn = agreement(other)
    supplier.add(
        f"dn: {dn}\nobjectClass: nsDS5ReplicationAgreement\nnsDS5ReplicaRoot: {SUFFIX}\n"
        f"nsDS5ReplicaHost: localhost\nnsDS5ReplicaPort: {other.port}\nnsDS5ReplicaBindDN: {_MANAGER}\n"
        f"nsDS5ReplicaBindMethod: SIMPLE\nnsDS5ReplicaTransportInfo: LDAP\nnsDS5ReplicaCredentials: {_PASSWORD}\n"
    )
    if whole:
        supplier.modify(
            f"dn: {dn}\nchangetype: modify\nadd: nsds5BeginReplicaRefresh\nnsds5BeginReplicaRefresh: start\n"
        )
        until(supplier, "nsds5replicaLastInitStatus: Error (0)", base=dn)
        _until_it_answers(other)


def pause(supplier: Ds389, other: Ds389, *, on: bool) -> None:
    """Hold back the changes of one from the other, or let them go on."""
    value = "off" if on else "on"
    dn = agreement(other)
    supplier.modify(f"dn: {dn}\nchangetype: modify\nreplace: nsds5ReplicaEnabled\nnsds5ReplicaEnabled: {value}\n")


def catch_up(supplier: Ds389, other: Ds389, uid: str) -> None:
    """Wait until the other has heard of all that the supplier has done. This user's `title` marks the end of it."""
    mark = f"title: {secrets.token_hex(8)}"
    supplier.modify(f"dn: uid={uid},{PEOPLE}\nchangetype: modify\nreplace: title\n{mark}\n")
    until(other, mark, f"(uid={uid})", "title")


def agreement(other: Ds389) -> str:
    """The entry under which a server keeps what another is to be told."""
    return f"cn=to-{other.port},{REPLICA}"


def until(server: Ds389, shown: str, *search: str, base: str = SUFFIX) -> None:
    """Wait until a search of the administrator's shows this."""
    deadline = time.monotonic() + _PATIENCE
    while shown.encode() not in server.search(*search, base=base):
        assert time.monotonic() < deadline, f"{shown} was not shown in {_PATIENCE} seconds"


def _until_it_answers(server: Ds389) -> None:
    """Wait for the end of a copying: as long as that takes, a server refers to its supplier, or has an error."""
    deadline = time.monotonic() + _PATIENCE
    said = ""
    while time.monotonic() < deadline:
        try:
            if b"uid=agent001" in server.search("(uid=agent001)"):
                return
        except RuntimeError as fault:
            said = str(fault)
    raise AssertionError(f"no answer in {_PATIENCE} seconds: {said}")
