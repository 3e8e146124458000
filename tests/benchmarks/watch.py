"""What an idle `serve.watch` costs: requests of the directory, reads of the tenant, and processor time.

    python -m tests.benchmarks.watch --jobs 200 --minutes 3

One `serve` has all jobs, each with a base of its own on one slapd, and one tenant over HTTP. Once each job has run
and come to rest, nothing changes: what is counted is one look a minute of each job. Fails where a look costs more than
two requests of the directory or one read of the tenant.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from connector.demo.simulator import Simulator
from tests.support.jobs import cec_source, job_file, ldap_directory
from tests.support.ldap_server import ADMIN
from tests.support.serving import Served, serving
from tests.support.slapd import PEOPLE, SYNC, SYNC_PASSWORD, Slapd

MINUTE = 60.0
AGENTS = 2
"""Of each job."""
OVERLAYS = f"overlay syncprov\ndatabase monitor\naccess to * by dn.exact={ADMIN!r} read".replace("'", '"')
MAPPING = """\
match: [{agent: "{accountCode}", directory: uid}]
attributes:
  employeeNumber: "{workNo}"
"""


def unit(number: int) -> str:
    """A job's base, and its users."""
    base = f"ou=job{number},{PEOPLE}"
    people = [
        f"dn: uid=j{number}u{each},{base}\nobjectClass: inetOrgPerson\nuid: j{number}u{each}\ncn: P\nsn: P\n"
        for each in range(AGENTS)
    ]
    return "\n".join([f"dn: {base}\nobjectClass: organizationalUnit\nou: job{number}\n", *people])


def searches(server: Slapd) -> int:
    """Searches and root DSE reads that the server has answered."""
    found = server.search("(objectClass=*)", "monitorOpCompleted", base="cn=Search,cn=Operations,cn=Monitor")
    (line,) = [line for line in found.decode().splitlines() if line.startswith("monitorOpCompleted: ")]
    return int(line.split()[1])


def spent(pid: int) -> float:
    """Processor seconds of one process, without those that it has started."""
    user, system = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Megabytes of one process."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) // 1024


def come_to_rest(served: Served, jobs: int) -> None:
    """Wait until no run has been woken for two looks."""
    ended = 0
    while ended < 2 * jobs:  # that of the start, and one that its own writes have woken
        served.next("run ended")
        ended += 1


def write_jobs(folder: Path, jobs: int, server: Slapd, tenant: Simulator) -> list[str]:
    (folder / "mapping.yaml").write_text(MAPPING)
    names = [f"job{number}.yaml" for number in range(jobs)]
    for number, name in enumerate(names):
        directory = ldap_directory(server.url, bind_dn=SYNC, base=f"ou=job{number},{PEOPLE}", show=[])
        serve = {"cron": "0 0 1 1 *", "mode": "apply", "watch": "1m"}
        limits = {"update": "100%", "agents_drop": "100%", "matched_drop": "100%"}
        (folder / name).write_text(job_file(directory, source=cec_source(tenant.url), serve=serve, limits=limits))
    return names


def measure(jobs: int, minutes: float) -> bool:
    """Print what one job's look costs; whether that is what it may."""
    agents = [
        {"workNo": 10 * number + each, "accountCode": f"j{number}u{each}"}
        for number in range(jobs)
        for each in range(AGENTS)
    ]
    document = {"sipServiceIp": "192.0.2.10", "agents": agents}
    with (
        tempfile.TemporaryDirectory() as where,
        Slapd.start(Path(where) / "slapd", map(unit, range(jobs)), overlays=OVERLAYS) as server,
        Simulator(document) as tenant,
    ):
        folder = Path(where) / "jobs"
        folder.mkdir()
        names = write_jobs(folder, jobs, server, tenant)
        env = {"LDAP_PASSWORD": SYNC_PASSWORD, "CEC_APP_KEY": "demo-key", "CEC_APP_SECRET": "demo-secret"}
        with serving(folder, *names, env=env) as served:
            come_to_rest(served, jobs)
            time.sleep(2 * MINUTE)  # two looks of each job, which find nothing: nothing tells of those
            pid = served.process.pid
            before = searches(server), len(tenant.requests), spent(pid)
            time.sleep(minutes * MINUTE)  # what is measured is what it costs to do nothing for so long
            after = searches(server), len(tenant.requests), spent(pid)
            looks = jobs * minutes
            # the look at the monitor itself is one
            asked, read, used = after[0] - before[0] - 1, after[1] - before[1], after[2] - before[2]
            print(f"{jobs} jobs, {minutes:g} minutes, {len(agents)} agents in the tenant")
            print(f"directory: {asked / looks:.2f} searches a look")
            print(f"tenant:    {read / looks:.2f} requests a look")
            print(f"processor: {100 * used / (minutes * MINUTE):.1f} % of one, {1000 * used / looks:.1f} ms a look")
            print(f"memory:    {resident(pid)} MB")
            served.stop()
    return asked / looks <= 2.1 and read / looks <= 2.1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=3)
    given = parser.parse_args()
    return 0 if measure(given.jobs, given.minutes) else 1


if __name__ == "__main__":
    sys.exit(main())
