"""How a value, an agent, a rule or a count is put before a reader: the same words in every format.

Everything here returns text without a single character that a terminal, a browser or an eye
could be deceived by.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import (
    ANOTHER_KEY,
    NEW_STATE,
    NOBODY,
    OBJECT_CLASS,
    ON_HOLD,
    AgentRef,
    AttributeChange,
    Change,
    Held,
    NearMiss,
    Outcome,
    Plan,
    Problem,
    Refusal,
    RunEnding,
    Secret,
)
from connector.model.digests import is_secret, secret_fingerprint
from connector.model.limits import (
    APPROVAL,
    EXCLUDE,
    LOST_STATE,
    OF_THE_SOURCE,
)
from connector.planning.review import LEFT_OUT
from connector.reports.visible import make_visible

NONE: Final = "(none)"
HIDDEN_SET: Final = "(secret) set"
HIDDEN_CLEARED: Final = "(secret) cleared"
NOT_READABLE: Final = "(not readable)"
LONGEST, MOST = 60, 5
"""Characters of a value, and values of an attribute, that are shown of a conflict."""
_NEW: Final = "No earlier run of this job is known here: agents_drop and matched_drop are not checked."
AGENT_COUNTS: Final = (
    "matched",
    "unmatched",
    "ambiguous",
    "contested",
    "unassigned",
    "invalid",
)
_SINCE: Final = ("new", "gone", "changed", "same")
USER_COUNTS: Final = ("unchanged", "update", "clear", "secret", "stale")
COUNTS: Final[dict[str, str]] = {
    "agents": "records of the source",
    "matched": "agents with exactly one user",
    "unmatched": "agents without a user by any rule",
    "ambiguous": "agents with several users by one rule",
    "contested": "agents that claim the same user as another agent",
    "unassigned": "seats without an account",
    "invalid": "invalid records",
    "unchanged": "matched users without a change",
    "update": "users with an attribute to set",
    "clear": "users with an attribute to empty",
    "secret": "users with a secret to set",
    "stale": "users with values of this job and no agent",
}
"""What each count of the summary counts."""


def show_value(value: Held) -> str:
    """One value, in quotation marks where its borders could not be seen. Octets that are no text are in Base64."""
    if isinstance(value, Secret):
        return "(secret)"
    text = make_visible(value if isinstance(value, str) else _decode_octets(value))
    return (
        f'"{text}"'
        if text != text.strip()
        or text[:1] in {"", '"', "("}
        or "|" in text
        or "→" in text
        else text
    )


def _decode_octets(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return f"{len(octets)} octets, in Base64: {base64.b64encode(octets).decode()}"


class ChangeSides(Struct, frozen=True):
    """An attribute's change for a reader: what goes, what comes, and how many values of ours stay as they are."""

    old: list[str]
    new: list[str]
    kept: int = 0


def find_sides(each: AttributeChange) -> ChangeSides:
    """Of a secret only what happens to it; of other attributes the values that differ, compared exactly.

    A user always keeps a class that is not ours.
    """
    if is_secret(each):
        return ChangeSides(
            [], [HIDDEN_SET if secret_fingerprint(each) else HIDDEN_CLEARED]
        )
    gone = [show_value(value) for value in each.old if value not in each.new]
    come = [show_value(value) for value in each.new if value not in each.old]
    kept = len(each.old) - len(gone) + (each.name == OBJECT_CLASS)
    return ChangeSides(gone if each.seen else [NOT_READABLE], come, kept)


def accept_command(plan: Plan, command: str) -> str:
    """The command line that lifts the refusals of this very plan; by default that of an apply of its job."""
    command = command or f"cec-connector apply {shlex.quote(make_visible(plan.job))}"
    if plan.digest in command:  # it names the plan already
        return command
    if APPROVAL not in dict(plan.about):
        return f"{command} --accept {make_visible(plan.digest)}"
    if command.endswith(" --save"):
        return f"{command} PLAN.json"
    return f"{command}{'' if '--plan=' in command else ' --plan=PLAN.json'} --approval=PLAN.json.sig"


def accept_sentence(plan: Plan, command: str) -> str:
    """What `accept_command` is for: `To apply anyway, run:`."""
    said = accept_command(plan, command)
    if ON_HOLD in dict(plan.about) and not said.endswith(" --save PLAN.json"):
        return "The job is on hold. Release it first. Then, to apply anyway, run:"
    if APPROVAL not in dict(plan.about) or plan.digest in said:
        return "To apply anyway, run:"
    return (
        "To save it for approval, run:"
        if said.endswith(" --save PLAN.json")
        else "To apply it once approved, run:"
    )


def find_strays(plan: Plan, outcomes: Sequence[Outcome] | None) -> list[Outcome]:
    """The outcomes of users that are not in the plan: something is to be done with them since it was made.

    Without those that were left out on purpose, of whom there may be as many as agents.
    """
    planned = {change.user.id for change in plan.changes} if outcomes else set()
    return [
        each
        for each in outcomes or ()
        if each.user.id not in planned and each.why not in LEFT_OUT
    ]


# ---------------------------------------------------------------- words


def name_agent(agent: AgentRef | None) -> str:
    """The agent by the words that people know it by."""
    if agent is None:
        return "no agent (stale)"
    account = NONE if agent.account_code is None else show_value(agent.account_code)
    return f"accountCode {account}, workNo {'?' if agent.work_no is None else agent.work_no}"


def name_user(people: Mapping[str, str], user: str) -> str:
    """A user by name, with the name of the person where it was read: `uid=ada,… (Ada Example)`."""
    said = people.get(user)
    return (
        make_visible(user)
        if said is None or said == user
        else f"{make_visible(user)} ({make_visible(said)})"
    )


def name_rule(rule: int | None) -> str:
    """Which rule it was: a number from 1, a pin, or none."""
    return "" if rule is None else f"rule {rule}" if rule else "pin"


def give_reason(change: Change) -> str:
    """Why a user changes: the agent, and the rule that it was found by."""
    return ", ".join(filter(None, [name_agent(change.agent), name_rule(change.rule)]))


def name_subject(problem: Problem) -> str:
    """Whom or what a problem is about, but for the users: record, agent, rule, attribute."""
    parts = [f"record {problem.record}"] if problem.record is not None else []
    parts += [name_agent(problem.agent)] if problem.agent is not None else []
    parts += [name_rule(problem.rule)] if problem.rule is not None else []
    parts += [make_visible(problem.attribute)] if problem.attribute is not None else []
    return ", ".join(parts)


def name_subjects(problems: Sequence[Problem]) -> str:
    """Whom or what problems are about that are alike: of several their number, and what they have in common."""
    first = problems[0]
    if len(problems) == 1:
        return name_subject(first)
    users = {user for each in problems for user in each.users}
    said = [count_noun(len(users), "user")] if users else []
    if len(users) < len(problems):
        said = [count_noun(len(problems), "agent"), *said]
    return ", ".join(filter(None, [*said, name_subject(replace(first, agent=None))]))


def describe_near(near: NearMiss) -> str:
    """How a user almost matches: `uid Ann: differs in case`."""
    return f"{make_visible(near.attribute)} {show_value(near.value)}: differs in {make_visible(near.how)}"


def count_refusal(refusal: Refusal) -> str:
    """How many were planned against how many are allowed; nothing for a limit that does not count changes."""
    if refusal.limit in ("agents", LOST_STATE):
        return ""
    if refusal.limit == EXCLUDE:
        return count_noun(
            refusal.planned, "line without a match", "lines without a match"
        )
    if refusal.limit == APPROVAL:
        return f"{count_noun(refusal.planned, 'user')} without approval"
    what = "fewer" if refusal.limit in OF_THE_SOURCE else "planned"
    return f"{refusal.planned:,} {what}, {refusal.allowed:,} allowed"


def count_noun(number: int, one: str, many: str = "") -> str:
    """`1 user`, `2 users`, `1,234 users`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def report_title(plan: Plan, outcomes: Sequence[Outcome] | None) -> str:
    """What the report is about: `what undo would do`."""
    command = "undo" if "takes back" in dict(plan.about) else "apply"
    return f"what {command} {'would do' if outcomes is None else 'has done'}"


def count_outcomes(ending: RunEnding) -> str:
    """How an apply ended: how many are written, and each other number that is not 0."""
    return f"{ending.written:,} of {count_noun(ending.user_count, 'user')} written{_other_outcomes(ending)}"


def _other_outcomes(ending: RunEnding) -> str:
    parts = {
        "not written": ending.not_written,
        "not sent": ending.not_sent,
        "not known": ending.not_known,
        "already as planned": ending.unchanged,
        "left out": ending.left_out,
    }
    said = "".join(f", {number:,} {what}" for what, number in parts.items() if number)
    half = ending.touched and not (ending.written or ending.not_known)
    said += "; some changes were written in part" if half else ""
    return f"{said}; the audit may lack writes" if ending.untold else said


def last_line(ending: RunEnding) -> str:
    """The end of the account of an apply; its exit code says the same."""
    if ending.stopped:
        written = f"{ending.written:,} of {ending.user_count:,} written"
        return f"Stopped: {written}{_other_outcomes(ending)}. Rerun the same command."
    how = "Done in part" if ending.in_part else "Done"
    return (
        f"{how}: {count_outcomes(ending)}."
        if ending.user_count or ending.untold
        else f"{how}: nothing to write."
    )


def write_headline(plan: Plan, outcomes: Sequence[Outcome] | None) -> str:
    """In a sentence or two: what would happen, or what has happened."""
    about = dict(plan.about)
    said = (
        [f"Nobody matches: {make_visible(about[NOBODY])}."] if NOBODY in about else []
    )
    said += [_what_happens(plan, outcomes)]
    said += [count_losses(plan)] if plan.notes.lost and outcomes is None else []
    said += [_NEW] if NEW_STATE in about else []
    said += (
        ["The key differs from that of earlier runs."] if ANOTHER_KEY in about else []
    )
    said += (
        ["The job is on hold: applies are refused until it is released."]
        if ON_HOLD in about
        else []
    )
    return " ".join(said)


def nobody_matches(places: Mapping[str, str], *, empty: bool) -> str:
    """Where no agent found a user. `places`: of the job, by their names; `empty`: there are no users at all."""
    names = ("base" if "base" in places else "directory", "filter")
    where = (
        " and ".join(f"{name} {places[name]}" for name in names if name in places)
        or "the directory"
    )
    if empty:
        return f"0 users are within {where}. Check both, and the account's rights"
    return f"no user within {where} is one that an agent looks for. Check the match rules, then both"


def count_losses(plan: Plan) -> str:
    """How many users lose values that this job did not write."""
    lost = plan.notes.lost
    return f"{count_noun(lost, 'user')} {'loses' if lost == 1 else 'lose'} values that this job did not write."


def _what_happens(plan: Plan, outcomes: Sequence[Outcome] | None) -> str:
    if outcomes is not None:
        return (
            f"{count_outcomes(RunEnding.of(outcomes))}."
            if outcomes
            else "Nothing was written: no changes."
        )
    changing = {change.user.name for change in plan.changes}
    denied = {
        name for each in plan.problems if each.kind == "rights" for name in each.users
    } - changing
    if not plan.changes:
        refused = "Refused" if plan.refusals else "Nothing would be written"
        if denied:
            users = count_noun(len(denied), "user")
            return f"{refused}: {users} would be changed, but the account may not write there."
        return f"{refused}: no user would be changed."
    changed = count_noun(len(plan.changes), "user")
    more = (
        f" {count_noun(len(denied), 'more user')} would be, but the account may not write there."
        if denied
        else ""
    )
    if plan.refusals:
        return f"Refused: {changed} would be changed. Nothing is written until the plan is accepted.{more}"
    return f"{changed} would be changed.{more}"


def describe_since(plan: Plan) -> str:
    """How much is new in a plan since an earlier one; nothing where it was not compared with one."""
    found = plan.notes.since
    if found is None:
        return ""
    if not found.plan:
        return "No earlier plan of this job is known here: everything is new."
    return f"Since plan {make_visible(found.plan)} of {make_visible(found.created)}: {numbers_since(found.numbers)}."


def numbers_since(found: Mapping[str, int]) -> str:
    """How much is new (`PlanNews.numbers`): of the changes, then of the problems."""
    changes, problems = (
        count_news(*(found[name + of] for name in _SINCE)) for of in ("", "_problems")
    )
    return f"changes {changes}; problems {problems}"


def count_news(new: int, gone: int, changed: int, same: int) -> str:
    """`3 new, 1 gone, 0 changed, 40 the same`."""
    return f"{new:,} new, {gone:,} gone, {changed:,} changed, {same:,} the same"


class NewsMarks:
    """What is `new` or `changed` in a plan since an earlier one, by user and by problem."""

    def __init__(self, plan: Plan) -> None:
        found = plan.notes.since
        self._users: dict[str, str] = {}
        self._problems: dict[int, str] = {}
        for mark in ("new", "changed") if found else ():
            self._users |= dict.fromkeys(getattr(found, mark), mark)
            for number in getattr(found, f"{mark}_problems"):
                # two of them may be equal
                self._problems[id(plan.problems[number])] = mark

    def mark_change(self, change: Change) -> str:
        return self._users.get(change.user.id, "")

    def mark_problem(self, problem: Problem) -> str:
        return self._problems.get(id(problem), "")


def by_user(outcomes: Sequence[Outcome] | None) -> dict[str, Outcome]:
    """Outcomes under the ids of their users."""
    return {outcome.user.id: outcome for outcome in outcomes or ()}


def outcome_text(outcome: Outcome | None) -> str:
    """The result and its reason, or nothing."""
    if outcome is None:
        return ""
    said = (
        f"{outcome.result}: {make_visible(outcome.why)}"
        if outcome.why
        else str(outcome.result)
    )
    return ". ".join([said, *difference_texts(outcome)])


def difference_texts(outcome: Outcome) -> list[str]:
    """What is not as planned, and what is stored otherwise: `mail: stored as 'c'`."""
    unnamed = [name for name in outcome.differs if name not in outcome.why]
    texts = [f"not as planned: {make_visible(', '.join(unnamed))}"] if unnamed else []
    for each in outcome.stored:
        values = ", ".join(f"'{_shorten_values([value])}'" for value in each.values)
        stored = f"as {values}" if values else "in another spelling"
        texts.append(f"{make_visible(each.name)}: stored {stored}")
    return texts


def _shorten_values(values: Sequence[Held]) -> str:
    """Some values in a length that can be read; all of them are in the plan document."""
    said = [
        text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
        for text in map(show_value, values[:MOST])
    ]
    said += [f"and {len(values) - MOST:,} more"] if len(values) > MOST else []
    return ", ".join(said) or NONE
