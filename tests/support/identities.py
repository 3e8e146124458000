"""SIP identities for law 11: agents and their numbers, and what a user is to hold, worked out anew from a table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hypothesis import strategies as st
from msgspec.structs import replace

from connector.model import UNKNOWN_SECRET, Agent, Secret, Tenant, patterns
from connector.model.mapping import AttributeRule, WhenAbsent
from connector.model.templates import Template

NUMBER, ADDRESS, REGISTRAR, PHONE, PASSWORD = IDENTITY = (
    "SIPIdentityUserName", "SIPIdentitySIPURI", "SIPIdentityRegistrarAddress", "ipPhone", "SIPIdentityPassword",
)  # fmt: skip
TEMPLATES = {
    NUMBER: "{sipAccount}",
    ADDRESS: "sip:{sipAccount}@{sipServiceIp}",
    REGISTRAR: "{sipServiceIp}",
    PHONE: "{sipAccount}",
    PASSWORD: "{sipPwd}",
}
FURTHER = "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"
"""A further template of an address."""
OWNS = {NUMBER: ("*", "1*"), ADDRESS: ("sip:*", "sip:*@192.0.2.1"), REGISTRAR: ("*",), PHONE: (None,), PASSWORD: ("*",)}
LINES = ["1", "2", "10", "11", "1" * 65, "1\u00f6", "8 0"]
"""The last ones do not fit everywhere: ipPhone holds 64 characters, and an address has a user of RFC 3261."""
HOSTS = ["192.0.2.1", "192.0.2.2"]
WORDS = ["old", "new", "newer", "OLD"]
Values = frozenset[str]
Held = dict[str, Values]
"""By attribute of the identity the values that are ours."""
kept_or_cleared: st.SearchStrategy[WhenAbsent] = st.sampled_from(["keep", "keep", "clear"])


@st.composite
def tenants(draw: st.DrawFn, count: int) -> Tenant:
    """Agents for most users, on whatever lines; some lack a number or a password, or it is masked.

    The tenant may lack its host.
    """
    lines, seats = draw(st.permutations(LINES[:4])), draw(st.permutations(range(5)))
    agents = []
    for number in range(count):
        if not draw(st.integers(0, 5)):
            continue
        line = draw(st.sampled_from([lines[number % 4], lines[number % 4], *LINES, None]))
        word = draw(st.sampled_from([*WORDS, None, UNKNOWN_SECRET]))
        agents.append(Agent(seats[number], f"u{number}", line, Secret(word) if isinstance(word, str) else word))
    return Tenant(
        agents or [Agent(0, "u0", "1")],
        [],
        draw(st.sampled_from([*HOSTS, None])),
        draw(st.sampled_from(["5060", "5060", None])),
        unknown_secrets=sum(agent.sip_pwd is UNKNOWN_SECRET for agent in agents),
    )


@st.composite
def later(draw: st.DrawFn, tenant: Tenant, count: int) -> Tenant:
    """Another tenant, or this one with another host, or with another number or password of one agent."""
    what = draw(st.sampled_from(["all", "host", "line", "word", "word"]))
    if what == "all":
        return draw(tenants(count))
    if what == "host":
        return replace(tenant, sip_service_ip=draw(st.sampled_from([*HOSTS, None])))
    agents = list(tenant.agents)
    place = draw(st.integers(0, len(agents) - 1))
    word = Secret(draw(st.sampled_from(WORDS)))
    line = draw(st.sampled_from([*LINES, None]))
    agents[place] = replace(agents[place], **({"sip_account": line} if what == "line" else {"sip_pwd": word}))
    return replace(tenant, agents=agents)


def wanted(name: str, agent: Agent, host: str | None) -> str | None:
    """What an agent makes of an attribute, by its first template."""
    word = agent.sip_pwd.reveal() if agent.sip_pwd else None
    assert word is None or isinstance(word, str)
    address = f"sip:{agent.sip_account}@{host}" if agent.sip_account and host else None
    return {NUMBER: agent.sip_account, PHONE: agent.sip_account, ADDRESS: address, REGISTRAR: host, PASSWORD: word}[
        name
    ]


@dataclass(frozen=True)
class Writing:
    """Which attributes of an identity are written: what becomes of one without a value, and what of it is ours."""

    whens: Mapping[str, WhenAbsent]
    owns: Mapping[str, str | None]
    further: bool = False
    """Whether an address is written with its port, too."""

    @classmethod
    def drawn(cls, draw: st.DrawFn, owns: Mapping[str, Sequence[str | None]]) -> Self:
        """Two attributes at least."""
        names = draw(st.lists(st.sampled_from(IDENTITY), min_size=2, unique=True))
        return cls(
            {name: draw(kept_or_cleared) for name in names},
            {name: draw(st.sampled_from(owns[name])) for name in names},
            draw(st.booleans()),
        )

    def rules(self, draw: st.DrawFn, names: Mapping[str, str]) -> list[AttributeRule]:
        """The mapping's rules, by the directory's names; for a number or an address perhaps one user at a time."""
        return [
            AttributeRule(
                names[name], Template.parse(TEMPLATES[name]), self.owns[name],
                name in (NUMBER, ADDRESS) and draw(st.booleans()), name == PASSWORD, self.whens[name],
                more=(Template.parse(FURTHER),) if name == ADDRESS and self.further else (),
            )
            for name in self.owns
        ]  # fmt: skip

    def made(self, name: str, agent: Agent, tenant: Tenant) -> list[str | None]:
        """What each template makes of an attribute."""
        first, port = wanted(name, agent, tenant.sip_service_ip), tenant.sip_service_port
        further = [f"{first}:{port}" if first and port else None] if name == ADDRESS and self.further else []
        return [first, *further]

    def held(self, values: Mapping[str, Iterable[str]], agent: Agent | None, tenant: Tenant) -> Held:
        """What is ours, and what is as it is to be, whoever may own it."""
        found = {}
        for name, pattern in self.owns.items():
            new = self.made(name, agent, tenant) if agent else []
            ours = (each for each in values.get(name, ()) if pattern is None or patterns.is_owned(pattern)(each))
            found[name] = frozenset((*ours, *(each for each in values.get(name, ()) if each in new)))
        return found

    def faults(
        self, agent: Agent, tenant: Tenant, before: Held, after: Held, spared: set[str], *, untold: bool
    ) -> Iterator[str]:
        """What is wrong with a user's identity after a run. `spared`: what somebody else has touched.

        `untold`: nobody can say whether there is a password, or whether it still is what we wrote.
        """
        changed = {name for name in before if before[name] != after[name] and name not in spared}
        if agent.sip_pwd is UNKNOWN_SECRET and PASSWORD in after:
            yield from (f"{name} is written, and the password is not known" for name in changed)
            return
        made = {name: self.made(name, agent, tenant) for name in after}
        if untold:
            spared = spared | {PASSWORD}
        for name in after.keys() - spared if changed else ():
            whole, new = None not in made[name], {value for value in made[name] if value is not None}
            if not new <= after[name] or (whole and after[name] != new):
                yield f"{name} is not the new one"
            lacking = tenant.sip_service_ip is None and name in (ADDRESS, REGISTRAR)
            lacking = lacking or (tenant.sip_service_port is None and name == ADDRESS and self.further)
            if not whole and self.whens[name] == "clear" and not lacking and after[name] != new:
                yield f"{name} is still there"
        if not spared - {PASSWORD} and any(after[name] - before[name] for name in changed):
            stays = {name for name in after.keys() - spared if after[name] and None in made[name]}
            yield from stays_wrongly(agent, before, after, changed, stays)


def stays_wrongly(agent: Agent, before: Held, after: Held, changed: set[str], stays: set[str]) -> Iterator[str]:
    """Of the values that stay beside new ones, those of another number or account."""
    for name in stays & _NUMBERED:
        if agent.sip_account and lines(after[name]) != {agent.sip_account}:
            yield f"{name} is of another number"
        if not agent.sip_account and PASSWORD in changed and after[PASSWORD]:
            yield f"{name} stays, and the password is new"
    had = [lines(before[name]) for name in _NUMBERED & before.keys() if before[name]]
    if (
        PASSWORD in stays
        and any(after[name] for name in changed & _NUMBERED)
        and agent.sip_account
        and {agent.sip_account} not in had
    ):
        yield "the password stays, and the number is new"


_NUMBERED = {NUMBER, PHONE, ADDRESS}


def lines(values: Values) -> set[str]:
    """The numbers that values are of."""
    return {value.removeprefix("sip:").partition("@")[0] for value in values}
