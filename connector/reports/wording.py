"""How a value, an agent, a rule or a count is put before a reader: the same words in every format.

Each format makes all of it visible (`visible.py`) where it leaves the program. Values are
made visible here, since what is seen of one decides whether it stands in quotation marks.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.model import (
    ANOTHER_KEY,
    APPROVAL_NAMESPACE,
    KEPT_CREDENTIALS,
    NEW_STATE,
    NOBODY,
    NOT_MAPPED,
    NOT_OURS,
    OBJECT_CLASS,
    ON_HOLD,
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Change,
    Held,
    NearMiss,
    Outcome,
    Plan,
    PlanNews,
    Problem,
    Refusal,
    RunEnding,
    Secret,
)
from connector.model.digests import is_secret, secret_fingerprint
from connector.model.limits import (
    APPROVAL,
    CLEAR,
    EXCLUDE,
    LOST_STATE,
    MATCHED_DROP,
    OF_THE_SOURCE,
)
from connector.planning.review import LEFT_OUT
from connector.reports.visible import make_visible

Lines = Iterator[str]
"""The text of a report, piece by piece."""
People = Mapping[str, str]
"""The names of people by the names of their users."""
Outcomes = Sequence[Outcome] | None
"""What became of a plan's changes; None: it has not been applied."""
NONE: Final = "(none)"
HIDDEN_SET: Final = "(secret) set"
HIDDEN_CLEARED: Final = "(secret) cleared"
HIDDEN: Final = ([HIDDEN_SET], [HIDDEN_CLEARED])
"""What is shown of a secret. A value that reads like it is shown in quotation marks."""
NOT_READABLE: Final = "(not readable)"
LONGEST: Final = 60
"""Characters of a stored value that are shown; all of them are in the plan document."""
AGENT_COUNTS: Final = {
    "matched": "agents with exactly one user",
    "unmatched": "agents without a user by any rule",
    "elsewhere": "agents that sibling jobs find or report",
    "ambiguous": "agents with several users by one rule",
    "contested": "agents that claim the same user as another agent",
    "unassigned": "seats without an account",
    "invalid": "invalid records",
}
"""What each count of agents in the summary counts."""
USER_COUNTS: Final = {
    "unchanged": "matched users without a change",
    "update": "users with an attribute to set",
    "clear": "users with an attribute to empty",
    "secret": "users with a secret to set",
    "stale": "users with values of this job and no agent",
}
"""What each count of users in the summary counts."""
COUNTS: Final = {"agents": "records of the source"} | AGENT_COUNTS | USER_COUNTS
"""What each count of the summary counts."""
_WARNINGS: Final = {
    NEW_STATE: "No earlier run of this job is known here, so missing agents go unnoticed.",
    ANOTHER_KEY: "The key differs from that of earlier runs.",
}
"""What a reader is warned of where a plan's `about` has this word."""
_REFUSED_FOR: Final = {
    "agents": "no agents",
    "agents_drop": "agents are missing",
    MATCHED_DROP: "matches are missing",
    LOST_STATE: "no earlier run is known",
    EXCLUDE: "the exclude list names nobody",
    APPROVAL: "an approval is missing",
    "update": "too many updates",
    CLEAR: "too many users to empty",
    "secret": "too many secrets to set",
}
"""What is beyond each limit, but for those of single attributes."""


# ---------------------------------------------------------------- values


def show_value(value: Held) -> str:
    """One value, in quotation marks where its borders could not be seen. Octets that are no text are in Base64."""
    if isinstance(value, Secret):
        return "(secret)"
    text = make_visible(value if isinstance(value, str) else _decode_octets(value))
    is_clear = text == text.strip() and not text.startswith(('"', "("))
    if text and is_clear and "|" not in text and "→" not in text:
        return text
    return f'"{text}"'


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
        done = HIDDEN_SET if secret_fingerprint(each) else HIDDEN_CLEARED
        return ChangeSides([], [done])
    gone = [show_value(value) for value in each.old if value not in each.new]
    come = [show_value(value) for value in each.new if value not in each.old]
    kept = len(each.old) - len(gone) + (each.name == OBJECT_CLASS)
    return ChangeSides(gone if each.seen else [NOT_READABLE], come, kept)


def show_sides(each: AttributeChange) -> str:
    """`old → new`, with a bar between several values."""
    sides = find_sides(each)
    return join_sides(sides, " | ".join(sides.old), " | ".join(sides.new))


def join_sides(sides: ChangeSides, gone: str, come: str) -> str:
    """`old → new`; `- old, + new` where other values stay; of a secret only what happens to it.

    `gone`, `come`: the old and new values, as a format marks them up.
    """
    if sides.new in HIDDEN:
        return come
    if not sides.kept:
        return f"{gone or NONE} → {come or NONE}"
    signed = [f"- {gone}"] if gone else []
    signed += [f"+ {come}"] if come else []
    return ", ".join(signed)


def describe_attribute(info: AttributeInfo) -> str:
    """What a directory's schema says: `text, at most 64 characters, one value, compared as caseIgnore`."""
    if not info.definition.known:
        return "not in the directory's schema"
    bounds = info.bounds
    unit = "octets" if info.octets else "characters"
    remarks = {
        str(info.syntax): True,
        f"at least {bounds.min_length} {unit}": bounds.min_length > 0,
        f"at most {bounds.max_length} {unit}": bounds.max_length is not None,
        f"from {bounds.least}": bounds.least is not None,
        f"up to {bounds.most}": bounds.most is not None,
        "one value": info.single,
        "several values": not info.single,
        f"compared as {info.equality}": True,
        "kept unique by the directory": info.unique,
        "obsolete": info.definition.obsolete,
        "kept by the directory itself": not info.writable,
    }
    return ", ".join(said for said, holds in remarks.items() if holds)


# ---------------------------------------------------------------- agents, users, problems


def name_agent(agent: AgentRef | None) -> str:
    """The agent by the words that people know it by."""
    if agent is None:
        return "no agent (stale)"
    account = NONE if agent.account_code is None else show_value(agent.account_code)
    seat = "?" if agent.work_no is None else agent.work_no
    return f"accountCode {account}, workNo {seat}"


def name_user(people: People, user: str) -> str:
    """A user by name, with the name of the person: `uid=ada,… (Ada Example)`."""
    person = find_person(people, user)
    return f"{user} ({person})" if person else user


def find_person(people: People, user: str) -> str:
    """The name of the person, where it was read and is another one than the user's."""
    person = people.get(user, "")
    return "" if person == user else person


def name_rule(rule: int | None) -> str:
    """Which rule it was: a number from 1, a pin, or none."""
    if rule is None:
        return ""
    return f"rule {rule}" if rule else "pin"


def give_reason(change: Change) -> str:
    """Why a user changes: the agent, and the rule that it was found by."""
    return _join_parts(name_agent(change.agent), name_rule(change.rule))


def name_subject(problem: Problem) -> str:
    """Whom or what a problem is about, but for the users: record, agent, rule, attribute."""
    record = "" if problem.record is None else f"record {problem.record}"
    agent = "" if problem.agent is None else name_agent(problem.agent)
    rule = name_rule(problem.rule)
    return _join_parts(record, agent, rule, problem.attribute or "")


def name_subjects(problems: Sequence[Problem]) -> str:
    """Whom or what problems are about that are alike: of several their number, and what they have in common."""
    first = problems[0]
    if len(problems) == 1:
        return name_subject(first)
    names = {user for each in problems for user in each.users}
    users = count_noun(len(names), "user") if names else ""
    agents = ""
    if len(names) < len(problems):
        agents = count_noun(len(problems), "agent")
    return _join_parts(agents, users, name_subject(replace(first, agent=None)))


def _join_parts(*parts: str) -> str:
    return ", ".join(filter(None, parts))


def describe_near(near: NearMiss) -> str:
    """How a user almost matches: `uid Ann: differs in case`."""
    return f"{near.attribute} {show_value(near.value)}: differs in {near.how}"


def count_noun(number: int, one: str, many: str = "") -> str:
    """`1 user`, `2 users`, `1,234 users`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


# ---------------------------------------------------------------- a plan as a whole


def report_title(plan: Plan, outcomes: Outcomes) -> str:
    """What the report is about: `what undo would do`."""
    command = "undo" if "takes back" in dict(plan.about) else "apply"
    return f"what {command} {'would do' if outcomes is None else 'has done'}"


def list_warnings(plan: Plan, outcomes: Outcomes) -> list[str]:
    """What a reader has to know before anything else of a plan."""
    about = dict(plan.about)
    said = [f"Nobody matches: {about[NOBODY]}."] if NOBODY in about else []
    if outcomes is None and plan.notes.lost:
        said.append(count_losses(plan.notes.lost))
    left_behind = [NOT_MAPPED, NOT_OURS]
    if not any(each.limit in OF_THE_SOURCE for each in plan.refusals):
        left_behind.insert(0, KEPT_CREDENTIALS)  # else their agents may only be missing
    said += [f"{about[word]}." for word in left_behind if word in about]
    said += [warning for word, warning in _WARNINGS.items() if word in about]
    if ON_HOLD in about:
        said.append(f"The job is on hold {about[ON_HOLD]}")
    return said


def write_verdict(plan: Plan, outcomes: Outcomes) -> str:
    """What would happen, or what has happened."""
    if outcomes is None:
        return " ".join(_say_what_would_happen(plan))
    if outcomes:
        return f"{count_outcomes(RunEnding.of(outcomes))}."
    return "Nothing was written: no changes."


def _say_what_would_happen(plan: Plan) -> list[str]:
    changed = count_noun(len(plan.changes), "user") if plan.changes else "no user"
    verdict = "" if plan.changes else "Nothing would be written: "
    if plan.refusals:
        verdict = "Refused: "
    said = [f"{verdict}{changed} would be changed."]
    if plan.refusals and plan.changes:
        said.append("Nothing is written until the plan is accepted.")
    changing = {change.user.name for change in plan.changes}
    denied = {
        user
        for problem in plan.problems
        if problem.kind == "rights"
        for user in problem.users
    }
    denied -= changing
    if denied:
        users = count_noun(len(denied), "more user" if plan.changes else "user")
        said.append(f"{users} would be, but the account may not write there.")
    return said


def nobody_matches(places: Mapping[str, str], *, empty: bool) -> str:
    """Where no agent found a user. `places`: of the job, by their names; `empty`: there are no users at all."""
    base = "base" if "base" in places else "directory"
    named = [f"{name} {places[name]}" for name in (base, "filter") if name in places]
    where = " and ".join(named) or "the directory"
    if empty:
        return f"0 users are within {where}. Check both, and the account's rights"
    return f"no user within {where} is one that an agent looks for. Check the match rules, then both"


def count_losses(lost: int) -> str:
    """How many users lose values that this job did not write."""
    users = count_noun(lost, "user loses", "users lose")
    return f"{users} values that this job did not write."


def name_refusal(refusal: Refusal) -> str:
    """What is beyond a limit, without the limit's key: `too many updates`."""
    name = refusal.limit.removeprefix("attributes.")
    return _REFUSED_FOR.get(name, f"too many changes of {name}")


def name_key(refusal: Refusal) -> str:
    """A sentence with the job's key of the limit; empty where no key sets it."""
    if refusal.limit in ("agents", EXCLUDE, APPROVAL):
        return ""
    return f". Key in the job: limits.{refusal.limit}"


def sum_up_refusal(refusal: Refusal) -> str:
    """What is beyond a limit, and by how much: `agents are missing (29 fewer, 4 allowed)`."""
    count = count_refusal(refusal)
    return f"{name_refusal(refusal)} ({count})" if count else name_refusal(refusal)


def count_refusal(refusal: Refusal) -> str:
    """How many were planned against how many are allowed; nothing for a limit that does not count changes."""
    limit, planned = refusal.limit, refusal.planned
    if limit in ("agents", LOST_STATE):
        return ""
    if limit == EXCLUDE:
        return count_noun(planned, "line without a match", "lines without a match")
    if limit == APPROVAL:
        return f"{count_noun(planned, 'user')} without approval"
    what = "fewer" if limit in OF_THE_SOURCE else "planned"
    return f"{planned:,} {what}, {refusal.allowed:,} allowed"


def advise_next(plan: Plan, command: str) -> tuple[str, list[str]]:
    """What to do with a plan that is not applied: a sentence, and the command lines that it announces.

    `command`: the one that applies it, and that names the file of a saved plan; by default an
    apply of the plan's job.
    """
    if not plan.changes and not plan.refusals:
        return "Nothing to apply.", []
    command = command or f"cec-connector apply {shlex.quote(make_visible(plan.job))}"
    is_on_hold = ON_HOLD in dict(plan.about)
    first = "The job is on hold. Release it first. Then, to" if is_on_hold else "To"
    needed = count_signatures(plan)
    if needed and plan.digest not in command:
        said = f"Needs {count_noun(needed, 'signature')}"
        file = _find_saved(command)
        if not file:
            return f"{said}. {first} save it for approval, run:", [
                _save_command(command)
            ]
        if needed > 1:
            said += ", each in a file of its own"
        names = (
            [f"{file}.sig"]
            if needed == 1
            else [f"{number}.sig" for number in range(1, needed + 1)]
        )
        approvals = shlex.join(f"--approval={name}" for name in names)
        return f"{said}. {first} sign it and then apply it, run:", [
            make_sign_command(file),
            f"{command} {approvals}",
        ]
    if not plan.refusals:
        return f"{first} apply it, run:", [command]
    if plan.digest not in command:
        command += f" --accept {plan.digest}"
    return f"{first} apply anyway, run:", [command]


def count_signatures(plan: Plan) -> int:
    """How many people have to sign a plan before it may be applied."""
    number = dict(plan.about).get(APPROVAL, "0").partition(" ")[0]
    return int(number) if number.isdecimal() else 0


def _find_saved(command: str) -> str:
    """The file of the saved plan that a command line applies."""
    for word in shlex.split(command):
        name, _, file = word.partition("=")
        if name == "--plan":
            return file
    return ""


def _save_command(command: str) -> str:
    """The command line that saves the plan which another one applies."""
    program, name, *rest = shlex.split(command)
    words = [program, "plan" if name == "apply" else name]
    words += [word for word in rest if word != "--apply"]
    return shlex.join([*words, "--save", "PLAN.json"])


def make_sign_command(file: object) -> str:
    """The command line that signs a file."""
    return shlex.join(
        ["ssh-keygen", "-Y", "sign", "-f", "KEY", "-n", APPROVAL_NAMESPACE, str(file)]
    )


# ---------------------------------------------------------------- what became of it


def find_strays(plan: Plan, outcomes: Outcomes) -> list[Outcome]:
    """The outcomes of users that are not in the plan: something is to be done with them since it was made.

    Without those that were left out on purpose, of whom there may be as many as agents.
    """
    if not outcomes:
        return []
    planned = {change.user.id for change in plan.changes}
    strays = (each for each in outcomes if each.user.id not in planned)
    return [each for each in strays if each.why not in LEFT_OUT]


def by_user(outcomes: Outcomes) -> dict[str, Outcome]:
    """Outcomes under the ids of their users."""
    return {outcome.user.id: outcome for outcome in outcomes or ()}


def outcome_text(outcome: Outcome | None) -> str:
    """The result and its reason, or nothing."""
    if outcome is None:
        return ""
    result = str(outcome.result)
    said = f"{result}: {outcome.why}" if outcome.why else result
    return ". ".join([said, *difference_texts(outcome)])


def difference_texts(outcome: Outcome) -> list[str]:
    """What is not as planned, and what is stored otherwise: `mail: stored as 'c'`."""
    unnamed = [name for name in outcome.differs if name not in outcome.why]
    texts = [f"not as planned: {', '.join(unnamed)}"] if unnamed else []
    for each in outcome.stored:
        values = ", ".join(f"'{_shorten_value(value)}'" for value in each.values)
        stored = f"as {values}" if values else "in another spelling"
        texts.append(f"{each.name}: stored {stored}")
    return texts


def _shorten_value(value: Held) -> str:
    text = show_value(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def last_line(ending: RunEnding) -> str:
    """The end of the account of an apply; its exit code says the same."""
    if ending.stopped:
        written = f"{ending.written:,} of {ending.user_count:,} written"
        return f"Stopped: {written}{_other_outcomes(ending)}. Rerun the same command."
    how = "Done in part" if ending.in_part else "Done"
    if ending.user_count or ending.untold:
        return f"{how}: {count_outcomes(ending)}."
    return f"{how}: nothing to write."


def count_outcomes(ending: RunEnding) -> str:
    """How an apply ended: how many are written, and each other number that is not 0."""
    users = count_noun(ending.user_count, "user")
    return f"{ending.written:,} of {users} written{_other_outcomes(ending)}"


def _other_outcomes(ending: RunEnding) -> str:
    parts = {
        "not written": ending.not_written,
        "not sent": ending.not_sent,
        "not known": ending.not_known,
        "already as planned": ending.unchanged,
        "left out": ending.left_out,
    }
    said = "".join(f", {number:,} {what}" for what, number in parts.items() if number)
    if ending.touched and not (ending.written or ending.not_known):
        said += "; some changes were written in part"
    if ending.untold:
        said += "; the audit may lack writes"
    return said


# ---------------------------------------------------------------- what is new


def describe_since(found: PlanNews) -> str:
    """How much is new in a plan since an earlier one."""
    if not found.plan:
        return "No earlier plan of this job is known here: everything is new."
    return (
        f"Since plan {found.plan} of {found.created}: {numbers_since(found.numbers)}."
    )


def numbers_since(found: Mapping[str, int]) -> str:
    """How much is new (`PlanNews.numbers`): of the changes, then of the problems."""
    names = ("new", "gone", "changed", "same")
    changes = count_news(*(found[name] for name in names))
    problems = count_news(*(found[f"{name}_problems"] for name in names))
    return f"changes {changes}; problems {problems}"


def count_news(new: int, gone: int, changed: int, same: int) -> str:
    """`3 new, 1 gone, 0 changed, 40 the same`."""
    return f"{new:,} new, {gone:,} gone, {changed:,} changed, {same:,} the same"
