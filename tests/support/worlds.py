"""Random worlds for the laws: a tenant, a directory with people within and beyond the job's reach, and a mapping."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st
from msgspec.structs import replace

from connector.apply.context import ApplyContext, ApplyUndoContext, JobPlace, JobRules
from connector.directories.port import Directory
from connector.matching.people import AgentPin, ExcludeList
from connector.model import Agent, InvalidRecord, Secret, Tenant, View
from connector.model.digests import make_fingerprinter
from connector.model.limits import ApplyPace, Limit, Limits
from connector.model.mapping import AttributeRule, Mapping, MatchRule, Stale
from connector.model.templates import Template
from connector.observers.observer import Observers
from connector.state.journal_rows import Sealer
from connector.state.store import State, open_state
from tests.support.memory import MemoryDirectory, MemoryStore

BASE = "ou=people,dc=example,dc=org"
FILTER = "(objectClass=inetOrgPerson)"
CANARY = "canary-7f3a"
ALL = Limit(100, percent=True)
NO_LIMITS = Limits(ALL, Limit(1_000_000), None, ALL, ALL, state=ALL)

NAMES = ["ann", "Ann", "bob", "cid", "dan", "eve", "fay", "g\u00fcn", "a*b", "x,y", "(z)", "  ivy "]
names = st.sampled_from(NAMES)
numbers = st.integers(1, 12)
texts = st.sampled_from(["1", "2", "3", "sip:1@192.0.2.1:5060", "sip:old@192.0.2.9:1", "tel:1", "Other", "other"])
phones = st.sampled_from(["1", "+1 555 0100", "3-4", "77"])


def _passwords(number: int) -> Secret:
    return Secret(f"{CANARY}-{number}")


agents = st.builds(
    Agent,
    numbers,
    names | names | st.none(),
    numbers.map(str) | st.none(),
    st.none() | numbers.map(_passwords),
)
invalids = st.builds(InvalidRecord, st.integers(1, 99), st.just("workNo is null"))


orderly = st.lists(agents, min_size=1, max_size=9, unique_by=(lambda a: a.work_no, lambda a: a.account_code))
tenants = st.builds(
    Tenant,
    orderly | orderly | st.lists(agents, min_size=1, max_size=8),
    st.just([]) | st.lists(invalids, max_size=2),
    st.just("192.0.2.1") | st.none(),
    st.just("5060") | st.none(),
)


@st.composite
def later(draw: st.DrawFn, tenant: Tenant) -> Tenant:
    """The same tenant some time after: some agents have left, and seats and SIP numbers have changed hands."""
    stay = [agent for agent in tenant.agents if draw(st.integers(0, 4))] or tenant.agents[:1]
    seats = draw(st.permutations([agent.work_no for agent in stay]))
    lines = draw(st.permutations([agent.sip_account for agent in stay]))
    moved = [
        replace(agent, work_no=seat, sip_account=line) for agent, seat, line in zip(stay, seats, lines, strict=True)
    ]
    return replace(tenant, agents=moved)


RULES = {
    "cecAccountCode": "{accountCode}",
    "cecWorkNo": "{workNo|pad:4}",
    "employeeNumber": "{workNo}",
    "telephoneNumber": "{sipAccount}",
    "facsimileTelephoneNumber": "{sipAccount}",
    "SIPIdentityUserName": "{sipAccount}",
    "SIPIdentityRegistrarAddress": "{sipServiceIp}",
    "SIPIdentitySIPURI": "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}",
    "SIPIdentityPassword": "{sipPwd}",
}
MULTIPLE = {
    "telephoneNumber": ("*",),
    "facsimileTelephoneNumber": ("*",),
    "SIPIdentityUserName": ("*", "1*", "0*\n1*"),
    "SIPIdentityRegistrarAddress": ("*",),
    "SIPIdentitySIPURI": ("*", "sip:*"),
    "SIPIdentityPassword": ("*",),
}
FURTHER = {
    "telephoneNumber": ("+1 {workNo}", "{sipAccount}0"),
    "facsimileTelephoneNumber": ("{workNo}",),
    "SIPIdentityUserName": ("{sipAccount|pad:2}", "1{workNo}"),
    "SIPIdentitySIPURI": ("sip:{sipAccount}@{sipServiceIp}", "SIP:{sipAccount}@{sipServiceIp}:{sipServicePort}"),
}
"""Further templates of attributes that may hold several values."""
UNIQUE = {"employeeNumber", "cecWorkNo", "SIPIdentityUserName"}


@st.composite
def mappings(draw: st.DrawFn) -> Mapping:
    chosen = draw(st.lists(st.sampled_from(sorted(RULES)), min_size=1, unique=True))
    rules = [
        AttributeRule(
            name,
            Template.parse(RULES[name]),
            owns=draw(st.sampled_from(MULTIPLE[name])) if name in MULTIPLE else None,
            unique=name in UNIQUE and draw(st.booleans()),
            secret=name == "SIPIdentityPassword",
            when_absent=draw(st.sampled_from(["keep", "clear"])),
            more=draw(st.lists(st.sampled_from(FURTHER[name]).map(Template.parse), max_size=2).map(tuple))
            if name in FURTHER
            else (),
        )
        for name in chosen
    ]
    match = [
        MatchRule(Template.parse("{accountCode}"), "uid"),
        MatchRule(Template.parse("{accountCode|lower|strip}@example.org"), "mail"),
    ]
    stale: Stale = draw(st.sampled_from(["report", "clear"]))
    return Mapping(tuple(match), tuple(rules), ("cecAgent", "SIPIdentity"), stale)


@st.composite
def entries(draw: st.DrawFn) -> dict[str, tuple[str, dict[str, list[Any]]]]:
    """People within reach, and some that are not: outside the base, or of another class."""
    found = {}
    own = draw(st.permutations(NAMES))
    mostly = st.sampled_from([True, True, True, True, False])
    for number in range(draw(st.integers(2, 9))):
        outside = draw(st.sampled_from(["", "", "", "base", "class"]))
        base = "ou=elsewhere,dc=example,dc=org" if outside == "base" else BASE
        person = "account" if outside == "class" else "inetOrgPerson"
        values: dict[str, list[Any]] = {
            "objectClass": ["top", person, *draw(st.sampled_from([[], ["cecAgent"], ["cecAgent", "SIPIdentity"]]))],
            "entryUUID": [f"00000000-0000-0000-0000-{number:012}"],
            "cn": [f"Entry {number}"],
            "uid": [own[number]] if draw(mostly) else draw(st.lists(names, max_size=2, unique_by=str.lower)),
            "description": ["hands off"],
        }
        if person == "inetOrgPerson":
            box = own[number] if draw(mostly) else draw(names)
            values["mail"] = [f"{box.strip().lower()}@example.org"] if draw(mostly) else []
            values["employeeNumber"] = draw(st.lists(numbers.map(str), max_size=1))
            values["employeeNumber;lang-de"] = draw(st.lists(numbers.map(str), max_size=1))
            values["telephoneNumber"] = draw(st.lists(phones, max_size=2, unique=True))
            values["facsimileTelephoneNumber"] = draw(st.lists(phones, max_size=2, unique=True))
        if "SIPIdentity" in values["objectClass"]:
            for name in ("SIPIdentitySIPURI", "SIPIdentityUserName"):
                values[name] = draw(st.lists(texts, max_size=2, unique_by=str.lower))
            values["SIPIdentityPassword"] = draw(st.lists(st.sampled_from([b"\xff\x00", b"old"]), max_size=1))
        found[f"id-{number}"] = (f"cn=Entry {number},{base}", values)
    return found


class _Closable(Protocol):
    def close(self) -> None: ...


_C = TypeVar("_C", bound=_Closable)
_opened: list[_Closable] = []


def closed_with_the_test(opened: _C) -> _C:
    """What `close_states` closes."""
    _opened.append(opened)
    return opened


@atexit.register
def close_states() -> None:
    """Close what was opened, in the thread that opened it; garbage may be collected in any thread."""
    while _opened:
        _opened.pop().close()


def passing_state() -> State:
    """A state in memory, for one test."""
    return closed_with_the_test(open_state(None))


@dataclass
class World:
    """A tenant, a directory and a job between them; `run` is an apply, as `apply/sync.py` does it."""

    tenant: Tenant
    store: MemoryStore
    mapping: Mapping
    pins: tuple[AgentPin, ...] = ()
    exclude: ExcludeList = field(default_factory=ExcludeList)
    limits: Limits = NO_LIMITS
    state: State = field(default_factory=passing_state)
    shown: list[str] = field(default_factory=list)
    source: Callable[[], Tenant] | None = None
    connect: Callable[[View], Directory] | None = None
    pace: ApplyPace = field(default_factory=ApplyPace)
    job: str = "law"
    identity: str = "a tenant"
    key: Secret = field(default_factory=lambda: Secret("the key of a law"), repr=False)

    def read(self) -> Tenant:
        return self.source() if self.source else self.tenant

    def beyond(self) -> Directory:
        """The same directory past base and filter."""
        return MemoryDirectory(self.store, self.mapping.view())

    @contextmanager
    def context(self) -> Iterator[ApplyContext]:
        view = self.mapping.view()
        directory: Directory = MemoryDirectory(self.store, view, base=BASE, filter=FILTER)
        if self.connect is not None:
            directory = self.connect(view)
        rules = JobRules(mapping=self.mapping, limits=self.limits, pace=self.pace, exclude=self.exclude, pins=self.pins)
        yield ApplyContext(
            job=self.job, rules=rules, place=JobPlace(tenant=self.identity), source=self, reader=directory,
            directory=directory, read="auto", state=self.state, fingerprint=make_fingerprinter(self.key),
            sealer=Sealer(self.key), observer=Observers(), beyond=self.beyond,
        )  # fmt: skip

    @contextmanager
    def back(self, run: str) -> Iterator[ApplyUndoContext]:
        """What takes a run back."""
        with self.context() as context:
            yield ApplyUndoContext(
                job=context.job, rules=context.rules, place=context.place, reader=context.reader,
                directory=context.directory, read=context.read, state=context.state, fingerprint=context.fingerprint,
                sealer=context.sealer, observer=context.observer, beyond=context.beyond, run=run,
                wrote_to=context.directory.describe().identity,
            )  # fmt: skip


@st.composite
def worlds(draw: st.DrawFn, hidden: bool = True) -> World:
    secret = ["SIPIdentityPassword"] if hidden and draw(st.booleans()) else []
    found = draw(entries())
    if draw(st.booleans()):  # an id is whatever a server says it is
        found = {"" if id_ == "id-2" else id_: entry for id_, entry in found.items()}
    store = MemoryStore(found, hidden=secret, compares=draw(st.booleans()))
    exclude = ExcludeList(account_codes=draw(st.frozensets(names, max_size=1)))
    pins = draw(
        st.lists(
            st.builds(
                AgentPin, names, st.none() | st.integers(0, 2), st.sampled_from(["id-0", "id-1", f"cn=Entry 2,{BASE}"])
            ),
            max_size=1,
        )
    )
    return World(draw(tenants), store, draw(mappings()), tuple(pins), exclude)


SEATS = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),),
    (
        AttributeRule("cecAccountCode", Template.parse("{accountCode}")),
        AttributeRule("cecWorkNo", Template.parse("{workNo}"), unique=True),
        AttributeRule(
            "SIPIdentityUserName", Template.parse("{sipAccount}"), owns="*", unique=True, when_absent="clear"
        ),
        AttributeRule("SIPIdentityPassword", Template.parse("{sipPwd}"), owns="*", secret=True, when_absent="clear"),
    ),
    ("cecAgent", "SIPIdentity"),
    "clear",
)


@st.composite
def busy_worlds(draw: st.DrawFn, hidden: bool = True) -> World:
    """Everybody is matched, nearly everybody changes, and seats and lines go round; secrets may be hidden."""
    count = draw(st.integers(2, 6))
    entries: dict[str, tuple[str, dict[str, list[Any]]]] = {}
    for number in range(count):
        values: dict[str, list[Any]] = {
            "objectClass": ["inetOrgPerson"],
            "uid": [f"u{number}"],
            "cn": [f"Busy {number}"],
        }
        if draw(st.booleans()):
            values["objectClass"] += ["cecAgent", "SIPIdentity"]
            values["cecWorkNo"] = [str(number)] if draw(st.booleans()) else []
            values["SIPIdentityUserName"] = [str(number)] if draw(st.booleans()) else []
            values["SIPIdentityPassword"] = draw(st.sampled_from([[], [b"before"]]))
        entries[f"id-{number}"] = (f"uid=u{number},{BASE}", values)
    secret = ["SIPIdentityPassword"] if hidden and draw(st.booleans()) else []
    store = MemoryStore(entries, hidden=secret, compares=draw(st.booleans()))
    return World(draw(busy_tenants(count)), store, SEATS)


@st.composite
def busy_tenants(draw: st.DrawFn, count: int) -> Tenant:
    """Agents for most of so many users, on each other's seats and lines."""
    seats = draw(st.permutations(range(count)))
    lines = draw(st.permutations(range(count)))
    agents = []
    for number in range(count):
        if number and not draw(st.integers(0, 4)):
            continue
        line = str(lines[number]) if draw(st.integers(0, 3)) else None
        agents.append(Agent(seats[number], f"u{number}", line, draw(st.none() | numbers.map(_passwords))))
    return Tenant(agents)
