"""Random worlds on a real SCIM server: users within and beyond a job's reach, and a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from hypothesis import strategies as st

from connector.apply.context import ApplyContext
from connector.directories.scim.adapter import ScimDirectory
from connector.directories.scim.transport import HttpTransport
from connector.model import Secret
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.settings.scim import ScimDirectory as Settings
from tests.support.memory import MemoryStore
from tests.support.scim_servers import CEC, CORE, ENTERPRISE, ScimServer
from tests.support.worlds import NAMES, World, names, numbers, tenants

Json = dict[str, Any]
FILTER = "active eq true"
ACCOUNT, SEAT, LINE, PASSWORD, ADDRESS, PORT = (
    f"{CEC}:{name}" for name in ("accountCode", "workNo", "sipAccount", "sipPassword", "sipServiceIp", "sipServicePort")
)
EMPLOYEE = f"{ENTERPRISE}:employeeNumber"
RULES = {
    ACCOUNT: "{accountCode}", SEAT: "{workNo|pad:4}", LINE: "{sipAccount}", PASSWORD: "{sipPwd}",
    ADDRESS: "{sipServiceIp}", PORT: "{sipServicePort}", EMPLOYEE: "{workNo}",
}  # fmt: skip
SEVERAL = {
    'phoneNumbers[type eq "work"].value': (["{sipAccount}", "+1 {workNo}"], "*"),
    'ims[type eq "sip"].value': (
        ["sip:{sipAccount}@{sipServiceIp}", "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"],
        "sip:*",
    ),
}
UNIQUE = {SEAT, LINE, EMPLOYEE}


@st.composite
def mappings(draw: st.DrawFn, several: bool) -> Mapping:
    chosen = draw(st.lists(st.sampled_from(list(RULES)), min_size=1, unique=True))
    rules = [
        AttributeRule(
            name,
            Template.parse(RULES[name]),
            unique=name in UNIQUE and draw(st.booleans()),
            secret=name == PASSWORD,
            when_absent=draw(st.sampled_from(["keep", "clear"])),
        )
        for name in chosen
    ]
    for name in draw(st.lists(st.sampled_from(list(SEVERAL)), unique=True)) if several else ():
        texts, owns = SEVERAL[name]
        first, *more = map(Template.parse, texts[: draw(st.integers(1, 2))])
        rules.append(AttributeRule(name, first, owns=owns, more=tuple(more)))
    match = (
        MatchRule(Template.parse("{accountCode}"), "userName"),
        MatchRule(Template.parse("{accountCode|lower|strip}@example.org"), "emails.value"),
    )
    return Mapping(match, tuple(rules), (), draw(st.sampled_from(["report", "clear"])))


@st.composite
def users(draw: st.DrawFn, several: bool) -> list[Json]:
    """Users, of whom some are not active, and some hold values already."""
    own = list({name.lower(): name for name in draw(st.permutations(NAMES))}.values())  # unique, in any case
    found = []
    for number in range(draw(st.integers(2, 8))):
        held: Json = {
            "accountCode": draw(st.none() | names), "workNo": draw(st.none() | numbers),
            "sipAccount": draw(st.none() | numbers.map(str)), "sipPassword": draw(st.none() | st.just("before")),
        }  # fmt: skip
        user: Json = {
            "schemas": [CORE], "id": f"{number + 1:032x}", "userName": own[number],
            "name": {"givenName": "Hands", "familyName": "Off"},
            "emails": [{"value": f"{draw(names).strip().lower()}@example.org"}] if draw(st.booleans()) else [],
            "active": bool(draw(st.integers(0, 5))),
        }  # fmt: skip
        if held := {name: value for name, value in held.items() if value is not None}:
            user |= {CEC: held, "schemas": [CORE, CEC]}
        if several and draw(st.booleans()):
            user["phoneNumbers"] = [{"type": "home", "value": "+49 1"}, {"type": "work", "value": "77"}]
            user["ims"] = [{"type": "sip", "value": "theirs"}, {"type": "sip", "value": "sip:old@192.0.2.9"}]
        found.append(user)
    return found


@st.composite
def worlds(draw: st.DrawFn, several: bool) -> tuple[World, list[Json]]:
    """A world without its directory, and the users to be there; `several`: with attributes of several values."""
    return World(draw(tenants), MemoryStore({}), draw(mappings(several))), draw(users(several))


@contextmanager
def connected(
    world: World, url: str, open_: Callable[[Settings], HttpTransport] | None = None, **settings: Any
) -> Iterator[ApplyContext]:
    """The context of a run of this world on the server at an address."""
    given = {"type": "scim", "url": url, "token": {"env": "T"}, "allow_plaintext": True, "filter": FILTER} | settings
    job = Settings.model_validate(given)
    transport = open_(job) if open_ else HttpTransport(job, Secret(ScimServer.token))
    with closing(transport):
        world.connect = lambda view: ScimDirectory(job, transport, view)
        with world.context() as context:
            yield context


def view_of(user: Json) -> dict[str, Any]:
    """What a user holds, by path; of values that are several, all of them. What is empty is not there."""
    found: dict[str, Any] = {}
    for name, value in user.items():
        if name.startswith("urn:"):
            found |= {f"{name}:{inner}": held for inner, held in value.items()}
        elif name not in {"schemas", "meta"}:
            found[name] = value
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}
