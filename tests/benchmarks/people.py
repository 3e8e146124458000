"""The users and the agents of a benchmark: user number 7 is agent number 7, and has no other name than that."""

from __future__ import annotations

import json
import uuid
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.support.slapd import PEOPLE, TREE

IP, PORT = "192.0.2.10", 5060

USER = """
dn: uid={uid},{people}
objectClass: inetOrgPerson
{classes}uid: {uid}
cn: Agent {number}
sn: {number}
mail: {uid}@example.org
employeeNumber: {employee}
entryUUID: {uuid}
{agent}"""
CLASSES = "objectClass: cecAgent\nobjectClass: SIPIdentity\n"
AGENT = """\
cecAccountCode: {uid}
cecWorkNo: {work_no}
SIPIdentityUserName: {sip}
SIPIdentityRegistrarAddress: {ip}
SIPIdentitySIPURI: sip:{sip}@{ip}
cecSipServicePort: {port}
"""


def uid(number: int) -> str:
    """`agent0000007`: the account of an agent and the login of its user."""
    return f"agent{number:07}"


def spread(count: int, users: int) -> range:
    """So many of the users, evenly spread among them."""
    step = max(1, users // count)
    return range(1, users + 1, step)[:count]


def write_users(path: Path, users: int, bare: Collection[int] = (), *, tree: bool = True) -> None:
    """An LDIF file of all users as agents' fields are in sync with them, but for the bare ones, which have none."""
    with path.open("w") as file:
        if tree:
            file.write(TREE)
        file.writelines(_user(number, bare=number in bare) for number in range(1, users + 1))


def _user(number: int, *, bare: bool) -> str:
    name = uid(number)
    sip = 7_000_000 + number
    agent = "" if bare else AGENT.format(uid=name, work_no=1_000_000 + number, sip=sip, ip=IP, port=PORT)
    identity = uuid.UUID(int=(0x5EED << 112) | (4 << 76) | (8 << 60) | number)
    return USER.format(
        uid=name,
        number=number,
        people=PEOPLE,
        classes="" if bare else CLASSES,
        employee=500_000 + number,
        uuid=identity,
        agent=agent,
    )


def write_agents(path: Path, numbers: Collection[int], moved: int = 0) -> None:
    """A file of the agent query's own shape. Every `moved`-th agent has another SIP account than its user."""
    with path.open("w") as file:
        file.write(f'{{"resultCode": "0", "sipServiceIp": "{IP}", "sipServicePort": {PORT}, "agents": [\n')
        file.write(",\n".join(_agents(numbers, moved)))
        file.write("\n]}\n")


def _agents(numbers: Collection[int], moved: int) -> Iterator[str]:
    for place, number in enumerate(numbers):
        sip = 9_000_000 if moved and place % moved == 0 else 7_000_000
        record = {"workNo": 1_000_000 + number, "accountCode": uid(number), "sipAccount": str(sip + number)}
        yield json.dumps(record | {"sipPwd": f"made-up-{number}"})
