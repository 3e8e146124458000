"""The report as one self-contained page: no script, no address but its own, nothing that a browser would fetch.

Everything is escaped, and a Content-Security-Policy (W3C CSP3) allows the page its one style sheet, by its hash, and
nothing else, so that even markup that slipped through could not run or call out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import Final

from connector.model import AttributeChange, Change, Outcome, Plan, Problem, Result
from connector.reconcile import problem_kinds
from connector.reports import wording as say
from connector.reports.visible import visible

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #d8dee6; --page: #ffffff; --card: #f5f7fa;
  --bad: #a3161f; --bad-page: #fdf0f0; --old: #8a2430; --new: #14613a; --note: #fff8e1; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #a0abba; --line: #364152; --page: #151a21;
  --card: #1e252f; --bad: #ff9a9a; --bad-page: #331a1d; --old: #f2a0a8; --new: #86d9ad; --note: #332c14; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 2rem 1.5rem; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.7rem; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.25rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.2rem 0 .2rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .2rem 0 .6rem; }
code { font: .9em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
dl { margin: 0; } dl div { display: flex; gap: 1rem; } dt { flex: 0 0 4rem; color: var(--soft); } dd { margin: 0; }
.headline { font-size: 1.15rem; font-weight: 600; }
.bad, .conflict, .failed { color: var(--bad); font-weight: 600; }
.written, .unchanged { color: var(--new); }
.refused { padding: .1rem 1rem 1rem; background: var(--bad-page); border: 2px solid var(--bad); border-radius: .4rem;
  margin-top: 1.5rem; }
.refused h2 { margin-top: .8rem; color: var(--bad); border: 0; }
.note { padding: .5rem .8rem; background: var(--note); border-radius: .4rem; margin-top: 1rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr)); gap: .7rem;
  padding: 0; margin: 0; list-style: none; }
.cards li { padding: .6rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; }
.cards b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.cards span { font-weight: 600; } .cards small { display: block; color: var(--soft); line-height: 1.3; }
.zero b, .zero span { color: var(--soft); font-weight: 400; }
article { margin: 0 0 1rem; padding: .2rem 1rem .8rem; border: 1px solid var(--line); border-radius: .4rem;
  content-visibility: auto; contain-intrinsic-size: auto 10rem; break-inside: avoid; }
article h3 { margin-top: .6rem; } article p { color: var(--soft); }
article p.written, article p.unchanged { color: var(--new); }
article p.conflict, article p.failed { color: var(--bad); }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th, td { padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; border-top: 0; }
th:first-child, td:first-child { width: 30%; }
ins { color: var(--new); text-decoration: none; } del { color: var(--old); }
@media print { article { content-visibility: visible; } }
"""


_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_POLICY: Final = f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'"


def render(plan: Plan, outcomes: Sequence[Outcome] | None = None, *, command: str = "") -> Iterator[str]:
    """The page, piece by piece. `command`: what `--accept` is appended to."""
    what = say.title(plan, outcomes).capitalize()
    yield (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{what}: {text(plan.job)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    )
    yield from _header(plan, outcomes, what)
    yield "<main>\n"
    yield from _refusals(plan, outcomes, command)
    yield from (f'<p class="note">{text(caution)}</p>\n' for caution in plan.cautions)
    yield from _summary(plan)
    yield from _kinds(plan)
    yield from _problems(plan)
    yield from _changes(plan, outcomes)
    yield from _strays(plan, outcomes)
    yield "</main>\n</body>\n</html>\n"


def text(value: str) -> str:
    """The text as text, in an element as well as in an attribute."""
    return escape(visible(value), quote=True)


def value(shown: str) -> str:
    """A value in a fixed pitch; `bdi` keeps one that is written right to left from reordering what surrounds it."""
    return f"<bdi><code>{text(shown)}</code></bdi>"


def _user(plan: Plan, name: str) -> str:
    """A user by name, with the name of the person where it was read."""
    said = plan.people.get(name)
    return value(name) if said is None or said == name else f"{value(name)} <bdi>{text(said)}</bdi>"


def _header(plan: Plan, outcomes: Sequence[Outcome] | None, what: str) -> Iterator[str]:
    bad = (
        bool(plan.refusals) if outcomes is None else any(o.result in (Result.CONFLICT, Result.FAILED) for o in outcomes)
    )
    yield f"<header>\n<h1>{what}</h1>\n"
    yield f'<p class="headline{" bad" if bad else ""}">{text(say.headline(plan, outcomes))}</p>\n'
    facts = {"Job": plan.job, "Plan": plan.id, "Created": plan.created, "Digest": plan.digest} | {
        place.capitalize(): what for place, what in plan.about
    }
    yield (
        "<dl>"
        + "".join(f"<div><dt>{name}</dt><dd>{value(fact)}</dd></div>" for name, fact in facts.items())
        + "</dl>\n"
    )
    yield "</header>\n"


def _refusals(plan: Plan, outcomes: Sequence[Outcome] | None, command: str) -> Iterator[str]:
    if not plan.refusals:
        return
    yield f'<section class="refused">\n<h2>Refused{"" if outcomes is None else ", then accepted"}</h2>\n'
    rows = ([text(r.limit), say.figures(r), text(r.why), _first(say.concerned(plan, r))] for r in plan.refusals)
    yield from _table(("Limit", "Users", "Reason", "Affected users"), rows)
    if outcomes is None:
        accept = value(say.accepting(plan, command))
        yield f"<p>Blocked. To apply anyway, run: {accept}</p>\n"
    yield "</section>\n"


def _first(names: Sequence[str]) -> str:
    more = [f"… and {len(names) - say.EXAMPLES:,} more"] if len(names) > say.EXAMPLES else []
    return "<br>".join([*map(value, names[: say.EXAMPLES]), *more])


def _strays(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    found = say.strays(plan, outcomes)
    if found:
        yield f"<section>\n<h2>Not in this plan ({len(found):,})</h2>\n"
        yield from _table(
            ("User", "Outcome"), ([value(each.user.name), text(say.outcome_text(each))] for each in found)
        )
        yield "</section>\n"


def _summary(plan: Plan) -> Iterator[str]:
    for title, names in (("Agents", ("agents", *say.AGENT_COUNTS)), ("Users", say.USER_COUNTS)):
        yield f'<section>\n<h2>{title}</h2>\n<ul class="cards">\n'
        for name in names:
            number = getattr(plan.summary, name)
            kind = "" if number else ' class="zero"'
            yield f"<li{kind}><b>{number:,}</b><span>{name}</span><small>{say.COUNTS[name]}</small></li>\n"
        yield "</ul>\n</section>\n"


def _kinds(plan: Plan) -> Iterator[str]:
    if plan.worth_a_look:
        yield f"<section>\n<h2>Worth a look ({len(plan.worth_a_look):,})</h2>\n"
        yield from _table(
            ("User", "Why"), ([_user(plan, look.user.name), text(look.why)] for look in plan.worth_a_look)
        )
        yield "</section>\n"
    if plan.kinds:
        yield f"<section>\n<h2>Kinds of changes ({len(plan.kinds):,})</h2>\n"
        rows = (
            [
                f"{kind.users:,}",
                text(kind.form),
                text(kind.sentence),
                "<br>".join(_user(plan, name) for name in kind.examples),
            ]
            for kind in plan.kinds
        )
        yield from _table(("Users", "Kind", "What", "Examples"), rows)
        yield "</section>\n"


def _problems(plan: Plan) -> Iterator[str]:
    if not plan.problems:
        return
    yield f"<section>\n<h2>Problems ({len(plan.problems):,})</h2>\n"
    for kind, problems in problem_kinds.grouped(plan.problems).items():
        yield f"<h3>{text(kind)} ({len(problems):,})</h3>\n<p>{text(problem_kinds.explain(kind))}</p>\n"
        yield from _table(("About", "Users", "Why"), (_problem(plan, problem) for problem in problems))
    yield "</section>\n"


def _problem(plan: Plan, problem: Problem) -> list[str]:
    nearby = "".join(f"<br>almost: {_user(plan, near.user)} ({value(say.almost(near))})" for near in problem.near)
    nearby += "".join(f"<br>{say.OUTSIDE}: {_user(plan, user)}" for user in problem.outside)
    return [
        text(say.subject(problem)),
        "<br>".join(_user(plan, name) for name in problem.users),
        text(problem.why) + nearby,
    ]


def _changes(plan: Plan, outcomes: Sequence[Outcome] | None) -> Iterator[str]:
    if not plan.changes:
        return
    yield f"<section>\n<h2>Changes ({len(plan.changes):,})</h2>\n"
    results = say.by_user(outcomes)
    for change in plan.changes:
        yield from _change(plan, change, results.get(change.user.id))
    yield "</section>\n"


def _change(plan: Plan, change: Change, outcome: Outcome | None) -> Iterator[str]:
    """One user: a small table of its own, so that a browser can lay out thousands of them one at a time."""
    reason = ", ".join(part for part in (say.who(change.agent), say.by_rule(change.rule)) if part)
    yield f"<article>\n<h3>{_user(plan, change.user.name)}</h3>\n<p>{text(reason)}</p>\n"
    if outcome is not None:
        yield f'<p class="{outcome.result.value}">{text(say.outcome_text(outcome))}</p>\n'
    yield from _table(("Attribute", "Old", "New"), map(_attribute, change.attributes))
    yield "</article>\n"


def _attribute(each: AttributeChange) -> list[str]:
    change = say.sides(each)
    old, new = ("<br>".join(map(value, values)) for values in (change.old, change.new))
    none = "" if change.kept else say.NONE
    return [
        text(each.name),
        f"<del>{old}</del>" if old else "" if each.secret else none,
        f"<ins>{new}</ins>" if new else none,
    ]


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield (
        "<table>\n<thead><tr>"
        + "".join(f'<th scope="col">{column}</th>' for column in columns)
        + "</tr></thead>\n<tbody>\n"
    )
    for row in rows:
        yield "<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n"
    yield "</tbody>\n</table>\n"
