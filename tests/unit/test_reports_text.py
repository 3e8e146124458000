"""The report in a terminal."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from connector.cli.advice import code_of_ending
from connector.model import (
    LISTED,
    AttributeChange,
    Form,
    Outcome,
    Plan,
    PlanNews,
    Problem,
    Refusal,
    Result,
    RunEnding,
    Summary,
)
from connector.reports import html, markdown, text
from tests.support.report_samples import drawn, outcomes, sample, user


def test_a_reader_sees_who_gets_what_for_whom_and_by_which_rule() -> None:
    lines = "".join(text.render(sample())).splitlines()
    start = lines.index("~ uid=agent1,ou=people,dc=example,dc=org  ← accountCode agent1, workNo 1001, rule 1")
    assert lines[start + 1 : start + 4] == [
        "    objectClass: + cecAgent | SIPIdentity",
        "    employeeNumber: 1001 → 1002",
        "    SIPIdentityPassword: (secret) set",
    ]
    assert "~ uid=agent2,ou=people,dc=example,dc=org  ← accountCode agent2, workNo 1002, pin" in lines
    start = lines.index("~ uid=agent3,ou=people,dc=example,dc=org  ← no agent (stale)")
    assert lines[start + 1] == "    SIPIdentitySIPURI: sip:1@192.0.2.1 | sip:2@192.0.2.1 → (none)"
    assert lines[start + 2] == "    SIPIdentityPassword: (secret) cleared"


def test_a_value_that_comes_or_goes_is_shown_against_none() -> None:
    change = replace(
        sample().changes[0],
        attributes=(
            AttributeChange("a", (), ("1",)),
            AttributeChange("b", ("2",), ()),
            AttributeChange("c", (), ("",)),
        ),
    )
    shown = "".join(text.render(drawn(replace(sample(), changes=(change,))), whole=True))
    assert '    a: (none) → 1\n    b: 2 → (none)\n    c: (none) → ""\n' in shown


def test_the_title_of_a_kind_is_whole_however_many_attributes_it_has() -> None:
    attributes = tuple(AttributeChange(f"attribute{number:03}", (), ("1",), form=Form.FIRST) for number in range(60))
    plan = drawn(replace(sample(), changes=(replace(sample().changes[0], attributes=attributes),)))
    assert f"      1  {plan.notes.kinds[0].title}\n" in "".join(text.render(plan))


def test_values_that_stay_are_not_shown_as_changes() -> None:
    change = replace(sample().changes[0], attributes=(AttributeChange("a", ("1", "2"), ("2", "3")),))
    assert "    a: - 1, + 3\n" in "".join(text.render(drawn(replace(sample(), changes=(change,)))))


@pytest.mark.parametrize("render", [text.render, markdown.render, html.render])
def test_a_report_of_an_undo_is_not_called_one_of_an_apply(render: Callable[[Plan], Iterator[str]]) -> None:
    assert "hat apply would do" in "".join(render(sample()))
    undo = "".join(render(replace(sample(), about=(("takes back", "run 1"),))))
    assert "hat undo would do" in undo
    assert "hat apply would do" not in undo


@pytest.mark.parametrize("render", [text.render, markdown.render, html.render])
def test_a_class_that_goes_or_comes_alone_does_not_look_as_if_there_were_no_other(
    render: Callable[[Plan], Iterator[str]],
) -> None:
    sample_change = sample().changes[0]
    for old, new in ((("cecAgent",), ()), ((), ("cecAgent",)), (("1", "2"), ("1",))):
        attributes = (AttributeChange("objectClass" if "cecAgent" in old + new else "a", old, new),)
        shown = "".join(render(drawn(replace(sample(), changes=(replace(sample_change, attributes=attributes),)))))
        assert "(none)" not in shown


def test_a_refused_plan_says_why_whom_and_the_command_that_accepts_it() -> None:
    shown = "".join(text.render(sample()))
    refused, changes = shown.split("Changes (")
    why = "1 user would lose a value, and 0 may. Key in the job: limits.clear"
    assert f"REFUSED\n  Too many users to empty  1 planned, 0 allowed\n    {why}\n" in refused
    assert "      uid=agent3,ou=people,dc=example,dc=org\n" in refused
    assert "uid=agent1" not in refused
    assert "--accept" not in refused
    assert changes.count("--accept") == 1
    assert changes.endswith(
        f" To apply anyway, run:\n    cec-connector apply jobs/people.yaml --accept {sample().digest}\n"
    )


def test_the_command_is_one_that_a_shell_takes_as_it_is_and_another_may_be_named() -> None:
    assert "apply 'my job.yaml' --accept" in "".join(text.render(replace(sample(), job="my job.yaml")))
    shown = "".join(text.render(sample(), command="cec-connector undo j.yaml run-1 --apply"))
    assert "    cec-connector undo j.yaml run-1 --apply --accept sha256:" in shown


def test_an_accepted_plan_does_not_ask_again() -> None:
    shown = "".join(text.render(sample(), accepted=True))
    assert "REFUSED, then accepted" in shown
    assert "--accept" not in shown


def test_ten_of_many_users_concerned_are_named() -> None:
    change = sample().changes[1]
    many = tuple(replace(change, user=user(100 + number)) for number in range(25))
    plan = drawn(replace(sample(), changes=many, refusals=(Refusal("update", 5, 25, "too many"),)))
    refused = "".join(text.render(plan)).partition("Kinds of changes (")[0]
    assert "uid=agent109," in refused
    assert "uid=agent110," not in refused
    assert "      … and 15 more\n" in refused


def test_of_many_problems_of_a_kind_the_first_are_listed_new_ones_before_others_and_the_rest_is_counted() -> None:
    problems = tuple(Problem("unmatched", f"no user has mail {number}") for number in range(LISTED + 2))
    plan = replace(sample(), refusals=(), problems=problems)
    shown = "".join(text.render(plan))
    assert re.findall(r"has mail (\d+)", shown) == list(map(str, range(LISTED)))
    assert "  … and 2 more: use --all or --report FILE for all\n" in shown
    assert "  … and 2 more: use --report FILE for all\n" in "".join(text.render(plan, whole=None))
    assert re.findall(r"has mail (\d+)", "".join(text.render(plan, whole=True))) == list(map(str, range(LISTED + 2)))
    assert "more: use" not in "".join(text.render(replace(plan, problems=problems[:LISTED])))
    later = PlanNews("an earlier plan", "", (), (), 0, 0, (LISTED + 1,), (), 0, LISTED + 1)
    since = "".join(text.render(replace(plan, notes=replace(plan.notes, since=later))))
    assert re.findall(r"has mail (\d+)", since) == list(map(str, (LISTED + 1, *range(LISTED - 1))))


def test_of_many_changes_kinds_and_the_few_that_are_worth_a_look_are_shown() -> None:
    one, other, _ = sample().changes
    many = tuple(replace(other, user=user(number)) for number in range(10, 10 + LISTED))
    shown = "".join(text.render(drawn(replace(sample(), changes=(one, *many)))))
    assert (
        "      1  taken over from another user: employeeNumber; secret set: SIPIdentityPassword; by rule 1\n" in shown
    )
    assert f"{LISTED:>7}  replaces ours: employeeNumber; by pin\n" in shown
    assert f"           … and {LISTED - 3} more\n" in shown
    assert [line for line in shown.splitlines() if line.startswith("~ ")] == [
        f"~ {user(1).name}  ← accountCode agent1, workNo 1001, rule 1"
    ]
    assert f"    ! employeeNumber 1002 taken over from agent{9 + LISTED}; the only user by rule 1\n" in shown
    assert "  To list all, use --all or --report FILE.\n" in shown
    whole = "".join(text.render(drawn(replace(sample(), changes=(one, *many))), whole=True))
    assert len([line for line in whole.splitlines() if line.startswith("~ ")]) == 1 + LISTED


def test_a_plan_without_changes_says_that_nothing_would_be_written() -> None:
    plan = replace(sample(), changes=(), problems=(), refusals=(), cautions=(), summary=Summary(agents=1, matched=1))
    shown = "".join(text.render(drawn(plan)))
    assert "Nothing would be written" in shown
    assert "Changes" not in shown
    assert "REFUSED" not in shown


def test_the_counts_stand_in_columns() -> None:
    plan = replace(sample(), summary=Summary(agents=123456, matched=7, update=5))
    lines = "".join(text.render(plan, whole=True)).splitlines()
    agents, matched = (next(line for line in lines if line.startswith(word)) for word in ("Agents ", "  unmatched "))
    assert agents.index("123,456") + len("123,456") == matched.index("0") + 1
    assert agents.endswith("Users")
    assert matched.split()[2:] == ["update", "5"]


def test_after_an_apply_every_change_that_was_not_written_is_named_with_its_reason() -> None:
    shown = "".join(text.render_ending(sample(), outcomes()))
    assert (
        "conflict: 1\n  uid=agent1,ou=people,dc=example,dc=org: employeeNumber changed since the plan\n"
        "      not as planned: SIPIdentityPassword, description\n"
    ) in shown
    assert "skipped: 1\n  uid=agent3,ou=people,dc=example,dc=org: the server went away\n" in shown
    assert "Done in part: 1 of 3 users written, 1 not written, 1 not sent." in shown
    assert shown in "".join(text.render(sample(), outcomes()))


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Outcome(user(2), Result.SKIPPED, "not sent: the disk is full"),
         "Stopped: 1 of 2 written, 1 not sent. Rerun the same command."),
        (Outcome(user(2), Result.SKIPPED, "not tried: refused"),
         "Done in part: 1 of 2 users written, 1 not sent."),
        (Outcome(user(2), Result.SKIPPED, "left out (--only)", aside=True),
         "Done: 1 of 2 users written, 1 left out."),
        (Outcome(user(2), Result.FAILED, "no answer", unknown=True),
         "Done in part: 1 of 2 users written, 1 not known."),
        (Outcome(user(2), Result.CONFLICT, "it is 9 now"),
         "Done in part: 1 of 2 users written, 1 not written."),
        (Outcome(user(2), Result.WRITTEN, "written, but not noted in the journal", unnoted=True),
         "Done in part: 2 of 2 users written."),
        (Outcome(user(2), Result.UNCHANGED, "it says so already"),
         "Done: 1 of 2 users written, 1 already as planned."),
    ],
)  # fmt: skip
def test_the_last_line_has_every_number_but_0_and_says_what_the_exit_code_says(outcome: Outcome, line: str) -> None:
    outcomes = [Outcome(user(1), Result.WRITTEN), outcome]
    assert line in "".join(text.render_ending(sample(), outcomes))
    assert (code_of_ending(RunEnding.of(outcomes)) == 0) is line.startswith("Done:")


@pytest.mark.parametrize(
    ("ending", "code", "line"),
    [
        (RunEnding(written=2, touched=True, untold=True), 4,
         "Done in part: 2 of 2 users written; the audit may lack writes."),
        (RunEnding(not_sent=1, stopped=True, cut=True, touched=True), 4,
         "Stopped: 0 of 1 written, 1 not sent; some changes were written in part. "),
        (RunEnding(not_sent=1, stopped=True, cut=True), 1,
         "Stopped: 0 of 1 written, 1 not sent. Rerun the same command."),
        (RunEnding(written=1, touched=True, cut=True), 0,
         "Done: 1 of 1 user written."),
        (RunEnding(), 0, "Done: nothing to write."),
    ],
)  # fmt: skip
def test_the_last_line_and_the_exit_code_are_made_of_one_account(ending: RunEnding, code: int, line: str) -> None:
    assert code_of_ending(ending) == code
    assert line in "".join(text.render_ending(sample(), [], ending))


def test_conflicts_and_failures_are_listed_however_many_they_are() -> None:
    many = [Outcome(user(number), Result.FAILED, "no") for number in range(230)]
    many += [Outcome(user(number), Result.SKIPPED, "gone") for number in range(300, 530)]
    shown = "".join(text.render_ending(sample(), many))
    assert shown.count(": no\n") == 230
    assert shown.count(": gone\n") == text.MOST
    assert "  … and 30 more" in shown


def test_a_long_reason_is_given_once_with_all_the_users_whom_it_holds_for() -> None:
    why = "insufficientAccessRights (50) to write mail. Grant " + "the right " * 20
    many = [Outcome(user(number), Result.FAILED, "no" if number == 3 else why) for number in range(1, 6)]
    said = "".join(text.render_ending(sample(), many))
    assert said.count("insufficientAccessRights") == 1
    assert "  4 users: insufficientAccessRights" in said
    assert f"  {user(3).name}: no\n" in said
    for number in (1, 2, 4, 5):
        assert f"\n      {user(number).name}\n" in said


def test_a_huge_value_does_not_flood_the_terminal() -> None:
    change = replace(sample().changes[0], attributes=(AttributeChange("a", (), ("x" * 100_000,)),))
    assert len("".join(text.render(drawn(replace(sample(), changes=(change,)))))) < 5_000
