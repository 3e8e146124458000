"""The HTML report in a real browser: read, searched, filtered, copied, printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from connector.model import AgentRef, AttributeChange, Change, Form, Plan, Problem, Secret, Summary
from connector.reports import html
from tests.support.browser import browsing, printed
from tests.support.report_samples import drawn, hostile, outcomes, sample, user

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _change(number: int) -> Change:
    values = {"objectClass": "cecAgent", "cecAccountCode": f"agent{number}", "cecWorkNo": f"{number}"}
    values |= {"SIPIdentityUserName": f"70{number}", "SIPIdentityRegistrarAddress": "sip.example.org"}
    attributes = [
        AttributeChange(name, (), (value,), form=None if name == "objectClass" else Form.FIRST)
        for name, value in values.items()
    ]
    secret = AttributeChange(
        "SIPIdentityPassword", (), (Secret("x"),), secret=True, seen=False, fingerprint="f", form=Form.SECRET
    )
    return Change(user(number), AgentRef(number, f"agent{number}"), 2 if number % 7 == 0 else 1, (*attributes, secret))


def _plan(users: int) -> Plan:
    changes = tuple(_change(number) for number in range(1, users + 1))
    third = changes[2]
    problem = Problem("value", "too long", third.agent, (third.user.name,), 1, "mail")
    summary = Summary(agents=users, matched=users, update=users, secret=users)
    people = {change.user.name: f"Person {number}" for number, change in enumerate(changes, 1)}
    return drawn(Plan("run-1", "", "hr.yaml", "2030-01-31T12:00:00Z", summary, changes, (problem,), people=people))


def _saved(folder: Path, plan: Plan, *, applied: bool = False) -> str:
    path = folder / "plan.html"
    path.write_text("".join(html.render(plan, outcomes() if applied else None)), encoding="utf-8")
    return path.as_uri()


def test_a_reviewer_copies_searches_filters_opens_and_sorts(tmp_path: Path) -> None:
    plan = _plan(44)
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, plan))
        page.focus("#copy")
        page.keyboard.press("Enter")
        page.get_by_text("Copied.").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == plan.digest
        shown, rows = page.locator("#shown"), page.locator("#changes tbody tr:visible")
        page.fill("#search", "person AGENT17")
        shown.get_by_text("1 of 44 users").wait_for()
        assert rows.count() == 1
        page.click("#reset")
        for name, value, users in (("rule", "1", 6), ("problem", "0", 1), ("attribute", "0", 44), ("kind", "0", 6)):
            page.select_option(f"#{name}", value)
            assert shown.inner_text() == f"{users} of 44 users", name
            page.click("#reset")
        page.select_option("#sort", "3")
        assert "rule 1" in rows.first.inner_text()
        page.select_option("#rule", "1")
        page.locator("summary").first.click()
        assert page.locator("details[open] li").count() == 6
        page.evaluate("location.hash = '#u3'")
        page.locator("#u3").wait_for(state="visible")
        assert rows.count() == 44


@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_and_hostile_values_stay_text(tmp_path: Path, dark: bool) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  # only where it is here

    with browsing(dark) as context:
        page = context.new_page()
        for plan, applied in ((_plan(44), False), (sample(), True), (hostile(), True)):
            page.goto(_saved(tmp_path, plan, applied=applied))
            violations = Axe().run(page).response["violations"]
            assert [each["id"] for each in violations if each["impact"] in {"serious", "critical"}] == []
        assert page.locator("img, script").count() == 1


@pytest.mark.parametrize(("users", "most"), [(44, 3), (2940, 60)])
def test_it_prints_on_few_sheets_each_with_digest_and_number(tmp_path: Path, users: int, most: int) -> None:
    plan = _plan(users)
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, plan))
        page.fill("#search", "nobody at all")
        sheets = printed(page, tmp_path / "plan.pdf")
    assert len(sheets) <= most
    for number, sheet in enumerate(sheets, 1):
        assert plan.digest in sheet
        *_, last, _foot = [line.strip() for line in sheet.splitlines() if line.strip()]
        assert f"Page {number} of {len(sheets)}" in _foot
        assert not re.match(r"(Changes|Kinds of changes|Worth a look|Problems) \(|Agents$|Users$", last)
    assert len(re.findall(r"^\s*\d+ · Person", "".join(sheets), re.MULTILINE)) == users, "also those filtered out"
    assert "Signature" in sheets[-1]


def test_fifty_thousand_changes_are_on_the_screen_within_two_seconds(tmp_path: Path) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, _plan(50_000)))
        painted = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
        assert painted < 2000
        page.fill("#search", "agent41234")
        page.locator("#shown").get_by_text("1 of 50,000 users").wait_for()
        assert page.locator("#u41234").is_visible()
