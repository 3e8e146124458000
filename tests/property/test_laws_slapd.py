"""Laws 1 and 2 again, against real LDAP servers: fewer worlds, and servers that have their own mind about them."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, make_plan
from connector.directories.ldap.adapter import LdapDirectory
from connector.model import Result, Secret, View
from connector.model.mapping import Mapping as AttributeMapping
from connector.settings.fields import SecretRef
from connector.settings.ldap import LdapDirectory as Settings
from tests.support import samba
from tests.support.directory_fixtures import records
from tests.support.ds389 import Ds389
from tests.support.ldap_server import LdapServer
from tests.support.samba import Samba
from tests.support.slapd import PEOPLE, SUFFIX, SYNC, SYNC_PASSWORD, Slapd
from tests.support.worlds import FILTER, World, busy_tenants, busy_worlds, later, worlds

HIDDEN = f"""
access to attrs=SIPIdentityPassword by dn.exact="{SYNC}" =wc by * none
access to * by dn.exact="{SYNC}" write by users read by anonymous auth
"""


HIDDEN_389 = (
    f'(targetattr!="SIPIdentityPassword")(version 3.0; acl "all"; allow (all) userdn="ldap:///{SYNC}";)',
    f'(targetattr="SIPIdentityPassword")(version 3.0; acl "it"; allow (write, compare) userdn="ldap:///{SYNC}";)',
)
ELSEWHERE = f"dn: ou=elsewhere,{SUFFIX}\nobjectClass: organizationalUnit\nou: elsewhere\n"


class Domain(Samba):
    """A domain whose account may read what is confidential, or not."""

    @classmethod
    def start(cls, folder: Path, entries: Iterable[str] = (), *, confidential: bool = False, **options: Any) -> Self:
        server = super().start(folder, entries, **options)
        if confidential:
            server.refuse_control()
        return server


@pytest.fixture(
    scope="module",
    params=[
        pytest.param((Slapd, {}), marks=pytest.mark.slapd, id="OpenLDAP"),
        pytest.param((Slapd, {"acl": HIDDEN}), marks=pytest.mark.slapd, id="OpenLDAP, hidden"),
        pytest.param((Ds389, {}), marks=pytest.mark.ds389, id="389-DS"),
        pytest.param((Ds389, {"rights": HIDDEN_389}), marks=pytest.mark.ds389, id="389-DS, hidden"),
        pytest.param((Domain, {}), marks=pytest.mark.samba, id="Active Directory"),
        pytest.param(
            (Domain, {"confidential": True}), marks=[pytest.mark.samba, pytest.mark.slow], id="Active Directory, hidden"
        ),
    ],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LdapServer]:
    kind, options = request.param
    elsewhere = ELSEWHERE.replace(SUFFIX, kind.suffix)
    with kind.start(tmp_path_factory.mktemp("laws") / "server", [elsewhere], **options) as running:
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


NARROW = {"telephonenumber", "facsimiletelephonenumber"}
"""What holds one value on Active Directory, and several by the standards."""


def narrowed(mapping: AttributeMapping) -> AttributeMapping:
    """The mapping with one template where Active Directory takes one value; a list there is refused."""
    rules = (replace(rule, more=()) if rule.name.lower() in NARROW else rule for rule in mapping.attributes)
    return replace(mapping, attributes=tuple(rules))


_THEIRS = "(|(cn=Entry *)(cn=Busy *))"
_OF_THE_SERVER = {"whenchanged", "usnchanged", "dscorepropagationdata"}


def put(server: LdapServer, world: World) -> None:
    """Replace the server's people by those of the world, and fit its mapping to the server's schema."""
    old = re.findall("^dn: (.+)$", server.search("-s", "sub", _THEIRS, "dn").decode(), re.MULTILINE)
    gone = "".join(f"dn: {name}\nchangetype: delete\n\n" for name in old)
    if gone:
        server.modify(gone)
    domain = isinstance(server, Samba)
    if domain:
        world.mapping = narrowed(world.mapping)
    people = []
    for name, values in world.store.snapshot().values():
        if "account" not in values["objectClass"]:
            kept = {
                key: list(some)[: 1 if domain and key.lower() in NARROW else None]
                for key, some in values.items()
                if not (domain and ";" in key)  # it has no options
            }
            named = f"cn={values['cn'][0]!s},{name.partition(',')[2]}" if domain else name
            people.append(ldif(named.replace(SUFFIX, server.suffix), kept))
    server.add("".join(people))


def entries(server: LdapServer) -> dict[str, dict[str, tuple[bytes, ...]]]:
    """What the world's people hold, by name, without what the server sets by itself."""
    found = records(server.search("-s", "sub", _THEIRS, "*"))
    return {
        name: {key: tuple(sorted(some)) for key, some in values.items() if key not in _OF_THE_SERVER}
        for name, values in found.items()
        if name.lower().endswith(server.suffix.lower())
    }


def job_of(server: LdapServer) -> tuple[Settings, Secret]:
    """The job's settings for the server, and its account's password."""
    domain = isinstance(server, Samba)
    settings = Settings(
        type="ldap",
        urls=[server.ldaps_url],
        ca_file=server.ca,
        bind_dn=samba.SYNC if domain else SYNC,
        password=SecretRef(env="UNUSED"),
        base=[samba.PEOPLE if domain else PEOPLE],
        filter=FILTER,
    )
    return settings, Secret(samba.SYNC_PASSWORD if domain else SYNC_PASSWORD)


CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.filter_too_much]


@settings(max_examples=8, suppress_health_check=CHECKS)
@given(world=worlds(hidden=False), data=st.data())
def test_after_an_apply_that_wrote_everything_the_next_plan_is_empty(
    server: LdapServer, world: World, data: st.DataObject
) -> None:
    put(server, world)
    with applied(server, world) as apply:
        for _ in range(2):
            run = apply()
            assert [outcome for outcome in run.outcomes or () if outcome.result is not Result.WRITTEN] == []
            world.tenant = data.draw(later(world.tenant))


@settings(max_examples=4, suppress_health_check=CHECKS)
@given(world=busy_worlds(hidden=False), data=st.data())
def test_where_everything_changes_what_is_not_ours_does_not(
    server: LdapServer, world: World, data: st.DataObject
) -> None:
    put(server, world)
    count = len(world.store.snapshot())
    ours = {rule.name.lower() for rule in world.mapping.attributes}
    with applied(server, world) as apply:
        for _ in range(3):
            before = entries(server)
            run = apply()
            after = entries(server)
            assert [outcome for outcome in run.outcomes or () if outcome.result is not Result.WRITTEN] == []
            changed = {str(change.user.name).lower() for change in run.plan.changes}
            assert before.keys() == after.keys()
            for name, old in before.items():
                if name.lower() not in changed:
                    assert after[name] == old
                for attribute in old.keys() | after[name].keys():
                    was, now = (set(each.get(attribute, ())) for each in (old, after[name]))
                    if attribute == "objectclass":
                        assert was <= now
                    elif attribute not in ours:
                        assert now == was
            world.tenant = data.draw(busy_tenants(count))


@contextmanager
def applied(server: LdapServer, world: World) -> Iterator[Callable[[], FinishedRun]]:
    """Applies of the world to the server, each followed by a plan that has nothing left to do."""
    job, password = job_of(server)
    opened: list[LdapDirectory] = []

    def connect(view: View) -> LdapDirectory:
        opened.append(LdapDirectory(job, password, view))
        return opened[-1]

    def apply() -> FinishedRun:
        with world.context() as context:
            run = apply_run(context, lambda plan, outcomes: None)
            assert run.outcomes is not None
            assert make_plan(context).plan.changes == ()
            return run

    world.connect = connect
    world.pins = ()
    try:
        yield apply
    finally:
        for directory in opened:
            directory.close()
