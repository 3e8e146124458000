"""Two domains of Active Directory behind one tenant: users who move, agents found in both, a domain that is away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.ad_job import FILTER, MAPPING, WITHOUT_TLS, agent, held, named
from tests.support.jobs import job_file, ldap_directory
from tests.support.program import Ended, program
from tests.support.samba import PEOPLE, SYNC, SYNC_PASSWORD, Samba, person

pytestmark = [pytest.mark.samba, pytest.mark.slow]

ENABLED, DISABLED = "userAccountControl: 544", "userAccountControl: 546"


class TwoDomains:
    """Agents 0 to 5: the first domain has 0, 1 and 2, the second 3 and 4, and 5 is nowhere."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        people = [person(f"agent{number:03}", ENABLED) for number in range(5)]
        self.servers = {
            "apac": Samba.start(folder / "apac", people[:3], options=WITHOUT_TLS),
            "emea": Samba.start(folder / "emea", people[3:], domain="second", options=WITHOUT_TLS),
        }
        for name, server in self.servers.items():
            (other,) = self.servers.keys() - {name}
            directory = ldap_directory(server.url, bind_dn=SYNC, base=PEOPLE, show=[]) | {"filter": FILTER}
            limits = dict.fromkeys(("update", "clear", "agents_drop", "matched_drop"), "100%")
            text = job_file(directory, siblings=[f"{other}.yaml"], limits=limits)
            (folder / f"{name}.yaml").write_text(text)
        (folder / "mapping.yaml").write_text(MAPPING)
        tenant = {"sipServiceIp": "192.0.2.10", "agents": [agent(number) for number in range(6)]}
        (folder / "agents.json").write_text(json.dumps(tenant))

    def run(self, *arguments: str, code: int = 0) -> Ended:
        ended = program(*arguments, folder=self.folder, env={"LDAP_PASSWORD": SYNC_PASSWORD})
        assert ended.code == code, ended.said
        return ended

    def apply(self, domain: str, code: int = 0) -> dict[str, Any]:
        self.run("apply", f"{domain}.yaml", "--report", "report.json", code=code)
        report: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return report

    def written(self, domain: str) -> set[int]:
        """The agents whose number is in this domain."""
        server = self.servers[domain]
        return {number for number in range(6) if held(server, number, "employeeNumber") == [str(1000 + number)]}

    def move(self, number: int, old: str, new: str) -> None:
        """As an administrator moves somebody to the other domain: the account there is another one."""
        self.servers[old].modify(f"dn: {named(number)}\nchangetype: delete\n")
        self.servers[new].add(person(f"agent{number:03}", ENABLED))

    def found_in_both(self, number: int) -> None:
        self.servers["emea"].add(person(f"agent{number:03}", ENABLED))

    def disable(self, domain: str, number: int) -> None:
        change = f"changetype: modify\nreplace: userAccountControl\n{DISABLED}\n"
        self.servers[domain].modify(f"dn: {named(number)}\n{change}")


@pytest.fixture
def domains(tmp_path: Path) -> Iterator[TwoDomains]:
    made = TwoDomains(tmp_path)
    yield made
    for server in made.servers.values():
        server.stop()


def doubted(report: dict[str, Any]) -> set[int]:
    """The agents that both domains have."""
    contested = [each["agent"] for each in report["problems"] if each["kind"] == "contested"]
    return {each["workNo"] - 1000 for each in contested}


Case = tuple[Callable[[TwoDomains], None], str, set[int], set[int], set[int]]
CASES: dict[str, Case] = {
    "everybody is where they were": (lambda _: None, "emea", set(), {0, 1, 2}, {3, 4}),
    "somebody is found in both: written by neither, and what they hold stays": (
        lambda both: both.found_in_both(1), "emea", {1}, {0, 1, 2}, {3, 4},
    ),
    "the other domain says the same": (lambda _: None, "apac", {1}, {0, 1, 2}, {3, 4}),
    "one of the two is disabled, and not read any more: the other waits for that domain's next look": (
        lambda both: both.disable("apac", 1), "emea", {1}, {0, 1, 2}, {3, 4},
    ),
    "which finds nobody, and leaves a disabled account as it is": (
        lambda _: None, "apac", set(), {0, 1, 2}, {3, 4},
    ),
    "then the other one is written": (lambda _: None, "emea", set(), {0, 1, 2}, {1, 3, 4}),
    "somebody moves: not written before the old domain was looked at": (
        lambda both: both.move(0, "apac", "emea"), "emea", {0}, {1, 2}, {1, 3, 4},
    ),
    "the old domain has nobody left": (lambda _: None, "apac", set(), {1, 2}, {1, 3, 4}),
    "the new domain writes": (lambda _: None, "emea", set(), {1, 2}, {0, 1, 3, 4}),
}  # fmt: skip
"""What happens, which job runs then, the agents that it doubts, and whose numbers either domain has afterwards."""


def test_two_domains_of_one_tenant(domains: TwoDomains) -> None:
    domains.apply("apac")
    domains.apply("emea")
    for case, (happens, runs, both, apac, emea) in CASES.items():
        happens(domains)
        report = domains.apply(runs)
        assert doubted(report) == both, case
        assert (domains.written("apac"), domains.written("emea")) == (apac, emea), case
        counts = report["summary"]
        places = ("matched", "unmatched", "elsewhere", "ambiguous", "contested", "unassigned", "invalid")
        assert counts["agents"] == sum(counts[place] for place in places), case
    unmatched = {"apac": 1, "emea": 0}
    for domain, count in unmatched.items():
        assert domains.apply(domain)["summary"]["unmatched"] == count, "who is nowhere is said once"
    said = json.loads(domains.run("coverage", "apac.yaml", "emea.yaml", "--json").out)
    assert (said["agents"], said["found"], said["nowhere"], said["twice"]) == (6, 5, ["agent005"], {})


def test_a_domain_that_died_is_told_from_its_last_plan(domains: TwoDomains) -> None:
    domains.apply("apac")
    domains.apply("emea")
    domains.servers["emea"].kill()
    domains.run("apply", "emea.yaml", code=1)
    report = domains.apply("apac")
    assert (report["summary"]["elsewhere"], report["summary"]["unmatched"]) == (2, 1)
    assert domains.written("apac") == {0, 1, 2}
    domains.servers["emea"].restart()
    assert domains.apply("emea")["summary"]["elsewhere"] == 4
