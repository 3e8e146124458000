"""Laws 1 and 2 again, against real LDAP servers: fewer worlds, and servers that have their own mind about them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ds389 import Ds389
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ldap_server import LdapServer
from slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd
from worlds import FILTER, World, later, worlds

from connector.directories.ldap.adapter import LdapDirectory
from connector.model import Result, Secret, View
from connector.settings.fields import SecretRef
from connector.settings.job import LdapDirectory as Settings
from connector.sync import draw, wet_run

HIDDEN = f"""
access to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


HIDDEN_389 = (
    f'(targetattr!="SIPIdentityPassword")(version 3.0; acl "all"; allow (all) userdn="ldap:///{SYNC}";)',
    f'(targetattr="SIPIdentityPassword")(version 3.0; acl "it"; allow (write, compare) userdn="ldap:///{SYNC}";)',
)
ELSEWHERE = f"dn: ou=elsewhere,{SUFFIX}\nobjectClass: organizationalUnit\nou: elsewhere\n"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((Slapd, {}), marks=pytest.mark.slapd, id="OpenLDAP"),
        pytest.param((Slapd, {"acl": HIDDEN}), marks=pytest.mark.slapd, id="OpenLDAP, hidden"),
        pytest.param((Ds389, {}), marks=pytest.mark.ds389, id="389-DS"),
        pytest.param((Ds389, {"rights": HIDDEN_389}), marks=pytest.mark.ds389, id="389-DS, hidden"),
    ],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LdapServer]:
    kind, options = request.param
    with kind.start(tmp_path_factory.mktemp("laws") / "server", [ELSEWHERE], **options) as running:
        yield running


def ldif(name: str, values: Mapping[str, list[Any]]) -> str:
    """An entry as a server takes it: with the attributes that its structural class must have."""
    lines = [f"dn: {name}"]
    needed = {"sn": ["Entry"]} if "inetOrgPerson" in values["objectClass"] else {"uid": values["uid"] or ["nobody"]}
    kept = {
        key: some
        for key, some in values.items()
        if key not in {"entryUUID", "cn"} or "account" not in values["objectClass"]
    }
    for attribute, some in (kept | needed).items():
        for value in some if attribute != "entryUUID" else ():
            octets = value if isinstance(value, bytes) else value.encode()
            if attribute == "mail" and not octets.isascii():
                continue
            lines.append(f"{attribute}:: {b64encode(octets).decode()}")
    return "\n".join(lines) + "\n\n"


def put(server: LdapServer, world: World) -> None:
    """Replace the server's people by those of the world."""
    old = server.search("-s", "sub", "(cn=Entry *)", "dn").decode().split("dn: ")[1:]
    gone = "".join(f"dn: {name.strip()}\nchangetype: delete\n\n" for name in old)
    if gone:
        server.modify(gone)
    people = [
        (name, values) for name, values in world.store.snapshot().values() if "account" not in values["objectClass"]
    ]
    server.add("".join(ldif(name, {key: list(some) for key, some in values.items()}) for name, values in people))


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much],
)
@given(world=worlds(hidden=False), data=st.data())
def test_after_an_apply_that_wrote_everything_the_next_plan_is_empty(
    server: LdapServer, world: World, data: st.DataObject
) -> None:
    put(server, world)
    job = Settings(
        type="ldap",
        allow_plaintext=True,
        urls=[server.url],
        bind_dn=SYNC,
        password=SecretRef(env="UNUSED"),
        base=PEOPLE,
        filter=FILTER,
    )
    opened: list[LdapDirectory] = []

    def connect(view: View) -> LdapDirectory:
        opened.append(LdapDirectory(job, Secret(SYNC_PASSWORD), view))
        return opened[-1]

    world.connect = connect
    world.pins = ()
    try:
        for _ in range(2):
            with world.parts() as parts:
                run = wet_run(parts, lambda plan, outcomes: None)
                assert run.outcomes is not None
                assert [outcome for outcome in run.outcomes if outcome.result is not Result.WRITTEN] == []
                assert draw(parts).plan.changes == ()
            world.tenant = data.draw(later(world.tenant))
    finally:
        for directory in opened:
            directory.close()
