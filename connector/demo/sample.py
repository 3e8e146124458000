"""A sample tenant and a sample directory of some 200 users, with every kind of problem in them. All of it is invented.

What is where is said beside it, so that the demo's report can be read against this file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid5

BASE = "ou=people,dc=example,dc=org"
NAMESPACE = UUID("5d1d31b4-5e0a-5e0c-9d0b-9d6f1f6d2a11")

JOB = """\
# The demo's job: the agents in agents.json go into people.ldif.
source:
  type: file                     # a real tenant: type: cec, with its url, app_key and app_secret
  path: agents.json
directory:
  type: ldif
  path: people.ldif
  base: ou=people,dc=example,dc=org
  filter: (objectClass=inetOrgPerson)
mapping: mapping.yaml
# A first run changes everybody; lower `update` to 20% once the directory is in step. `clear` keeps its default:
# a plan that empties more than 10 users, or a fifth of those that hold an attribute, is refused.
limits: {update: 100%}
pins: pins.csv
exclude: exclude.csv
"""

MAPPING = """\
match:
  - {agent: "{accountCode}", directory: uid}
  - {agent: "{accountCode|lower}@example.org", directory: mail}
attributes:
  cecAccountCode: "{accountCode}"
  employeeNumber: {value: "{workNo}", unique: true}
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*", unique: true}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp|host}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true}
when_absent: keep
object_classes: [cecAgent, SIPIdentity]
stale: report
"""

PINS = f"""\
accountCode,user
external-7,"uid=user170,{BASE}"
external-8,"uid=nobody,{BASE}"
"""

EXCLUDE = """\
accountCode,user
user160,
"""


def uid(number: int) -> str:
    """The uid of a sample user, which is the accountCode of its agent."""
    return f"user{number:03}"


def people() -> Iterator[str]:
    """The directory as LDIF, a record at a time."""
    yield "version: 1\n\n"
    yield "dn: dc=example,dc=org\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n"
    yield f"dn: {BASE}\nobjectClass: organizationalUnit\nou: people\n\n"
    for number in range(1, 201):
        yield "".join(line + "\n" for line in _person(number)) + "\n"


def _person(number: int) -> Iterator[str]:
    name = uid(number)
    yield f"dn: uid={name},{BASE}"
    for name_of_class in ("top", "person", "organizationalPerson", "inetOrgPerson"):
        yield f"objectClass: {name_of_class}"
    yield f"uid: {name}"
    yield f"cn: Sample User {number:03}"
    yield f"sn: User {number:03}"
    yield f"entryUUID: {uuid5(NAMESPACE, name)}"
    # 130 and 131 share a mailbox, which makes the agent `shared.desk` ambiguous
    yield (
        "mail: shared.desk@example.org"
        if number in (130, 131)
        else f"mail: sample.{number:03}@example.org"
    )
    if number == 1:
        yield "description:: U3RyYcOfZQ=="  # non-ASCII, which nobody here touches
    if number == 150:
        # still held by a user without an agent: `reassigned` for user126
        yield "employeeNumber: 1300"
    if number == 165:
        yield "employeeNumber: 1"  # two values where one is expected: hands off
        yield "employeeNumber: 2"


def last_month() -> dict[str, Any]:
    """The tenant of the first run: sixty agents, six of whom have gone or swapped seats since."""
    return _document(
        [
            _agent(number)
            for number in (*range(1, 61), 121, 122, 123, 124, 181, 182, 183)
        ]
    )


def today() -> dict[str, Any]:
    """The tenant as it is now."""
    agents = [_agent(number) for number in range(1, 101)]
    # another case: the directory compares without it, so nothing changes
    agents[9]["accountCode"] = "USER010"
    agents[19]["sipPwd"] = "sample-password-changed"
    # 121 passes its seat on to 122, who passes its own to nobody; 123 and 124 swap theirs
    agents += [
        _agent(121, seat=1190),
        _agent(122, seat=1121),
        _agent(123, seat=1124),
        _agent(124, seat=1123),
    ]
    agents += [_agent(126, seat=1300)]
    # found by the second rule, by mail
    agents += [_agent(127) | {"accountCode": "sample.127"}]
    agents += [_agent(130) | {"accountCode": "shared.desk"}]  # ambiguous
    # both claim user140
    agents += [_agent(140), _agent(141) | {"accountCode": "sample.140"}]
    # two records with one workNo
    agents += [_agent(142, seat=1142), _agent(143, seat=1142)]
    agents += [_agent(144), _agent(144, seat=1145)]  # two records with one accountCode
    # one SIP number for two: neither gets a part of it
    agents += [_agent(146, sip="7146"), _agent(147, sip="7146")]
    agents += [_agent(160)]  # on the exclude list
    agents += [_agent(165)]  # holds two values where the mapping writes one
    # pinned
    agents += [
        _agent(170) | {"accountCode": "external-7"},
        _agent(171) | {"accountCode": "external-8"},
    ]
    agents += [
        _agent(900) | {"accountCode": "unknown.1"},
        _agent(901) | {"accountCode": "user0195"},
    ]  # unmatched, one nearly
    # unassigned
    agents += [
        {"workNo": 1950 + number, "sipAccount": str(7950 + number)}
        for number in range(5)
    ]
    # invalid
    agents += [
        {"workNo": None, "accountCode": "broken.1"},
        {"workNo": 1961, "accountCode": 42},
    ]
    return _document(agents)


def _agent(
    number: int, seat: int | None = None, sip: str | None = None
) -> dict[str, Any]:
    return {
        "workNo": seat or 1000 + number,
        "accountCode": uid(number),
        "sipAccount": sip or str(7000 + number),
        "sipPwd": f"sample-password-{number:03}",
    }


def _document(agents: list[dict[str, Any]]) -> dict[str, Any]:
    return {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": agents}


def make_files() -> dict[str, str]:
    """The text of each file of the sample job, with the agents of last month."""
    return {
        "job.yaml": JOB,
        "agents.json": write_agents(last_month()),
        "mapping.yaml": MAPPING,
        "people.ldif": "".join(people()),
        "pins.csv": PINS,
        "exclude.csv": EXCLUDE,
    }


def write_agents(tenant: dict[str, Any]) -> str:
    """A tenant as a file of agents: the shape of the agent query, an agent a line."""
    lines = [f"    {json.dumps(agent)}" for agent in tenant["agents"]]
    head = {name: value for name, value in tenant.items() if name != "agents"}
    return json.dumps(head)[:-1] + ', "agents": [\n' + ",\n".join(lines) + "\n]}\n"
