"""Plans for the tests of reports: one with some of everything, and Hypothesis strategies for any plan at all."""

from __future__ import annotations

from hypothesis import strategies as st
from msgspec.structs import replace

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Form,
    NearMiss,
    Outcome,
    Plan,
    PlanNotes,
    Problem,
    Refusal,
    Result,
    Secret,
    Summary,
    UserRef,
)
from connector.model.digests import digest_of_change, digest_of_plan
from connector.planning.kinds import add_overview

CANARY = "c4n4ry-Pa55word"

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07",
    "line one\r\nuid: injected",
    "user\u202egpj.exe",
    "a\u2066b\u2069c\u200bd",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    '=HYPERLINK("http://example.test")',
    "\uff1dcmd|' /C calc'!A0",
    "| a | b |",
    "`code` ``more``",
    "a\\|b\\",
    "[text](javascript:alert(1))",
    "@everyone #1 GH-1 !1 https://www.example.test",
    "# heading\n\n* list",
    "\x7f\x85\u2028\u2029\ufeff",
    "",
    " ",
    "(secret) set",
)


def drawn(plan: Plan) -> Plan:
    """The plan with its digests, as drawing leaves it."""
    changes = tuple(replace(change, digest=digest_of_change(change)) for change in plan.changes)
    whole = replace(plan, changes=changes)
    return add_overview(replace(whole, digest=digest_of_plan(whole)))


def user(number: int, name: str = "") -> UserRef:
    return UserRef(f"00000000-0000-4000-8000-{number:012}", name or f"uid=agent{number},ou=people,dc=example,dc=org")


NEAR = (
    NearMiss("uid=nobdy,ou=people,dc=example,dc=org", "mail", "nobdy@example.org", "one edit"),
    NearMiss("uid=x,ou=people,dc=example,dc=org", "mail", "=nobody@example.net", "domain"),
)


def sample() -> Plan:
    """Three changes (a secret among them, a moved value, a clearing), problems, a refusal, a caution."""
    changes = (
        Change(
            user(1),
            AgentRef(1001, "agent1"),
            1,
            (
                AttributeChange("objectClass", (), ("cecAgent", "SIPIdentity")),
                AttributeChange("employeeNumber", ("1001",), ("1002",), form=Form.TAKEN_OVER),
                AttributeChange(
                    "SIPIdentityPassword",
                    (),
                    (Secret(CANARY),),
                    secret=True,
                    seen=False,
                    fingerprint="f1",
                    form=Form.SECRET,
                ),
            ),
            after=frozenset({user(2).id}),
        ),
        Change(
            user(2),
            AgentRef(1002, "agent2"),
            0,
            (AttributeChange("employeeNumber", ("1002",), ("1003",), form=Form.OURS),),
        ),
        Change(
            user(3),
            None,
            None,
            (
                AttributeChange(
                    "SIPIdentitySIPURI", ("sip:1@192.0.2.1", "sip:2@192.0.2.1"), (), pattern="sip:*", form=Form.EMPTIED
                ),
                AttributeChange("SIPIdentityPassword", (Secret(CANARY),), (), secret=True, form=Form.EMPTIED),
            ),
        ),
    )
    problems = (
        Problem("unmatched", "no user holds mail nobody@example.org", AgentRef(1004, "nobody"), rule=2, near=NEAR),
        Problem("ambiguous", "2 users hold it", AgentRef(1005, "twice"), (user(8).name, user(9).name), 1),
        Problem("invalid", "workNo is a text", AgentRef(None, "broken"), record=7),
        Problem("tenant", "the tenant has no sipServiceIp"),
        Problem("brand-new-kind", "something that a later version says", attribute="mail"),
    )
    summary = Summary(agents=5, matched=2, unmatched=1, ambiguous=1, invalid=1, stale=1, update=2, clear=1, secret=1)
    refusal = Refusal("clear", 0, 1, "1 user would lose a value, and 0 may")
    caution = "compare-and-set is not atomic on this directory"
    return drawn(
        Plan(
            "run-1", "", "jobs/people.yaml", "2030-01-31T12:00:00Z", summary, changes, problems, (refusal,), (caution,)
        )
    )


_DIFFERS = ("employeeNumber", "SIPIdentityPassword", "description")


def outcomes() -> list[Outcome]:
    return [
        Outcome(user(2), Result.WRITTEN),
        Outcome(user(1), Result.CONFLICT, "employeeNumber changed since the plan", differs=_DIFFERS),
        Outcome(user(3), Result.SKIPPED, "the server went away"),
    ]


def hostile() -> Plan:
    """A plan in which everything that can come from outside is hostile."""
    changes = tuple(
        Change(
            user(number, f"cn={text}"),
            AgentRef(number, text),
            1,
            (
                AttributeChange("description", (text, "old"), (text + "!", text.encode(), b"\xff\xfe")),
                AttributeChange("SIPIdentityPassword", (), (Secret(CANARY + text),), secret=True),
            ),
        )
        for number, text in enumerate(HOSTILE)
    )
    problems = tuple(
        Problem("value", text, AgentRef(1, text), (text, text), 1, text, near=(NearMiss(*(text,) * 4),))
        for text in HOSTILE
    )
    problems += tuple(Problem(text, text) for text in HOSTILE)
    refusals = tuple(Refusal(text, 0, 1, text) for text in HOSTILE)
    return drawn(Plan(*(HOSTILE[4],) * 4, Summary(), changes, problems, refusals, HOSTILE))


def many(users: int) -> Plan:
    """A first plan that gives every user a SIP identity: two kinds of changes, by two rules; one problem."""
    changes = tuple(map(_first, range(1, users + 1)))
    third = changes[2]
    problem = Problem("value", "too long", third.agent, (third.user.name,), 1, "mail")
    summary = Summary(agents=users, matched=users, update=users, secret=users)
    people = {change.user.name: f"Person {number}" for number, change in enumerate(changes, 1)}
    return drawn(
        Plan(
            "run-1", "", "hr.yaml", "2030-01-31T12:00:00Z", summary, changes, (problem,), notes=PlanNotes(people=people)
        )
    )


def _first(number: int) -> Change:
    values = {} if number % 5 == 0 else {"objectClass": "cecAgent"}
    values |= {"cecAccountCode": f"agent{number}", "cecWorkNo": f"{number}"}
    values |= {"SIPIdentityUserName": f"70{number}", "SIPIdentityRegistrarAddress": "sip.example.org"}
    attributes = [
        AttributeChange(name, (), (value,), form=None if name == "objectClass" else Form.FIRST)
        for name, value in values.items()
    ]
    secret = AttributeChange(
        "SIPIdentityPassword", (), (Secret(CANARY),), secret=True, seen=False, fingerprint="f", form=Form.SECRET
    )
    return Change(user(number), AgentRef(number, f"agent{number}"), 2 if number % 7 == 0 else 1, (*attributes, secret))


# ---------------------------------------------------------------- any plan

text = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
values = st.lists(st.one_of(text, st.binary(max_size=6)), max_size=3, unique=True).map(tuple)
number = st.integers(0, 2**53)
agents = st.builds(AgentRef, st.none() | st.integers(-(2**53), 2**53), st.none() | text)
forms = st.none() | st.sampled_from(Form)
plain = st.builds(AttributeChange, text, values, values, form=forms)
secret = st.builds(
    lambda name, sets, fingerprint, form: AttributeChange(
        name, (), (Secret(CANARY),) if sets else (), secret=True, fingerprint=fingerprint if sets else "", form=form
    ),
    text,
    st.booleans(),
    text,
    forms,
)
changes = st.builds(
    Change,
    st.builds(UserRef, text, text),
    st.none() | agents,
    st.none() | number,
    st.lists(plain | secret, min_size=1, max_size=3).map(tuple),
)
problems = st.builds(
    Problem,
    text,
    text,
    st.none() | agents,
    st.lists(text, max_size=2).map(tuple),
    st.none() | number,
    st.none() | text,
    st.none() | number,
    st.lists(st.builds(NearMiss, text, text, text, text), max_size=2).map(tuple),
)
plans = st.builds(
    Plan,
    text,
    st.just(""),
    text,
    text,
    st.builds(Summary, *[number] * len(Summary.__struct_fields__)),
    st.lists(changes, max_size=3).map(tuple),
    st.lists(problems, max_size=3).map(tuple),
    st.lists(st.builds(Refusal, text, number, number, text), max_size=2).map(tuple),
    st.lists(text, max_size=2).map(tuple),
).map(drawn)
outcome_lists = st.none() | st.lists(
    st.builds(Outcome, st.builds(UserRef, text, text), st.sampled_from(Result), text), max_size=3
)
