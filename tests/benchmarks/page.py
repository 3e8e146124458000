"""What it takes a browser to open the HTML report of a first plan, against plain tables that say the same.

    python -m tests.benchmarks.page [USERS] [ROUNDS]

A ratio is of processor time of the processes that draw the page. Such time is much the same on a busy machine.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

from connector.model import Plan
from connector.reports import html, wording as say
from tests.support.browser import Opening, browsing, opening
from tests.support.report_samples import many

RATIO = 1.8
"""What the report may take, where plain tables take 1. It takes 1.2; with each user twice and more marks it took 3."""


def plain(plan: Plan) -> Iterator[str]:
    """The rows of the plan and nothing else, in the form that Chromium lays out fastest: tables of 200 rows."""
    yield "<!DOCTYPE html>\n<meta charset=utf-8>\n<title>plain</title>\n<style>"
    yield "table { table-layout: fixed; width: 100% } "
    yield "section { content-visibility: auto; contain-intrinsic-size: auto 20000px }</style>\n"
    for start in range(0, len(plan.changes), 200):
        yield "<section><table><tbody>"
        for change in plan.changes[start : start + 200]:
            cells = [f"{plan.notes.people[change.user.name]} {change.user.name}", say.name_agent(change.agent)]
            cells.append(say.name_rule(change.rule))
            said = "".join(f"<div>{escape(_said(each.name, say.find_sides(each)))}</div>" for each in change.attributes)
            yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}<td>{said}</td></tr>\n"
        yield "</tbody></table></section>\n"


def _said(name: str, sides: say.ChangeSides) -> str:
    return f"{name} {' | '.join(sides.old) or say.NONE} → {' | '.join(sides.new)}"


def contest(folder: Path, users: int, rounds: int) -> Iterator[tuple[Opening, Opening]]:
    """Open the report and the plain tables in turn, each in a browser of its own."""
    plan = many(users)
    addresses = []
    for name, pieces in (("report", html.render(plan)), ("plain", plain(plan))):
        path = folder / f"{name}.html"
        path.write_text("".join(pieces), encoding="utf-8")
        addresses.append(path.as_uri())
    for _ in range(rounds):
        yield _alone(addresses[0]), _alone(addresses[1])


def _alone(address: str) -> Opening:
    with browsing() as context:
        return opening(context.new_page(), address)


def main(users: int = 50_000, rounds: int = 5) -> None:
    """Print the medians."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(contest(Path(folder), users, rounds))
        sizes = [(Path(folder) / f"{name}.html").stat().st_size / 1e6 for name in ("report", "plain")]
    for name, size, openings in zip(("report", "plain tables"), sizes, zip(*found, strict=True), strict=True):
        painted, wall, cpu, elements = (statistics.median(column) for column in zip(*openings, strict=True))
        print(
            f"{name}: {size:.1f} MB, {elements:,.0f} elements, first paint {painted:.2f} s, open {wall:.2f} s, "
            f"processor {cpu:.2f} s"
        )
    ratios = sorted(ours.cpu / theirs.cpu for ours, theirs in found)
    print(f"processor, ratio: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), target {RATIO}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
