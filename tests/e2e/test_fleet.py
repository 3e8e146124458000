"""A fleet: jobs run by workers on a real Temporal server, with PostgreSQL and OpenLDAP, through the command line."""

from __future__ import annotations

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.fleet_stranger import stranger
from tests.support.fleet_world import ENV, FleetWorld, base as base_of
from tests.support.plain_job import Stalled
from tests.support.postgres import Postgres
from tests.support.program import program
from tests.support.slapd import SYNC_PASSWORD, Slapd
from tests.support.ssh_keys import pen
from tests.support.temporal import Temporal

pytestmark = [pytest.mark.temporal, pytest.mark.postgresql]

MakeWorld = Callable[..., FleetWorld]


@pytest.fixture
def world(tmp_path: Path, temporal_server: Temporal, postgresql: Postgres, server: Slapd) -> Iterator[MakeWorld]:
    made: list[FleetWorld] = []

    def make(*names: str, **limits: Any) -> FleetWorld:
        found = FleetWorld(tmp_path / "jobs", temporal_server, postgresql, **limits)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


def numbers(server: Slapd, job: str) -> list[str]:
    found = server.search("-LLL", "(uid=*)", "employeeNumber", base=base_of(job)).decode()
    return sorted(line.split()[1] for line in found.splitlines() if line.startswith("employeeNumber:"))


def test_a_run_applies_within_its_limits_and_the_next_finds_nothing_to_do(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("alpha", server)
    fleet.work()
    assert " ended: 3 written." in fleet.fleet("run", "alpha.yaml").out
    assert numbers(server, "alpha") == ["1000", "1001", "1002"]
    assert "no changes" in fleet.fleet("run", "alpha.yaml").out
    assert fleet.status()["alpha"]["state"] == "in step"
    histories = fleet.histories()
    encoded = base64.b64encode(b"canary").decode()[:7]
    assert "cec-connector/alpha" in histories
    assert not [word for word in ("canary", encoded, "alpha-u", "LDAP_PASSWORD") if word in histories]


def test_a_refused_plan_waits_until_somebody_approves_it(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("beta", server, limits={"update": 1})
    fleet.work()
    said = fleet.fleet("run", "beta.yaml", code=3).out
    digest = fleet.status()["beta"]["digest"]
    assert f"fleet approve beta.yaml {digest}" in said.replace("\n", " ").replace("  ", " ")
    assert fleet.status()["beta"]["state"] == "waiting for approval"
    assert f", 3 changes, beyond its limits, {digest}\n" in fleet.fleet("status", ".").out
    said = fleet.fleet("plan", "beta.yaml", "--all", "--report", "plan.html").out
    assert "REFUSED" in said
    assert said.count(f"run:\n    cec-connector fleet approve beta.yaml {digest}\n") == 1
    assert digest in (fleet.folder / "plan.html").read_text()
    said = fleet.fleet("run", "beta.yaml", code=75).err
    assert "is open" in said
    assert "approve or reject" in said
    assert "on that host" not in said
    wrong = f"sha256:{64 * '0'}"
    assert digest in fleet.fleet("approve", "beta.yaml", wrong, code=64).err
    assert numbers(server, "beta") == []
    fleet.fleet("approve", "beta.yaml", digest)
    fleet.settle("beta", "in step")
    assert numbers(server, "beta") == ["1000", "1001", "1002"]


def test_a_dry_run_job_waits_and_a_rejected_plan_is_not_written(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("gamma", server, mode="dry-run")
    fleet.work()
    fleet.fleet("run", "gamma.yaml", code=2)
    told = fleet.status()["gamma"]
    assert (told["state"], told["changes"]) == ("waiting for approval", 3)
    fleet.fleet("plan", "gamma.yaml", "--save", "first.json")
    fleet.fleet("reject", "gamma.yaml", told["digest"])
    fleet.settle("gamma", "rejected")
    assert "waits for no approval" in fleet.fleet("reject", "gamma.yaml", told["digest"], code=64).err
    assert numbers(server, "gamma") == []
    fleet.fleet("plan", "gamma.yaml", code=64)
    by_hand = program("apply", "gamma.yaml", "--plan", "first.json", folder=fleet.folder, env=ENV)
    assert (by_hand.code, "this plan is foreign" in by_hand.err) == (3, True)
    fleet.fleet("run", "gamma.yaml", code=2)
    fleet.fleet("plan", "gamma.yaml", "--save", "second.json")
    first, second = (json.loads((fleet.folder / f"{name}.json").read_text()) for name in ("first", "second"))
    assert first["digest"] == second["digest"]
    assert first["id"] != second["id"], "who has signed the rejected one has not signed this one"


def test_a_tick_supersedes_a_plan_that_waits(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("delta", server, mode="dry-run")
    fleet.work()
    fleet.tick("delta")
    first = fleet.settle("delta", "waiting for approval")["digest"]
    records = [{"workNo": 2000, "accountCode": "delta-u0", "sipPwd": "canary-x"}]
    fleet.agents("delta", records)
    fleet.tick("delta", 2)
    fleet.until(lambda: fleet.status()["delta"]["digest"] != first)
    second = fleet.status()["delta"]["digest"]
    assert second in fleet.fleet("approve", "delta.yaml", first, code=64).err
    fleet.fleet("approve", "delta.yaml", second)
    fleet.settle("delta", "in step")
    assert numbers(server, "delta") == ["2000"]


def test_a_worker_that_is_killed_while_it_writes_is_made_up_for(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("kappa", server, agents=30)
    worker = fleet.work()
    fleet.fleet("run", "kappa.yaml", "--no-wait")
    fleet.until(lambda: bool(numbers(server, "kappa")))
    worker.kill_all()
    fleet.work()
    fleet.settle("kappa", "in step")
    assert numbers(server, "kappa") == [str(1000 + number) for number in range(30)]


def test_a_worker_that_is_told_to_stop_lets_its_run_end(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("sigma", server)
    worker = fleet.work()
    fleet.fleet("run", "sigma.yaml", "--no-wait")
    fleet.until(lambda: "run started" in worker.log.read_text())
    assert worker.stop() == 0
    fleet.work()
    fleet.settle("sigma", "in step")


def test_jobs_with_wrong_files_and_files_as_states(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("omega", server)
    job = fleet.folder / "omega.yaml"
    right = job.read_text()
    job.write_text(right.replace(fleet.state, "sqlite:///state.db"))
    assert "all its workers share" in fleet.fleet("run", "omega.yaml", code=78).err
    job.write_text(right)
    fleet.work()
    fleet.fleet("run", "omega.yaml")
    job.write_text(right + "\nwrong: 1\n")
    fleet.tick("omega")
    assert fleet.settle("omega", "failing", code=1)["exit_code"] == 78


def fail(fleet: FleetWorld, name: str) -> None:
    """Let a job fail for good."""
    job = fleet.folder / f"{name}.yaml"
    job.write_text(f"{job.read_text()}\nwrong: 1\n")
    fleet.tick(name)
    fleet.until(lambda: fleet.ask("status", ".").code == 1 and fleet.status(1).get(name, {}).get("state") == "failing")


def test_jobs_whose_plans_wait_stop_no_applies_of_others(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    names = [f"wait{number}" for number in range(6)]
    for name in names:
        fleet.add(name, server, limits={"update": "100%" if name == names[5] else 1})
    fleet.work()
    for name in names[:5]:
        fleet.fleet("run", f"{name}.yaml", code=3)
    assert "APPLIES HAVE STOPPED" not in fleet.fleet("status", ".").out
    assert " ended: 3 written." in fleet.fleet("run", f"{names[5]}.yaml").out


def test_an_approval_says_that_applies_have_stopped(world: MakeWorld, server: Slapd) -> None:
    fleet = world(brake={"share": "10%", "least": 2})
    for name in ("halted", "worse", "waits"):
        fleet.add(name, server, limits={"update": 1 if name == "waits" else "100%"})
    fleet.work()
    fleet.fleet("run", "waits.yaml", code=3)
    digest = fleet.status()["waits"]["digest"]
    for name in ("halted", "worse"):
        fail(fleet, name)
    said = fleet.fleet("approve", "waits.yaml", digest).out
    assert "as soon as" not in said
    assert "Approved. It is not applied yet: applies of the fleet have stopped since 20" in said
    assert said.endswith("run:\n    cec-connector fleet status .\n    cec-connector fleet resume .\n")
    assert numbers(server, "waits") == []
    fleet.fleet("resume", ".")
    fleet.settle("waits", "in step", code=1)


def test_an_approval_by_a_copied_file_without_approvers_leaves_the_plan_waiting(
    world: MakeWorld, server: Slapd
) -> None:
    fleet = world()
    fleet.add("signed", server, approvers={"allowed": "signers", "needed": 1})
    anna = pen()
    (fleet.folder / "signers").write_text(f"anna {anna.public}\n")
    worker = fleet.work()
    fleet.fleet("run", "signed.yaml", code=2)
    digest = fleet.status()["signed"]["digest"]
    copies = fleet.folder / "copies"
    shutil.copytree(fleet.folder, copies, ignore=shutil.ignore_patterns("*.log"))
    text = (copies / "signed.yaml").read_text()
    (copies / "signed.yaml").write_text("\n".join(line for line in text.splitlines() if "approvers" not in line))
    fleet.fleet("approve", "copies/signed.yaml", digest)
    fleet.until(lambda: '"exit_code": 3' in worker.log.read_text())
    assert fleet.settle("signed", "waiting for approval")["digest"] == digest
    assert numbers(server, "signed") == []

    fleet.fleet("plan", "signed.yaml", "--save", "plan.json")
    (fleet.folder / "anna.sig").write_bytes(anna.sign((fleet.folder / "plan.json").read_bytes()))
    fleet.fleet("approve", "signed.yaml", digest, "--approval", "anna.sig")
    fleet.settle("signed", "in step")
    assert numbers(server, "signed") == ["1000", "1001", "1002"]


def test_the_brake_stops_applies_until_somebody_says_so(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    names = [f"brake{number}" for number in range(6)]
    for name in names:
        fleet.add(name, server)
    fleet.work()
    for name in names[2:5]:
        fleet.fleet("run", f"{name}.yaml")
    for name in names[:2]:
        fail(fleet, name)
    said = fleet.fleet("status", ".", code=1).out
    assert "APPLIES HAVE STOPPED" in said
    assert "fleet resume .\n" in said
    fleet.fleet("run", f"{names[5]}.yaml", "--no-wait")
    fleet.until(lambda: json.loads(fleet.fleet("status", ".", "--json", code=1).out)["waiting_to_begin"] == 1)
    assert numbers(server, names[5]) == []
    assert "begin again" in fleet.fleet("resume", ".").out
    fleet.settle(names[5], "in step", code=1)


def test_what_is_said_where_nobody_answers(world: MakeWorld, server: Slapd, tmp_path: Path) -> None:
    fleet = world()
    fleet.add("lambda", server)
    said = fleet.fleet("status", ".", code=1).err
    assert "fleet worker" in said
    assert "firewall" not in said, "Temporal answers"
    said = " ".join(fleet.fleet("run", "lambda.yaml", code=1).err.split())
    assert "lambda: the run has begun, and waits: no worker of this fleet answers" in said
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "fleet.yaml").write_text((fleet.folder / "fleet.yaml").read_text())
    assert "holds no job files" in fleet.fleet("worker", str(tmp_path / "empty"), code=64).err
    (fleet.folder / "fleet.yaml").write_text(json.dumps({"address": "127.0.0.1:1"}))
    assert "127.0.0.1:1" in fleet.fleet("status", ".", code=1).err
    (fleet.folder / "fleet.yaml").unlink()
    fleet.fleet("status", ".", code=78)


def test_a_job_that_is_no_longer_to_apply_by_itself_waits_for_approval(world: MakeWorld, server: Slapd) -> None:
    fleet = world(applies=1)
    with Stalled(server.port) as held:
        fleet.add("holder", server, agents=20, url=held.url)
        fleet.add("queued", server)
        fleet.work()
        fleet.fleet("run", "holder.yaml", "--no-wait")
        assert held.held.wait(60)
        fleet.fleet("run", "queued.yaml", "--no-wait")
        fleet.until(lambda: json.loads(fleet.fleet("status", ".", "--json").out)["waiting_to_begin"] == 1)
        job = fleet.folder / "queued.yaml"
        job.write_text(job.read_text().replace("mode: apply", "mode: dry-run"))
        held.let.set()
        told = fleet.settle("queued", "waiting for approval")
        assert numbers(server, "queued") == []
        fleet.fleet("approve", "queued.yaml", told["digest"])
        fleet.settle("queued", "in step")
        assert len(numbers(server, "holder")) == 20


def test_a_tick_makes_a_new_plan_of_an_apply_that_waits_for_its_place(world: MakeWorld, server: Slapd) -> None:
    fleet = world(applies=1)
    with Stalled(server.port) as held:
        fleet.add("blocker", server, agents=20, url=held.url)
        fleet.add("follower", server)
        worker = fleet.work()
        fleet.fleet("run", "blocker.yaml", "--no-wait")
        assert held.held.wait(60)
        fleet.tick("follower")
        fleet.until(lambda: json.loads(fleet.fleet("status", ".", "--json").out)["waiting_to_begin"] == 1)
        fleet.agents("follower", [{"workNo": 2000, "accountCode": "follower-u0", "sipPwd": "canary-x"}])
        fleet.tick("follower", 2)
        fleet.until(
            lambda: sum("run ended" in line and "follower" in line for line in worker.log.read_text().splitlines()) == 2
        )
        held.let.set()
        fleet.settle("follower", "in step")
    assert numbers(server, "follower") == ["2000"]


def test_an_approval_outlasts_a_directory_that_is_away(world: MakeWorld, tmp_path: Path) -> None:
    with Slapd.start(tmp_path / "own") as own:
        fleet = world()
        fleet.add("tau", own, mode="dry-run")
        worker = fleet.work()
        fleet.fleet("run", "tau.yaml", code=2)
        digest = fleet.status()["tau"]["digest"]
        own.stop()
        fleet.fleet("approve", "tau.yaml", digest)
        fleet.until(lambda: '"exit_code": 1' in worker.log.read_text())
        own.restart()
        fleet.settle("tau", "in step")
        assert len(numbers(own, "tau")) == 3


def test_a_job_on_hold_is_refused_and_not_in_step(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("upsilon", server)
    fleet.work()
    fleet.fleet("run", "upsilon.yaml")
    done = program("undo", "upsilon.yaml", "last", "--apply", "--yes", folder=fleet.folder, env=ENV)
    assert done.code == 0, done.said
    fleet.fleet("run", "upsilon.yaml", code=3)
    assert fleet.status()["upsilon"]["state"] == "refused"


def test_a_run_that_is_cancelled_ends_and_makes_no_other(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    with Stalled(server.port) as held:
        fleet.add("phi", server, agents=30, url=held.url)
        worker = fleet.work()
        fleet.fleet("run", "phi.yaml", "--no-wait")
        assert held.held.wait(60)
        assert "waits for no approval" in fleet.fleet("reject", "phi.yaml", f"sha256:{64 * '0'}", code=64).err
        fleet.temporal.cli("workflow", "cancel", "--namespace", fleet.namespace, "--workflow-id", "cec-connector/phi")
        fleet.until(lambda: "run told to stop" in worker.log.read_text())
        held.let.set()
        fleet.settle("phi", "stopped")
        assert fleet.postgres.run(fleet.database, "select count(*) from runs") == [(1,)]
        assert "waits for no approval" in fleet.fleet("reject", "phi.yaml", f"sha256:{64 * '0'}", code=64).err


def test_a_run_that_somebody_resets_in_the_engine_goes_on(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("chi", server, mode="dry-run")
    fleet.work()
    fleet.fleet("run", "chi.yaml", code=2)
    digest = fleet.status()["chi"]["digest"]
    fleet.temporal.cli(
        "workflow", "reset", "--namespace", fleet.namespace, "--workflow-id", "cec-connector/chi",
        "--type", "LastWorkflowTask", "--reason", "a test",
    )  # fmt: skip
    fleet.until(lambda: fleet.ask("approve", "chi.yaml", digest).code == 0)
    fleet.settle("chi", "in step")
    assert len(numbers(server, "chi")) == 3


def test_a_place_whose_run_was_terminated_is_free_for_others(world: MakeWorld, server: Slapd) -> None:
    fleet = world(per_server=1)
    with Stalled(server.port) as held:
        fleet.add("stigma", server, agents=30, url=held.url)
        fleet.add("digamma", server, url=held.url)
        worker = fleet.work()
        fleet.fleet("run", "stigma.yaml", "--no-wait")
        assert held.held.wait(60)
        end = ("workflow", "terminate", "--namespace", fleet.namespace, "--workflow-id", "cec-connector/stigma")
        fleet.temporal.cli(*end)
        fleet.until(lambda: "run told to stop" in worker.log.read_text())
        held.let.set()
        fleet.fleet("run", "digamma.yaml")
    assert len(numbers(server, "digamma")) == 3


def test_what_cannot_be_repeated_begins_anew(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("koppa", server)
    with stranger(fleet.temporal.address, fleet.namespace):
        fleet.tick("koppa")
        listed = ("workflow", "list", "--namespace", fleet.namespace, "--query", "WorkflowType = 'Job'")
        fleet.until(lambda: bool(fleet.temporal.json(*listed)))
        fleet.until(lambda: "timerId" in str(fleet.temporal.history(fleet.namespace, "cec-connector/koppa")))
    worker = fleet.work()
    fleet.settle("koppa", "in step")
    assert numbers(server, "koppa") == ["1000", "1001", "1002"]
    assert "applies stop" not in worker.log.read_text()


def test_a_job_whose_file_is_gone_counts_no_more(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    for name in ("psi", "rho"):
        fleet.add(name, server, mode="dry-run")
    worker = fleet.work()
    fleet.fleet("run", "psi.yaml", code=2)
    (fleet.folder / "psi.yaml").unlink()
    assert fleet.status() == {}
    gauge = 'cec_connector_fleet_jobs{state="waiting for approval"}'
    fleet.until(lambda: f"{gauge} 1.0" not in worker.metrics())
    assert f"{gauge} 0.0" in worker.metrics()


def test_a_worker_s_page_tells_how_each_job_stands_and_when_it_runs_next_and_names_nobody(
    world: MakeWorld, server: Slapd
) -> None:
    fleet = world()
    for name in ("waits", "fails", "sleeps"):
        fleet.add(name, server, mode="dry-run")
    fleet.fleet("schedule", ".", "--apply", code=0)
    worker = fleet.work()
    fleet.fleet("run", "waits.yaml", code=2)
    fail(fleet, "fails")
    fleet.until(lambda: "<dt>Changes</dt><dd>3</dd>" in worker.get("/") and worker.get("/").count("Next run") == 3)
    page = worker.get("/")
    assert re.findall("<h2>(.*)</h2>", page) == ["fails", "waits", "sleeps"]
    assert "1 of 3 jobs must be looked at" in page
    digest = fleet.status(1)["waits"]["digest"]
    assert page.count(f"<dt>Plan that waits</dt><dd>{digest}</dd>") == 1
    for moment in re.findall("<dt>Next run</dt><dd>(.*?)</dd>", page):
        begins = datetime.strptime(moment.rpartition(" ")[0], "%Y-%m-%d %H:%M:%S").astimezone()
        assert timedelta() < begins - datetime.now(UTC) < timedelta(hours=1, minutes=1)
    for personal in ("canary", "waits-u", "uid=", "dc=", "1000", "example"):
        assert personal not in page.replace(digest, "")


def test_limits_have_a_database_of_their_own_or_that_of_all_jobs(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("one", server)
    fleet.add("two", server, state=fleet.postgres.create(f"{fleet.database}_other"))
    said = fleet.fleet("worker", ".", code=78).err
    assert "fleet.yaml: names no database for the fleet's limits, and the jobs do not name one together" in said
    assert "state: postgresql://" in said
    fleet.configure(state="sqlite:///state.db")
    assert "state: must be postgresql://…: all workers share it" in fleet.fleet("status", ".", code=78).err
    fleet.configure(state=fleet.postgres.create(f"{fleet.database}_limits"))
    fleet.work()
    fleet.fleet("run", "one.yaml")
    fleet.fleet("run", "two.yaml")
    assert fleet.postgres.run(f"{fleet.database}_limits", "select count(*) from fleet_jobs") == [(2,)]


def renew_watch(fleet: FleetWorld) -> None:
    """Wait until the worker that looks has renewed its lease twice: 15 seconds lie between, and a look is due after 5."""

    def read_lease() -> float:
        ((until,),) = fleet.postgres.run(fleet.database, "select leased_until from fleet_watches")
        return float(until)

    renewals = {read_lease()}

    def has_renewed() -> bool:
        renewals.add(read_lease())
        return len(renewals) > 2

    fleet.until(has_renewed)


YEARLY = {"cron": "0 0 1 1 *", "mode": "apply", "watch": "5s"}


def test_a_change_between_two_ticks_is_written_by_a_fleet_also_once_another_worker_looks(
    world: MakeWorld, server: Slapd
) -> None:
    fleet = world()
    fleet.add("live", server, serve=YEARLY)
    fleet.fleet("schedule", ".", "--apply")
    workers = [fleet.work(), fleet.work()]
    fleet.fleet("run", "live.yaml")  # a run has to find out first whether the directory takes the account
    fleet.until(lambda: any("run woken" in each.log.read_text() for each in workers))
    (looking,) = [each for each in workers if "run woken" in each.log.read_text()]
    fleet.settle("live", "in step")
    fleet.agents("live", [{"workNo": 2000 + n, "accountCode": f"live-u{n}"} for n in range(3)])
    fleet.until(lambda: numbers(server, "live") == ["2000", "2001", "2002"])
    fleet.until(lambda: 'cec_connector_last_change_seconds{cec_job="live"}' in looking.metrics())
    wake_ups = 'cec_connector_wake_ups_total{cause="tenant",cec_job="live"} 1.0'
    assert wake_ups in looking.metrics()
    assert looking.stop() == 0
    user = f"uid=live-u0,{base_of('live')}"
    server.modify(f"dn: {user}\nchangetype: modify\nreplace: employeeNumber\nemployeeNumber: 9\n")
    fleet.until(lambda: numbers(server, "live") == ["2000", "2001", "2002"])
    (other,) = [each for each in workers if each is not looking]
    assert '"woken_by": "start"' in other.log.read_text(), "nobody knows what changed while nobody looked"


def test_a_plan_that_waits_is_made_anew_where_something_moves(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("waits", server, serve={**YEARLY, "mode": "dry-run"})
    fleet.fleet("schedule", ".", "--apply")
    fleet.work()
    fleet.fleet("run", "waits.yaml", code=2)
    before = fleet.status()["waits"]["digest"]
    fleet.agents("waits", [{"workNo": 3000 + n, "accountCode": f"waits-u{n}"} for n in range(3)])
    fleet.until(lambda: fleet.status()["waits"]["digest"] not in (before, ""))
    fleet.fleet("approve", "waits.yaml", fleet.settle("waits", "waiting for approval")["digest"])
    fleet.settle("waits", "in step")
    assert numbers(server, "waits") == ["3000", "3001", "3002"]


def test_looks_of_a_fleet_end_where_the_directory_refuses_the_account(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    password = fleet.folder / "password"
    password.write_text(SYNC_PASSWORD)
    for name in ("one", "other"):
        fleet.add(name, server, serve=YEARLY)
        path = fleet.folder / f"{name}.yaml"
        path.write_text(path.read_text().replace("env: LDAP_PASSWORD", f"file: {password}"))
    fleet.fleet("schedule", ".", "--apply")
    worker = fleet.work()
    for name in ("one", "other"):
        fleet.fleet("run", f"{name}.yaml")
    fleet.until(lambda: worker.log.read_text().count("run woken") >= 2)
    password.write_text("wrong")
    fleet.agents("one", [{"workNo": 4000 + n, "accountCode": f"one-u{n}"} for n in range(3)])
    fleet.until(lambda: "invalidCredentials" in worker.log.read_text())
    renew_watch(fleet)  # the limits were asked again, and each job would have looked
    refused = worker.log.read_text().count("invalidCredentials")
    assert refused <= 4, "at most a look and a run of each job that were under way"
    renew_watch(fleet)
    assert worker.log.read_text().count("invalidCredentials") == refused


def test_a_paused_schedule_holds_looks_too_and_a_changed_mapping_ends_none(world: MakeWorld, server: Slapd) -> None:
    fleet = world()
    fleet.add("held", server, serve=YEARLY)
    fleet.fleet("schedule", ".", "--apply")
    worker = fleet.work()
    fleet.fleet("run", "held.yaml")
    fleet.until(lambda: worker.log.read_text().count("run woken") >= 1)
    fleet.settle("held", "in step")
    toggle = ("schedule", "toggle", "--namespace", fleet.namespace, "--schedule-id", "cec-connector/held")
    fleet.temporal.cli(*toggle, "--pause", "--reason", "a freeze")
    fleet.agents("held", [{"workNo": 5000 + n, "accountCode": f"held-u{n}"} for n in range(3)])
    renew_watch(fleet)
    assert numbers(server, "held") == ["1000", "1001", "1002"]
    fleet.temporal.cli(*toggle, "--unpause", "--reason", "it is over")
    mapping = fleet.folder / "mapping.yaml"
    mapping.write_text(f"{mapping.read_text()}# read again\n")
    fleet.until(lambda: numbers(server, "held") == ["5000", "5001", "5002"])
