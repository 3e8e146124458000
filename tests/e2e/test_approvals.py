"""Approval by SSH signature, on the command line: who is counted, what is refused, and what is written."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from connector.reports import wording as say
from tests.support.ldif_job import Job, agent
from tests.support.serving import serving
from tests.support.ssh_keys import SK_ED25519, Pen, keygen, pen
from tests.support.terminal import plain, session

pytestmark = [pytest.mark.slow, pytest.mark.openssh]

ANNA, BORIS, CARLA = pen(), pen("ecdsa-sha2-nistp256"), pen(SK_ED25519)
STRANGER = pen(number=9)
SIGNERS = f"anna@example.org {ANNA.public}\nboris@example.org {BORIS.public}\ncarla@example.org {CARLA.public}\n"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=3)
    made.write("allowed_signers", SIGNERS)
    made.configure(approvers={"allowed": "allowed_signers", "needed": 2})
    made.run("plan", "--save", "plan.json")
    return made


def sign(job: Job, name: str, pen: Pen, file: str = "plan.json") -> str:
    (job.folder / name).write_bytes(pen.sign((job.folder / file).read_bytes()))
    return f"--approval={name}"


def both(job: Job, file: str = "plan.json") -> list[str]:
    return [sign(job, "anna.sig", ANNA, file), sign(job, "boris.sig", BORIS, file)]


def written(job: Job) -> int:
    return job.read("people.ldif").count("employeeNumber")


def refused(job: Job, *options: str) -> str:
    said = job.run("apply", *options, code=3)
    assert written(job) == 0
    return " ".join(said.split())


def test_two_people_sign_and_exactly_their_plan_is_written(job: Job) -> None:
    said = job.run("apply", "--plan", "plan.json", *both(job))
    assert "3 of 3 users written" in said
    assert written(job) == 3
    for who in (ANNA, BORIS):
        assert who.fingerprint in said


def test_a_security_key_counts_as_any_other(job: Job) -> None:
    job.run("apply", "--plan", "plan.json", sign(job, "a", ANNA), sign(job, "c", CARLA))
    assert written(job) == 3


def test_a_plan_without_signatures_is_refused_with_the_commands_that_go_on(job: Job) -> None:
    for options in ([], ["--yes"], ["--only", "account:user1"]):
        said = refused(job, *options)
        assert (
            "An approval is missing 3 users without approval" in said
            or "An approval is missing 1 user without approval" in said
        )
        assert "needs 2 signatures: update" in said
        only = "".join(f" --only={each}" for each in options if ":" in each)
        assert said.count(f"To save it for approval, run: cec-connector plan job.yaml{only} --save PLAN.json") == 1
        assert "anyway" not in said
    said = refused(job, "--plan", "plan.json")
    assert "needs 2 signatures: update 3, free 0; secret 3, free 0" in said
    assert "ssh-keygen -Y sign -f KEY -n cec-connector/plan plan.json" in said


def commands_below(said: str, ends: str) -> list[str]:
    """The command lines below the sentence that ends so, at the end of a plan."""
    return [line.strip() for line in said.partition(ends)[2].splitlines() if line.strip()]


@pytest.mark.parametrize("needed", [1, 2])
def test_the_commands_at_the_end_of_a_plan_and_of_its_page_sign_and_apply_it(tmp_path: Path, needed: int) -> None:
    job = Job(tmp_path, users=3)
    assert keygen("-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key").returncode == 0
    job.write("allowed_signers", f"{SIGNERS}dora@example.org {job.read('key.pub')}")
    job.configure(approvers={"allowed": "allowed_signers", "needed": needed})
    said = job.run("plan", "--save", "plan.json", "--report", "plan.html", "--report", "plan.md")
    each = "" if needed == 1 else ", each in a file of its own"
    sentence = f"Needs {say.count_noun(needed, 'signature')}{each}. To sign it and then apply it, run:"
    sign_it, apply_it = commands_below(said, sentence)
    page = job.read("plan.html").partition('<section id="next">')[2].partition("</section>")[0]
    assert f"<p>{sentence}</p>" in page
    assert re.findall("<p><code>(.*)</code></p>", page) == [sign_it, apply_it]
    ticket = job.read("plan.md").partition("\n## Next\n")[2]
    assert re.findall("^`(cec-connector .*|ssh-keygen .*)`$", ticket, re.MULTILINE) == [sign_it, apply_it]
    if needed == 1:
        signing, applying = shlex.split(sign_it), shlex.split(apply_it)
        signing[signing.index("KEY")] = str(tmp_path / "key")
        signing[-1] = str(tmp_path / signing[-1])
        assert keygen(*signing[1:]).returncode == 0
        ended = job.program(*applying[1:])
        assert ended.code == 0, ended.said
        assert written(job) == 3


def test_neither_the_digest_nor_a_yes_stands_for_a_signature(job: Job) -> None:
    (job.folder / "report.json").unlink(missing_ok=True)
    job.run("apply", "--report", "report.json", code=3)
    for digest in (json.loads(job.read("report.json"))["digest"], json.loads(job.read("plan.json"))["digest"]):
        assert "needs 2 signatures" in refused(job, "--accept", digest, "--yes")
        assert "needs 2 signatures" in refused(job, "--plan", "plan.json", "--accept", digest)
        said = refused(job, "--plan", "plan.json", "--accept", digest, *both(job))
        assert "signatures accept the refusals that the plan lists" in said


def test_each_signature_that_is_not_good_is_refused_by_its_reason(job: Job) -> None:
    anna = sign(job, "anna.sig", ANNA)
    job.run("plan", "--save", "other.json")
    by = STRANGER.fingerprint
    for options, why in (
        ([anna], "1 of 2 people have approved"),
        ([anna, anna], "anna.sig: the signature is a second one of the same person, who counts once"),
        ([anna, sign(job, "1", STRANGER)], f"1: the signature is by a key that is not among the allowed signers, {by}"),
        ([anna, sign(job, "2", replace(BORIS, namespace="git"))], "2: the signature is for the namespace 'git'"),
        ([anna, sign(job, "3", replace(BORIS, digest="sha1"))], "3: the signature is refused by ssh-keygen: "),
        ([anna, sign(job, "4", replace(CARLA, flags=0))], "4: the signature was made without a touch"),
        ([anna, sign(job, "5", BORIS, "other.json")], "5: the signature does not fit this file"),
        ([anna, "--approval=plan.json"], "plan.json: the signature is no SSH signature"),
    ):  # fmt: skip
        said = refused(job, "--plan", "plan.json", *options)
        assert why in said, said
        assert "1 of 2 people have approved" in said
    three = [*both(job), sign(job, "s", STRANGER)]
    assert "not among the allowed" in refused(job, "--plan", "plan.json", *three)  # one bad one is one too many


def test_one_person_counts_once_whatever_the_keys_and_the_spelling(job: Job) -> None:
    other = pen(number=4)
    job.write("allowed_signers", f"{SIGNERS}Anna@example.org {other.public}\n")
    said = refused(job, "--plan", "plan.json", sign(job, "a", ANNA), sign(job, "b", other))
    assert "b: the signature is a second one of the same person, who counts once" in said


def test_limits_that_are_lowered_after_the_signatures_hold(job: Job) -> None:
    signatures = both(job)
    job.configure(limits={"update": 2, "secret": "100%"})
    said = refused(job, "--plan", "plan.json", *signatures)
    assert "Too many updates 3 planned, 2 allowed" in said, said
    assert said.count("To save it for approval, run: cec-connector plan job.yaml --save PLAN.json") == 1
    assert "The signatures do not lift this refusal, which came up after the plan was made." in said
    assert "accepted digest" not in said
    job.configure(limits={"update": "100%"})
    job.run("apply", "--plan", "plan.json", *signatures)
    assert written(job) == 3


def test_check_says_who_cannot_sign(job: Job) -> None:
    assert "approvers:" not in job.run("check")
    job.write("revoked", f"{ANNA.public}\n")
    job.configure(approvers={"allowed": "allowed_signers", "needed": 2, "revoked": "revoked"})
    said = " ".join(job.run("check").split())
    assert "note: approvers: 2 of 3 people can sign now, and 2 have to; all other keys are revoked" in said
    job.write("allowed_signers", SIGNERS.replace(" sk-", ' valid-before="20200101Z" sk-'))
    assert "1 of 3 people can sign now, and 2 have to" in " ".join(job.run("check").split())


def test_without_ssh_keygen_check_says_so_and_nothing_is_written(job: Job) -> None:
    (job.folder / "bin").mkdir()
    path = str(job.folder / "bin")
    assert "note: approvers: ssh-keygen: it is not installed" in " ".join(
        job.program("check", "job.yaml", PATH=path).out.split()
    )
    apply = job.program("apply", "job.yaml", "--plan", "plan.json", *both(job), PATH=path)
    assert apply.code == 1
    assert "Install OpenSSH's client" in apply.said
    assert written(job) == 0


def test_validity_is_judged_at_the_apply(job: Job) -> None:
    signatures = both(job)
    for options, why in (
        (
            'valid-before="20200101Z"',
            "by the key of line 2, which has expired: it was valid until 2020-01-01",
        ),
        ('valid-after="29991231Z"', "which is not valid before 2999-12-31"),
        ('namespaces="git"', "which is not allowed for the namespace cec-connector/plan"),
    ):
        job.write("allowed_signers", SIGNERS.replace("boris@example.org", f"boris@example.org {options}"))
        assert why in refused(job, "--plan", "plan.json", *signatures)
    job.write("allowed_signers", SIGNERS)
    job.write("revoked_keys", f"# left in May\n{BORIS.public}\n")
    job.configure(approvers={"revoked": "revoked_keys"})
    assert f"is by a revoked key, {BORIS.fingerprint}" in refused(job, "--plan", "plan.json", *signatures)


def test_an_edited_or_foreign_plan_stays_refused_whoever_has_signed_it(job: Job) -> None:
    job.write("plan.json", job.read("plan.json").replace('"1001"', '"6666"'))
    assert "was changed after it was saved" in refused(job, "--plan", "plan.json", *both(job))
    job.run("plan", "--save", "plan.json")
    job.sql("delete from documents where kind = 'saved'")
    assert "foreign" in refused(job, "--plan", "plan.json", *both(job))


def _anew(text: str) -> str:
    return json.dumps(json.loads(text))


def _twice(text: str) -> str:
    return text.replace('"changes":', '"refusals": [], "changes": [], "changes":', 1)


def _with_a_space(text: str) -> str:
    return f"{text} "


@pytest.mark.parametrize("change", [_anew, _twice, _with_a_space])
def test_what_is_signed_is_the_file_that_was_saved(job: Job, change: Callable[[str], str]) -> None:
    text = job.read("plan.json")
    job.write("other.json", change(text))
    assert "this file was changed after it was saved" in refused(job, "--plan", "other.json", *both(job, "other.json"))
    job.configure(approvers={"free": {"update": 3, "secret": 3}})
    assert "this file was changed after it was saved" in refused(job, "--plan", "other.json")
    job.run("apply", "--plan", "plan.json", *both(job))
    job.run("undo", "last", "--save", "undo.json")
    job.write("other.json", change(job.read("undo.json")))
    said = job.run("undo", "last", "--apply", "--plan", "other.json", *both(job, "other.json"), code=3)
    assert "this file was changed after it was saved" in said
    assert written(job) == 3


def test_signatures_accept_the_refusals_that_the_plan_lists_and_no_later_ones(job: Job) -> None:
    job.configure(limits={"update": 1})
    job.run("plan", "--save", "plan.json", code=3)
    signatures = both(job)
    agents = json.loads(job.read("agents.json"))["agents"]
    job.agents([])
    said = refused(job, "--plan", "plan.json", *signatures)
    assert "the source has no agents at all" in said
    job.agents(agents)
    assert "REFUSED, then accepted" in job.run("apply", "--plan", "plan.json", *signatures)
    assert written(job) == 3


def test_a_few_changes_are_free_as_the_job_says(job: Job) -> None:
    job.configure(approvers={"free": {"update": 1, "secret": 1}})
    assert "update 3, free 1; secret 3, free 1" in refused(job)
    job.run("apply", "--only", "account:user1")
    assert written(job) == 1
    job.configure(approvers={"free": {"update": "100%", "secret": "100%"}})
    job.run("apply")
    assert written(job) == 3
    job.configure(limits={"clear": "100%", "agents_drop": "100%", "matched_drop": "100%"})
    job.write("mapping.yaml", job.read("mapping.yaml") + "stale: clear\n")
    job.agents([agent(1)])
    assert "clear 2, free 0" in " ".join(job.run("apply", code=3).split())
    job.configure(approvers={"free": {"clear": "67%"}})  # of three users that hold something of ours
    job.run("apply")
    assert written(job) == 1


def test_a_plan_and_a_check_say_what_has_to_be_approved(job: Job) -> None:
    said = "2 signatures of 3 people"
    assert said in " ".join(job.run("check").split())
    assert json.loads(job.read("plan.json"))["about"]["approval"] == said


def test_an_apply_without_changes_needs_nobody(job: Job) -> None:
    job.run("apply", "--plan", "plan.json", *both(job))
    job.run("apply")


def test_options_that_do_not_fit_are_usage_errors(job: Job) -> None:
    signature = sign(job, "a", ANNA)
    assert "signs a saved plan" in job.run("apply", signature, code=64)
    assert "cannot be read" in job.run("apply", "--plan", "plan.json", "--approval=none.sig", code=78)
    job.configure(approvers=None)
    assert "has no `approvers`" in job.run("apply", "--plan", "plan.json", signature, code=64)
    assert written(job) == 0


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("allowed_signers", f"anna {ANNA.public}\n* {BORIS.public}\n", "allowed_signers:2: names several principals"),
        ("allowed_signers", f"anna,boris {ANNA.public}\n", "allowed_signers:1: names several principals"),
        (
            "allowed_signers",
            f"\nanna cert-authority {ANNA.public}\n",
            "(cert-authority is none)",
        ),
        ("allowed_signers", f"anna {ANNA.public}\n", "needs 2 people to sign, and"),
        ("revoked_keys", f"{ANNA.public}\nboris\n", "revoked_keys:2: has no public key"),
    ],
)
@pytest.mark.parametrize("command", ["check", "plan", "apply"])
def test_faults_of_the_files_are_told_with_their_line(command: str, name: str, text: str, why: str, job: Job) -> None:
    job.write("revoked_keys", "")
    job.configure(approvers={"revoked": "revoked_keys"})
    job.write(name, text)
    assert why in " ".join(job.run(command, code=78).split())


@pytest.mark.parametrize("by", ["key", "hash"])
def test_a_key_revocation_list_of_ssh_keygen_revokes(job: Job, by: str) -> None:
    job.write("boris", f"{BORIS.public}\n" if by == "key" else f"hash: {BORIS.fingerprint}\n")
    made = keygen("-k", "-f", job.folder / "revoked_keys", job.folder / "boris")
    assert made.returncode == 0, made.stderr
    signatures = both(job)
    job.configure(approvers={"revoked": "revoked_keys"})
    assert "2 of 3 people can sign now, and 2 have to" in job.run("check")
    assert f"is by a revoked key, {BORIS.fingerprint}" in refused(job, "--plan", "plan.json", *signatures)
    (job.folder / "revoked_keys").write_bytes(b"SSHKRL\n\0\0\0\0\1\xff\xfe")
    said = job.run("check", code=78)
    assert "revoked_keys: is no key revocation list that ssh-keygen reads: " in said
    ended = job.program("plan", "job.yaml", PATH="/nonexistent")
    assert (ended.code, "revoked_keys: ssh-keygen: it is not installed" in ended.said) == (78, True), ended.said


def test_a_terminal_asks_about_a_signed_plan_once_and_not_about_another(job: Job) -> None:
    for signatures, code in (([], 3), (both(job), 0)):
        with session(job.folder, "apply", "job.yaml", "--plan", "plan.json", *signatures) as apply:
            if signatures:
                apply.wait_for("? [y/N] ")
                apply.type("y\n")
            assert apply.end() == code
            assert plain(apply.seen).count("sha256:") == (1 if signatures else 0)
            assert ("[y/N]" in apply.seen) == bool(signatures)
    assert written(job) == 3


# ---------------------------------------------------------------- where it is told


def test_approvals_are_in_the_audit_the_runs_and_the_reports(job: Job) -> None:
    job.configure(audit={"file": "audit.jsonl"})
    reports = [f"--report=report.{suffix}" for suffix in ("json", "md", "html")]
    job.run("apply", "--plan", "plan.json", *both(job), *reports)
    begin = next(each for each in map(json.loads, job.read("audit.jsonl").splitlines()) if each["event"] == "begin")
    (run,) = json.loads(job.run("runs", "--json"))
    report = json.loads(job.read("report.json"))
    for approvals in (begin["approvals"], run["approvals"], report["approvals"]):
        assert [(each["who"], each["key"]) for each in approvals] == [
            ("anna@example.org", ANNA.fingerprint),
            ("boris@example.org", BORIS.fingerprint),
        ]
        assert all(each["time"].startswith("20") for each in approvals)
    for text in (
        job.run("runs", "last"),
        job.read("report.md"),
        job.read("report.html"),
        job.program("show", "report.json").out,
    ):
        assert "boris@example.org" in text
        assert BORIS.fingerprint in text.replace("\n", "").replace(" ", "")


def test_a_saved_plan_brings_no_approvals(job: Job) -> None:
    forged = json.loads(job.read("plan.json"))
    forged["approvals"] = [{"who": name, "key": "SHA256:x", "time": ""} for name in ("anna", "boris")]
    job.write("plan.json", json.dumps(forged))
    assert "needs 2 signatures" in refused(job, "--plan", "plan.json")


# ---------------------------------------------------------------- undo and release


def applied(job: Job) -> str:
    job.run("apply", "--plan", "plan.json", *both(job))
    (run,) = json.loads(job.run("runs", "--json"))
    return str(run["id"])


def test_an_undo_is_saved_signed_and_written(job: Job) -> None:
    run = applied(job)
    job.run("undo", "last", "--save", "undo.json")
    said = job.run("undo", "last", "--apply", code=3)
    assert "3 users without approval" in said
    assert "needs 2 signatures" in job.run("undo", "last", "--apply", "--plan", "undo.json", code=3)
    only_one = job.run("undo", "last", "--apply", "--plan", "undo.json", sign(job, "u", ANNA, "undo.json"), code=3)
    assert "1 of 2 people have approved" in only_one
    assert "does not fit this file" in job.run("undo", "last", "--apply", "--plan", "undo.json", *both(job), code=3)
    assert "not on hold" in job.run("release", *released(job, "before.txt"))
    assert written(job) == 3
    job.run("undo", run, "--apply", "--plan", "undo.json", *both(job, "undo.json"))
    assert written(job) == 0
    undone = json.loads(job.run("runs", "--json"))[0]
    assert undone["undoes"] == run
    assert [each["who"] for each in undone["approvals"]] == ["anna@example.org", "boris@example.org"]
    assert "spent" in job.run("undo", run, "--apply", "--plan", "undo.json", *both(job, "undo.json"), code=3)


def test_a_plan_is_for_its_own_command_and_run(job: Job) -> None:
    run = applied(job)
    job.run("undo", run, "--save", "undo.json")
    said = job.run("apply", "--plan", "undo.json", *both(job, "undo.json"), code=3)
    assert f"this plan is for `undo {run}`. Use that command" in " ".join(said.split())
    job.configure(approvers={"free": {"update": "100%", "secret": "100%"}})
    job.agents([agent(1, workNo=4711)])
    job.configure(limits={"agents_drop": "100%", "matched_drop": "100%"})
    job.run("apply")
    said = job.run("undo", "last", "--apply", "--plan", "undo.json", *both(job, "undo.json"), code=3)
    assert f"this plan is for `undo {run}`" in said
    job.run("plan", "--save", "plan.json")
    said = job.run("undo", run, "--apply", "--plan", "plan.json", *both(job), code=3)
    assert "this plan is for `apply`. Use that command" in " ".join(said.split())


def released(job: Job, name: str) -> list[str]:
    job.run("release", "--save", name)
    return both(job, name)


def test_a_release_is_signed_too(job: Job) -> None:
    run = applied(job)
    job.run("undo", "last", "--save", "undo.json")
    job.run("release", "--save", "early.txt")
    job.run("undo", "last", "--apply", "--plan", "undo.json", *both(job, "undo.json"))
    said = " ".join(job.run("release", code=3).split())
    assert "this release needs 2 signatures" in said
    assert "cec-connector release job.yaml --save release.txt" in said
    assert "does not fit this file" in job.run("release", *both(job, "early.txt"), code=3)
    job.run("release", "--save", "release.txt")
    assert f"why: its run {run} was taken back" in job.read("release.txt")
    assert "1 of 2 people have approved" in job.run("release", sign(job, "r", ANNA, "release.txt"), code=3)
    assert "on hold" in job.run("apply", code=3)
    assert "Released." in job.run("release", *both(job, "release.txt"))
    told = json.loads(job.run("runs", "--json"))[0]
    assert (told["kind"], told["why"]) == ("release", f"its run {run} was taken back")
    assert [each["key"] for each in told["approvals"]] == [ANNA.fingerprint, BORIS.fingerprint]
    assert "  release done by anna@example.org+boris@example.org: its run" in job.run("runs", told["id"])
    job.run("plan", "--save", "plan.json")
    job.run("apply", "--plan", "plan.json", *both(job))
    job.run("undo", "last", "--save", "undo.json")
    job.run("undo", "last", "--apply", "--plan", "undo.json", *both(job, "undo.json"))
    assert "does not fit this file" in job.run("release", *both(job, "release.txt"), code=3)  # of the earlier hold


def test_who_has_signed_a_release_is_in_the_audit_before_it(job: Job) -> None:
    job.configure(audit={"file": "audit.jsonl"})
    job.run("apply", "--plan", "plan.json", *both(job))
    job.run("undo", "last", "--save", "undo.json")
    job.run("undo", "last", "--apply", "--plan", "undo.json", *both(job, "undo.json"))
    job.run("release", "--save", "release.txt")
    (job.folder / "audit.jsonl").rename(job.folder / "audit.1")
    (job.folder / "audit.jsonl").mkdir()
    job.run("release", *both(job, "release.txt"), code=1)
    assert "on hold" in job.run("check"), "without its record there is no release"
    (job.folder / "audit.jsonl").rmdir()
    (job.folder / "audit.1").rename(job.folder / "audit.jsonl")
    job.run("release", *both(job, "release.txt"))
    assert "on hold" not in job.run("check")
    record = json.loads(job.read("audit.jsonl").splitlines()[-1])
    assert record["event"] == "release"
    assert [each["key"] for each in record["approvals"]] == [ANNA.fingerprint, BORIS.fingerprint]


def test_a_signature_is_good_for_one_release(job: Job) -> None:
    def signed(name: str) -> list[str]:
        job.run("release", "--save", name)
        return [sign(job, f"{name}.{number}", pen, name) for number, pen in enumerate((ANNA, BORIS))]

    last = applied(job)
    first = signed("first")
    assert job.read("first").endswith(f"on hold: no\nlast run: {last}\n")
    assert job.run("release", *first) == "The job was not on hold. Nothing was changed.\n"
    job.run("plan", "--save", "plan.json")
    job.run("apply", "--plan", "plan.json", *both(job))
    assert "does not fit this file" in job.run("release", *first, code=3)  # of before the last run
    job.run("undo", "last", "--save", "undo.json")
    job.run("undo", "last", "--apply", "--plan", "undo.json", *both(job, "undo.json"))
    held = signed("held")
    assert "does not fit this file" in job.run("release", *first, code=3)  # of before the hold
    job.run("release", *held)


def test_release_options_that_do_not_fit_are_usage_errors(job: Job) -> None:
    job.run("release", "--save", "job.yaml", code=64)
    job.run("release", "--save", "allowed_signers", code=64)
    job.run("release", "--save", "r.txt", sign(job, "a", ANNA), code=64)
    job.configure(approvers=None)
    assert "has no `approvers`" in job.run("release", sign(job, "a", ANNA), code=64)
    job.run("release")


def test_undo_options_that_do_not_fit_are_usage_errors(job: Job) -> None:
    applied(job)
    job.run("undo", "last", "--apply", "--save", "undo.json", code=64)
    job.run("undo", "last", "--plan", "plan.json", code=64)
    job.run("undo", "last", sign(job, "a", ANNA), code=64)
    job.run("undo", "last", "--save", "job.yaml", code=64)


# ---------------------------------------------------------------- the schedule


def test_a_plan_of_the_schedule_waits_for_signatures(job: Job) -> None:
    job.configure(serve={"every": "1s", "mode": "apply"})
    with serving(job.folder, "job.yaml") as served:
        served.next("run ended", ending="refused")
        assert served.stop() == 0
    assert written(job) == 0
    assert json.loads(job.read("job.plan.json"))["refusals"][0]["limit"] == "approval"
    job.run("apply", "--plan", "job.plan.json", *both(job, "job.plan.json"))
    assert written(job) == 3


def test_a_waiting_plan_whose_file_was_changed_is_saved_anew(job: Job) -> None:
    job.configure(serve={"every": "1s", "mode": "dry-run"})
    with serving(job.folder, "job.yaml") as served:
        served.next("run ended")
        first = job.read("job.plan.json")
        served.next("run ended")
        assert job.read("job.plan.json") == first
        job.write("job.plan.json", f"{first} ")
        served.next("run ended")
        served.next("run ended")
        assert served.stop() == 0
    assert json.loads(job.read("job.plan.json"))["id"] != json.loads(first)["id"]
    job.run("apply", "--plan", "job.plan.json", *both(job, "job.plan.json"))
    assert written(job) == 3


def test_the_schedule_writes_what_is_free(job: Job) -> None:
    job.configure(serve={"every": "1s", "mode": "apply"}, approvers={"free": {"update": 3, "secret": 3}})
    with serving(job.folder, "job.yaml") as served:
        served.next("run ended", ending="done")
        assert served.stop() == 0
    assert written(job) == 3
