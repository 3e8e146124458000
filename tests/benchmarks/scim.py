"""What is measured of SCIM: the rate of PATCH, against requests made beforehand, on one server in the same rounds.

All begin with the same users, change five attributes of each, and have to leave the same behind. What counts is
the seconds that each says its writing took, since the program has to read the users first and a generator has not.
There are two generators: one sends the requests as the program makes them, reading each user before and after its
PATCH; the other only the PATCH.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.benchmarks.figures import Figure, Target
from tests.benchmarks.jobs import HERE
from tests.benchmarks.measure import Contest, Entrant, Sample
from tests.benchmarks.people import IP, PORT
from tests.support.jobs import job_file, scim_directory
from tests.support.scim_servers import CEC, PATCH_OP, ScimServer, people

IN_FLIGHT = 8
USERS = 500
"""The server looks through all of its users at every PATCH; with many it does little else."""
ATTRIBUTES = ("accountCode", "workNo", "sipAccount", "sipServiceIp", "sipServicePort")
TARGET = Target(1 / 0.85)

MAPPING = "match:\n  - {agent: '{accountCode}', directory: userName}\nattributes:\n" + "".join(
    f"  {CEC}:{name}: '{{{name}}}'\n" for name in ATTRIBUTES
)


def writing(folder: Path, rounds: int, count: int = USERS) -> Iterator[Figure]:
    """So many changes by our writer, and as many by a bare load generator."""
    with ScimServer.start(folder / "server", people(count)) as server:
        before = server.all()
        plan = _plan(folder, server, before)
        told, same, barest = folder / "told.json", folder / "same.json", folder / "barest.json"
        told.write_text(json.dumps(_told(server, plan)))
        same.write_text(json.dumps(_requests(server, plan, reads=True, **{"If-Match": "*"})))
        barest.write_text(json.dumps(_requests(server, plan)))
        entrants = [
            Entrant("load generator", [sys.executable, HERE / "bare_scim.py", "write", same]),
            Entrant("our writer", [sys.executable, HERE / "our_scim.py", "write", told]),
            Entrant("barest PATCH", [sys.executable, HERE / "bare_scim.py", "write", barest]),
        ]
        contest = _Contest(entrants, rounds, folder, server, before)
        yield Figure.of(contest, f"PATCH {count:,} users", count, ("our writer", "load generator"), TARGET)
        yield Figure.of(contest, f"PATCH {count:,} users", count, ("our writer", "barest PATCH"))


def _plan(folder: Path, server: ScimServer, users: list[dict[str, Any]]) -> Path:
    """A plan of the program's own, as its report says it."""
    agents = [
        {
            "workNo": 1000 + number,
            "accountCode": user["userName"],
            "sipAccount": str(70_000 + number),
            "sipPwd": f"x-{number}",
        }
        for number, user in enumerate(users)
    ]
    tenant = {"sipServiceIp": IP, "sipServicePort": PORT, "agents": agents}
    (folder / "agents.json").write_text(json.dumps(tenant))
    (folder / "mapping.yaml").write_text(MAPPING)
    directory = scim_directory(server.url, concurrency=IN_FLIGHT)
    (folder / "job.yaml").write_text(job_file(directory, limits={"agents_drop": "100%"}))
    command = [sys.executable, "-m", "connector", "plan", "job.yaml", "--report", "plan.json"]
    subprocess.run(command, cwd=folder, env={"SCIM_TOKEN": server.token}, check=True, capture_output=True)
    return folder / "plan.json"


def _told(server: ScimServer, plan: Path) -> dict[str, Any]:
    directory = {
        "type": "scim",
        "url": server.url,
        "token": {"env": "SCIM_TOKEN"},
        "allow_plaintext": True,
        "concurrency": IN_FLIGHT,
    }
    attributes = [f"{CEC}:{name}" for name in ATTRIBUTES]
    return {"directory": directory, "token": server.token, "attributes": attributes, "plan": str(plan)}


def _requests(server: ScimServer, plan: Path, *, reads: bool = False, **headers: str) -> dict[str, Any]:
    """What a load generator is to send: the changes of the plan, each in one PATCH; perhaps with `reads` around it."""
    base = server.url.removeprefix(server.root)
    requests = []
    for change in json.loads(plan.read_bytes())["changes"]:
        operations = [
            {"op": "replace", "path": each["name"], "value": _typed(each["name"], each["new"][0])}
            for each in change["attributes"]
        ]
        body = json.dumps({"schemas": [PATCH_OP], "Operations": operations})
        path = f"{base}/Users/{change['user']['id']}"
        around = [["GET", path, ""]] * reads
        requests += [*around, ["PATCH", path, body], *around]
    always = {"Authorization": f"Bearer {server.token}", "Content-Type": "application/scim+json"}
    return {
        "host": "127.0.0.1",
        "port": server.port,
        "headers": always | headers,
        "threads": IN_FLIGHT,
        "requests": requests,
    }


def _typed(name: str, text: str) -> str | int:
    return int(text) if name.endswith(("workNo", "sipServicePort")) else text


class _Contest(Contest):
    """As the others, but wall and processor are what a script says its writing took; the server's is not counted."""

    def __init__(
        self, entrants: list[Entrant], rounds: int, folder: Path, server: ScimServer, before: list[dict[str, Any]]
    ) -> None:
        self._server, self._before, self._after = server, before, ""
        timed = [Entrant(each.name, each.command, self._restore, self._check) for each in entrants]
        self._said: list[tuple[float, float]] = []
        super().__init__(timed, rounds, folder, lambda: 0.0)
        for place, each in enumerate(entrants):
            said = self._said[place :: len(entrants)]
            self.samples[each.name] = [
                Sample(wall, cpu, sample.server, sample.memory)
                for (wall, cpu), sample in zip(said, self.samples[each.name], strict=True)
            ]

    def _restore(self) -> None:
        self._server.restore(self._before)

    def _check(self, out: Path) -> None:
        """Everybody was written, and what is there now is what was there after the first of all."""
        good, count, wall, cpu = out.read_text().split()
        if good != count or int(count) != len(self._before):
            raise RuntimeError(f"{good} of {count} writes were done, and {len(self._before)} are right")
        after = json.dumps(self._server.all(), sort_keys=True)
        if self._after not in ("", after):
            raise RuntimeError("the two leave different users behind")
        self._after = after
        self._said.append((float(wall), float(cpu)))
