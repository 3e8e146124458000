"""Kinds partition the changes of a plan, and every report says the same numbers of them."""

from __future__ import annotations

import csv
import html as markup
import json
import re
from collections import Counter
from collections.abc import Callable
from io import StringIO

import pytest
from hypothesis import given, strategies as st

from connector.model import AgentRef, AttributeChange, Change, Form, Plan, Secret, Summary
from connector.planning.kinds import MOST
from connector.reports import csv as spreadsheet, document, html, ldif, markdown, text, wording as say
from tests.support.report_samples import CANARY, drawn, user

NAMES = ("mail", "employeeNumber", "cecAccountCode", "SIPIdentityUserName")


def _attribute(name: str, form: Form) -> AttributeChange:
    if form is Form.SECRET:
        return AttributeChange(name, (), (Secret(CANARY),), secret=True, seen=False, fingerprint="f", form=form)
    return AttributeChange(name, ("1",), () if form is Form.EMPTIED else ("2",), form=form)


def _change(number: int, rule: int | None, forms: dict[str, Form]) -> Change:
    agent = None if rule is None else AgentRef(number, f"agent{number}")
    attributes = tuple(_attribute(name, form) for name, form in forms.items())
    classes = (AttributeChange("objectClass", (), ("cecAgent",)),) if number % 3 == 0 else ()
    return Change(user(number), agent, rule, (*classes, *attributes))


def _plan(found: list[tuple[int | None, dict[str, Form]]]) -> Plan:
    changes = tuple(_change(number, rule, forms) for number, (rule, forms) in enumerate(found))
    return drawn(Plan("run-1", "", "job", "2030-01-31T12:00:00Z", Summary(), changes))


plans = st.lists(
    st.tuples(
        st.none() | st.integers(0, 4),
        st.dictionaries(st.sampled_from(NAMES), st.sampled_from(Form), min_size=1, max_size=3),
    ),
    max_size=60,
).map(_plan)


@given(plan=plans)
def test_kinds_partition_the_changes_and_come_in_the_order_of_risk(plan: Plan) -> None:
    users = [change.user.id for kind in plan.notes.kinds for change in kind.changes]
    assert Counter(users) == Counter(change.user.id for change in plan.changes)
    assert len(plan.notes.kinds) <= MOST
    risks = list(Form)
    places = [risks.index(kind.form) for kind in plan.notes.kinds]
    assert places == sorted(places)
    for kind in plan.notes.kinds:
        forms = [each.form for change in kind.changes for each in change.attributes if each.form is not None]
        assert kind.form is min(forms, key=risks.index)
        assert set(kind.attributes) == {
            each.name for change in kind.changes for each in change.attributes if each.form is not None
        }
        if kind.merged == 1:
            alike = {
                (change.rule, frozenset((each.name, each.form) for each in change.attributes if each.form))
                for change in kind.changes
            }
            assert len(alike) == 1


@given(plan=plans)
def test_who_is_worth_a_look_is_named_once_and_few_where_there_are_many(plan: Plan) -> None:
    looks = [look.user for look in plan.notes.worth_a_look]
    assert len(looks) == len(set(looks))
    assert set(looks) <= {change.user for change in plan.changes}
    assert all(look.why for look in plan.notes.worth_a_look)


Numbers = list[tuple[str, int]]


def _of_json(plan: Plan) -> tuple[Numbers, int]:
    read = json.loads("".join(document.render(plan)))
    return [(kind["sentence"], kind["users"]) for kind in read["kinds"]], len(read["worth_a_look"])


def _of_csv(plan: Plan) -> tuple[Numbers, int]:
    rows = list(csv.DictReader(StringIO("".join(spreadsheet.render(plan)), newline="")))
    kinds = [(row["why"], int(row["users"])) for row in rows if row["kind"].startswith("kind: ")]
    return kinds, sum(row["kind"] == "worth a look" for row in rows)


def _of_markdown(plan: Plan) -> tuple[Numbers, int]:
    rows = re.findall(r"^\| (\d+) \| [^|]+ \| (\d[^|]*) \| [^|]* \|$", "".join(markdown.render(plan)), re.MULTILINE)
    looks = re.search(r"^## Worth a look \((\d+)\)$", "".join(markdown.render(plan)), re.MULTILINE)
    return [(sentence.replace("`", ""), int(users)) for users, sentence in rows], int(looks[1]) if looks else 0


def _of_html(plan: Plan) -> tuple[Numbers, int]:
    page = "".join(html.render(plan))
    titles = re.findall(r'<div class="kind" id="k\d+">\n<h3>\d+\. ([^<]+) \((\d+) users?\)</h3>', page)
    known = [(f"{kind.title[0].upper()}{kind.title[1:]}", kind.users) for kind in plan.notes.kinds]
    assert [(markup.unescape(title), int(users)) for title, users in titles] == known
    looks = re.search(r"Worth a look \((\d+)\)", page)
    changed = Counter(each.name for change in plan.changes for each in change.attributes if each.form)
    counts = Counter[str]()
    for people, several in re.findall(r"<li>(\d+) (?:person|people) \w+ their ([^<]+)</li>", page):
        counts += {re.sub(r".*\((\w+)\)", r"\1", name): int(people) for name in several.split(", ")}
    assert counts == changed
    assert len(re.findall(r'<tr id="u', page)) == len(plan.changes)
    for number, (kind, group) in enumerate(
        zip(plan.notes.kinds, page.split('<section class="group"')[1:], strict=True), 1
    ):
        assert group.startswith(f' id="r{number}">')
        assert len(re.findall(r'<tr id="u', group)) == kind.users
        assert set(re.findall(r'<tbody data-kind="(\d+)"', group)) == {f"{number - 1}"}
        assert ">Show " + say.count_noun(kind.users, "user") + f" of kind {number}<" in page
    return [(kind.sentence, kind.users) for kind in plan.notes.kinds], int(looks[1]) if looks else 0


def _of_text(plan: Plan) -> tuple[Numbers, int]:
    shown = "".join(text.render(plan, whole=True))
    rows = re.findall(r"^ +(\d+)  (\S[^\n]+)$", shown.partition("Changes (")[2].partition("\n\n")[0], re.MULTILINE)
    titles = [(kind.title, kind.users) for kind in plan.notes.kinds]
    assert [(title, int(users)) for users, title in rows] == titles
    assert len({title for title, _ in titles}) == len(titles), "titles tell kinds apart"
    return [(kind.sentence, kind.users) for kind in plan.notes.kinds], shown.count("\n    ! ")


def _of_ldif(plan: Plan) -> tuple[Numbers, int]:
    lines = "".join(ldif.render(plan)).splitlines()
    said = [line.partition(": ")[2] for line in lines if re.match(rf"# ({'|'.join(Form)}): ", line)]
    return [(each, int(each.split()[0])) for each in said], sum(line.startswith("# Worth a look: ") for line in lines)


@pytest.mark.parametrize("read", [_of_json, _of_csv, _of_markdown, _of_html, _of_text, _of_ldif])
@given(plan=plans)
def test_every_report_has_the_numbers_of_the_plan(read: Callable[[Plan], tuple[Numbers, int]], plan: Plan) -> None:
    kinds, looks = read(plan)
    assert kinds == [(kind.sentence, kind.users) for kind in plan.notes.kinds]
    assert looks == len(plan.notes.worth_a_look)
