"""The HTML report in a real browser: read, searched, filtered, copied, printed."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from connector.model import AgentRef, AttributeChange, Form, Outcome, Plan, PlanNotes, Problem, Result, StoredValues
from connector.reports import html
from tests.benchmarks import page as measured
from tests.support.browser import browsing, printed
from tests.support.report_samples import drawn, hostile, many, outcomes, sample, user

if TYPE_CHECKING:
    from playwright.sync_api import Locator

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def _saved(folder: Path, plan: Plan, *, applied: bool = False) -> str:
    path = folder / "plan.html"
    path.write_text("".join(html.render(plan, outcomes() if applied else None)), encoding="utf-8")
    return path.as_uri()


def test_a_reviewer_copies_searches_filters_opens_and_sorts(tmp_path: Path) -> None:
    plan = many(44)
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, plan))
        page.click("summary")
        page.focus("#copy")
        page.keyboard.press("Enter")
        page.get_by_text("Copied.").wait_for()
        assert page.evaluate("navigator.clipboard.readText()") == plan.digest
        shown, rows = page.locator("#shown"), page.locator("#changes tbody tr:visible")
        page.fill("#search", "person AGENT17")
        shown.get_by_text("1 of 44 users").wait_for()
        assert rows.count() == 1
        page.click("#reset")
        for name, value, users in (
            ("rule", "1", 6), ("problem", "0", 1), ("attribute", "0", 44), ("attribute", "5", 36), ("kind", "0", 6),
        ):  # fmt: skip
            page.select_option(f"#{name}", value)
            assert shown.inner_text() == f"{users} of 44 users", name
            assert rows.count() == users
            page.click("#reset")
        page.select_option("#sort", "3")
        assert "rule 1" in rows.first.inner_text()
        page.select_option("#rule", "1")
        assert rows.count() == 6
        page.get_by_text("Show 38 users of kind 2").click()
        assert rows.count() == 38
        assert "rule 1, kind 2" in rows.first.inner_text()
        page.evaluate("location.hash = '#u3'")
        page.locator("#u3").wait_for(state="visible")
        assert rows.count() == 44


def test_the_keyboard_reaches_everything(tmp_path: Path) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, many(44)))
        page.focus("summary")
        page.keyboard.press("Enter")
        shown = page.locator("#shown")

        def tab_to(what: str) -> None:
            for _ in range(30):
                page.keyboard.press("Tab")
                if page.locator(f"{what}:focus-visible").count():
                    return
            raise AssertionError(what)

        tab_to("#copy")
        page.keyboard.press("Space")
        page.get_by_text("Copied.").wait_for()
        page.evaluate("getSelection().setPosition(document.body, 0)")
        tab_to("a[href='#r1']")
        page.keyboard.press("Enter")
        shown.get_by_text("6 of 44 users").wait_for()
        tab_to("#changes tr a")  # from where the link led to
        page.keyboard.press("Enter")
        assert page.evaluate("location.hash") == "#u1"
        page.focus("a[href='#r2']")
        tab_to("#search")
        page.keyboard.type("agent14")
        shown.get_by_text("1 of 44 users").wait_for()
        for name, key in (("kind", "2"), ("attribute", "c"), ("rule", "r"), ("problem", "v"), ("sort", "u")):
            tab_to(f"#{name}")
            page.keyboard.press(key)
            assert page.locator(f"#{name}").input_value() not in {"", "0" if name == "sort" else ""}, name
        tab_to("#reset")
        page.keyboard.press("Enter")
        shown.get_by_text("44 of 44 users").wait_for()


def test_without_its_script_the_page_has_every_row_and_each_kind_leads_to_its_own(tmp_path: Path) -> None:
    with browsing(script=False) as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, many(44)))
        assert page.locator("#changes tbody tr:visible").count() == 44
        assert not page.locator("#tools, #copy").locator("visible=true").count()
        page.get_by_text("Show 38 users of kind 2").click()
        group = page.locator("section:target")
        assert group.locator("h3").inner_text() == "Kind 2: secret set (38)"
        assert group.locator("tbody tr").count() == 38


@pytest.mark.parametrize("width", [400, 1400])
def test_it_fits_a_narrow_window_and_a_wide_one(tmp_path: Path, width: int) -> None:
    with browsing() as context:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(_saved(tmp_path, many(44)) + "#u30")
        assert page.evaluate(
            "(({x, y}) => document.elementFromPoint(x + 5, y + 5).closest('tr').id)"
            "(document.getElementById('u30').getBoundingClientRect())"
        ) == "u30", "not behind the tools"  # fmt: skip
        for plan in (many(44), sample(), hostile()):
            page.goto(_saved(tmp_path, plan, applied=True))
            assert page.evaluate("document.documentElement.scrollWidth") == width
            height = page.evaluate("document.documentElement.scrollHeight")
            page.evaluate("document.styleSheets[0].insertRule('* { content-visibility: visible !important }')")
            assert page.evaluate("document.documentElement.scrollHeight") == height, "no blank space for a few rows"


def test_what_is_written_right_to_left_keeps_its_place(tmp_path: Path) -> None:
    first, *_ = sample().changes
    attribute = AttributeChange("employeeType", ("אחת", "שתיים"), ("שלוש", "ארבע ארבע"), form=Form.OURS)
    change = replace(first, user=user(1, "uid=עדה,dc=example"), agent=AgentRef(1, "עדה"), attributes=(attribute,))
    plan = drawn(replace(sample(), changes=(change,), notes=PlanNotes(people={change.user.name: "עדה לב"})))
    stored = (StoredValues(attribute.name, ("חמש",)),)
    path = tmp_path / "plan.html"
    path.write_text("".join(html.render(plan, [Outcome(change.user, Result.WRITTEN, stored=stored)])), "utf-8")
    with browsing() as context:
        page = context.new_page()
        page.set_viewport_size({"width": 1400, "height": 900})
        page.goto(path.as_uri())
        cells = page.locator("#u1 td")
        for place, texts in (
            (1, ["עדה לב", "uid=", "עדה", "dc="]),
            (2, ["accountCode", "עדה", "workNo"]),
            (4, ["אחת", "|", "שתיים", "→", "שלוש", "|", "ארבע ארבע"]),
        ):
            is_in_order(cells.nth(place), texts)
        outcome = page.locator("td", has_text="stored").first
        is_in_order(outcome, ["written", "employeeType", "stored as", "חמש"])


PLACES = """(element, texts) => {
  const found = [], walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  let node = walker.nextNode(), from = 0;
  for (const text of texts) {
    for (;; node = walker.nextNode(), from = 0) {
      const at = node.data.indexOf(text, from);
      if (at < 0) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, from = at + text.length);
      const {left, right, bottom} = range.getBoundingClientRect();
      found.push([bottom, left, right]);
      break;
    }
  }
  return found;
}"""
"""Where texts are on the screen, each looked for behind the one before."""


def is_in_order(element: Locator, texts: list[str]) -> None:
    """Each text is below the one before, or to the right of it."""
    places = element.evaluate(PLACES, texts)
    for (above, _, right), (bottom, left, _) in pairwise(places):
        assert bottom > above + 8 or left >= right - 1, (texts, places)


@pytest.mark.parametrize(("dark", "width"), [(False, 1400), (True, 1400), (False, 400)])
def test_axe_finds_nothing_and_hostile_values_stay_text(tmp_path: Path, dark: bool, width: int) -> None:
    from axe_playwright_python.sync_playwright import Axe  # noqa: PLC0415  # only where it is here

    with browsing(dark) as context:
        page = context.new_page()
        page.set_viewport_size({"width": width, "height": 900})
        for plan, applied in ((many(44), False), (sample(), True), (hostile(), True)):
            page.goto(_saved(tmp_path, plan, applied=applied))
            violations = Axe().run(page).response["violations"]
            assert [each["id"] for each in violations if each["impact"] in {"serious", "critical"}] == []
        assert page.locator("img, script").count() == 1


@pytest.mark.parametrize(("users", "most"), [(44, 3), (2940, 60)])
def test_it_prints_on_few_sheets_each_with_digest_and_number(tmp_path: Path, users: int, most: int) -> None:
    plan = many(users)
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, plan))
        page.fill("#search", "nobody at all")
        page.locator("#shown").get_by_text(f"0 of {users:,} users").wait_for()
        sheets = printed(page, tmp_path / "plan.pdf")
    assert len(sheets) <= most
    for number, sheet in enumerate(sheets, 1):
        assert plan.digest in sheet
        assert f"Page {number} of {len(sheets)}" in sheet.rstrip().splitlines()[-1]
    assert len(re.findall(r"^\s*\d+ · Person", "".join(sheets), re.MULTILINE)) == users, "also those filtered out"
    assert "Signature" in sheets[-1]
    assert "Show " not in "".join(sheets), "nobody follows a link on paper"


def test_on_paper_an_outcome_stands_apart_from_the_name(tmp_path: Path) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, sample(), applied=True))
        text = "".join(printed(page, tmp_path / "plan.pdf"))
    assert "uid=agent1,ou=people,dc=example,dc=org · conflict: employeeNumber changed" in text
    assert "dc=org · written · accountCode agent2" in text


def test_no_heading_is_alone_at_the_foot_of_a_sheet(tmp_path: Path) -> None:
    """On paper of many heights, so that every heading comes to a foot."""
    plan = many(44)
    problems = tuple(Problem(f"kind {n % 9}", "because", plan.changes[n].agent) for n in range(40))
    plan = drawn(replace(sample(), changes=plan.changes, problems=problems, notes=plan.notes))
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, plan, applied=True))
        headings = page.locator("h1, h2, h3, .lead, thead tr").all_inner_texts()
        alone = {re.sub(r"\s+", " ", each).strip().lower() for each in headings} - {""}
        assert {"signatures", "problems (40)", "kind 1: secret set (6)", "about users why"} <= alone
        for height in range(100, 290, 7):
            for sheet in printed(page, tmp_path / "plan.pdf", height=f"{height}mm"):
                *_, last, _foot = [re.sub(r"\s+", " ", line).strip() for line in sheet.splitlines() if line.strip()]
                assert last.lower() not in alone, height


def test_a_sorted_page_prints_every_row_whole(tmp_path: Path) -> None:
    """No heading says what a row leaves out: rows of all kinds are mixed."""
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, many(44)))
        page.select_option("#sort", "1")
        text = "".join(printed(page, tmp_path / "plan.pdf"))
    assert "Kind 1: " not in text
    assert "In each row also" not in text
    assert text.count("SIPIdentityPassword (secret) set") >= 44


def test_fifty_thousand_changes_open_as_fast_as_plain_tables_that_say_the_same(tmp_path: Path) -> None:
    """Bounds that hold on a busy machine: the time to the end is that of the processor, against plain tables."""
    ours, theirs = zip(*measured.contest(tmp_path, 50_000, 2), strict=True)
    assert sum(each.cpu for each in ours) / sum(each.cpu for each in theirs) < measured.RATIO
    assert min(each.cpu for each in ours) < 2
    assert min(each.painted for each in ours) < 2


def test_a_user_of_fifty_thousand_is_found(tmp_path: Path) -> None:
    with browsing() as context:
        page = context.new_page()
        page.goto(_saved(tmp_path, many(50_000)) + "#u41234")
        assert page.locator("#u41234").is_visible()
        assert 0 <= page.evaluate("document.getElementById('u41234').getBoundingClientRect().top") < 900
        page.fill("#search", "agent41234")
        page.locator("#shown").get_by_text("1 of 50,000 users").wait_for()
        assert page.locator("#changes tbody tr:visible").count() == 1
