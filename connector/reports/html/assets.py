"""The page's own style sheet and script.

The style is for a screen, light and dark, and for paper. Paper shows every row, also those
that a filter hides: whoever signs it signs the whole plan.

The script does copy, search, filter and sort. It asks nothing of anybody, and the page reads
without it. It looks at the rows only when somebody searches, filters or sorts: until then it
costs nothing, however many there are.
"""

from __future__ import annotations

import re
from typing import Final

SCRIPT: Final = """
(() => {
"use strict";
const the = id => document.getElementById(id);
const copy = the("copy"), digest = the("digest");
copy.hidden = false;
copy.addEventListener("click", async () => {
  let done = true;
  try { await navigator.clipboard.writeText(digest.textContent); }
  catch { getSelection().selectAllChildren(digest); done = document.execCommand("copy"); }
  the("copied").textContent = done ? "Copied." : "Selected. Copy it with the keyboard.";
});
const tools = the("tools");
if (!tools) return;
tools.hidden = false;
const changes = the("changes"), problems = the("problems");
const filters = ["kind", "attribute", "rule", "problem"].map(the);
const search = the("search"), sort = the("sort"), shown = the("shown");
const listed = parent => parent ? [...parent.querySelectorAll("tbody")].flatMap(body => [...body.rows].map(row => (
  {row, body, chosen: {...body.dataset, ...row.dataset}, text: row.textContent.toLowerCase()}))) : [];
let known = null;
const all = () => known ??= {users: listed(changes), others: listed(problems)};
const chosen = (each, by) => by.every(filter =>
  !filter.value || (each.chosen[filter.id] || "").split(" ").includes(filter.value));
const lay = parent => {
  if (!parent) return;
  const sorted = sort.value !== "0";
  let first = true, shows = false;
  for (const group of parent.querySelectorAll(".group")) {
    if (!sorted || parent !== changes) first = true;
    let some = false;
    for (const part of group.querySelectorAll(".part")) {
      const any = part.querySelector("tbody tr:not(.out)") !== null;
      part.classList.toggle("out", !any);
      part.classList.toggle("first", any && first);
      first &&= !any;
      some ||= any;
    }
    group.classList.toggle("out", !some);
    shows ||= some;
  }
  parent.classList.toggle("out", !shows);
};
const show = () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const pick = (rows, by) => {
    let count = 0;
    for (const each of rows) {
      const some = chosen(each, by) && words.every(word => each.text.includes(word));
      each.row.classList.toggle("out", !some);
      count += some;
    }
    return count;
  };
  const {users, others} = all(), count = pick(users, filters);
  pick(others, filters.filter(each => each.id === "problem"));
  lay(changes);
  lay(problems);
  shown.textContent = `${count.toLocaleString("en")} of ${users.length.toLocaleString("en")} users`;
};
const arrange = () => {
  const column = Number(sort.value), compare = new Intl.Collator("en", {numeric: true}).compare;
  const {users} = all();
  const keyed = users.map((each, place) => [column ? each.row.cells[column].textContent : "", place, each.row]);
  if (column) keyed.sort((a, b) => compare(a[0], b[0]) || a[1] - b[1]);
  const sizes = new Map();
  for (const {body} of users) sizes.set(body, (sizes.get(body) || 0) + 1);
  let from = 0;
  for (const [body, size] of sizes) {
    body.replaceChildren(...keyed.slice(from, from + size).map(each => each[2]));
    from += size;
  }
  changes.classList.toggle("sorted", column > 0);
  lay(changes);
};
const reset = () => {
  search.value = "";
  for (const each of filters) each.value = "";
  show();
};
const open = kind => {
  if (sort.value !== "0") { sort.value = "0"; arrange(); }
  reset();
  the("kind").value = kind;
  show();
};
const follow = () => {
  const target = location.hash && the(location.hash.slice(1));
  if (!target || !target.closest(".out")) return;
  reset();
  target.scrollIntoView();
};
let soon = 0;
search.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(show, 120); });
for (const each of filters) each.addEventListener("change", show);
sort.addEventListener("change", arrange);
the("reset").addEventListener("click", reset);
for (const link of document.querySelectorAll(".kind a[href^='#r']"))
  link.addEventListener("click", () => open(String(link.hash.slice(2) - 1)));
addEventListener("hashchange", follow);
if (sort.value !== "0") arrange();
if (search.value || filters.some(each => each.value)) show();
})();
"""
STYLE: Final = """
:root { scroll-padding-top: 9rem; }
:root { color-scheme: light dark; --ink: #1c2430; --soft: #566070; --line: #d8dee6; --page: #ffffff; --card: #f5f7fa;
  --bad: #a3161f; --bad-page: #fdf0f0; --old: #8a2430; --new: #14613a; --note: #fff8e1; --link: #0b4fa8;
  --held: #8a5a00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #a0abba; --line: #364152; --page: #151a21;
  --card: #1e252f; --bad: #ff9a9a; --bad-page: #331a1d; --old: #f2a0a8; --new: #86d9ad; --note: #332c14;
  --link: #8fbcff; --held: #e3b341; } }
* { box-sizing: border-box; }
[hidden] { display: none !important; }
body { margin: 0 auto; max-width: 90rem; padding: 2rem 1.5rem; background: var(--page); color: var(--ink);
  font: 16px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 .5rem; font-size: 1.7rem; }
h2 { margin: 2.2rem 0 .6rem; font-size: 1.25rem; border-bottom: 1px solid var(--line); }
h3 { margin: 1.2rem 0 .2rem; font-size: 1rem; overflow-wrap: anywhere; }
p { margin: .2rem 0 .6rem; }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
code { font: .9em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
dl { margin: 0; } dl div { display: flex; gap: 1rem; } dt { flex: 0 0 6rem; color: var(--soft); } dd { margin: 0; }
button, input, select { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--soft);
  border-radius: .3rem; padding: .2rem .5rem; max-width: 100%; }
.headline { font-size: 1.15rem; font-weight: 600; }
.effects { margin: .2rem 0 .6rem; padding-left: 1.2rem; overflow-wrap: anywhere; }
.bar { display: block; width: 100%; height: 1.4rem; }
.bar rect { fill: var(--part); stroke: var(--page); stroke-width: 2px; vector-effect: non-scaling-stroke; }
.legend { display: flex; flex-wrap: wrap; gap: 0 1.2rem; margin: .2rem 0; padding: 0; list-style: none; }
.legend li::before { content: "\\25a0" / ""; margin-right: .3rem; color: var(--part); }
.in, .written { --part: var(--new); } .to { --part: var(--link); }
.held { --part: var(--held); } .not { --part: var(--bad); }
details { margin-top: 2.2rem; } summary { overflow-wrap: anywhere; cursor: pointer; }
.bad, .conflict, .failed { color: var(--bad); font-weight: 600; }
p.written, p.unchanged { color: var(--new); }
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
.kind { padding: .4rem 0 .6rem; }
.kind + .kind { border-top: 1px solid var(--line); }
.kind h3 { margin-top: .2rem; }
.tools { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin-top: 2rem;
  padding: .6rem .8rem; background: var(--card); border: 1px solid var(--line); border-radius: .4rem; }
.tools label { display: flex; flex-direction: column; max-width: 14rem; font-size: .85rem; }
.tools button, .tools output { align-self: end; }
.chunk { content-visibility: auto; contain-intrinsic-size: auto 8000px; }
.rows .chunk { contain-intrinsic-size: auto 20000px; }
table { width: 100%; border-collapse: collapse; table-layout: fixed; }
th, td { padding: .3rem .6rem .3rem 0; text-align: left; vertical-align: top; border-top: 1px solid var(--line);
  overflow-wrap: anywhere; }
th { color: var(--soft); font-weight: 600; font-size: .85rem; border-top: 0; }
th:first-child:nth-last-child(2) { width: 38%; }
.refused th:nth-child(1), .refused th:nth-child(2) { width: 13%; } .refused th:nth-child(3) { width: 30%; }
#problems th:nth-child(1) { width: 30%; } #problems th:nth-child(2) { width: 28%; }
.rows th:nth-child(1) { width: 4rem; } .rows th:nth-child(2) { width: 28%; } .rows th:nth-child(3) { width: 15%; }
.rows th:nth-child(4) { width: 6rem; }
.looks th:nth-child(1) { width: 4rem; } .looks th:nth-child(2) { width: 28%; } .looks th:nth-child(3) { width: 28%; }
.part:not(.first) th { padding: 0; font-size: 0; line-height: 0; }
tr:target { background: var(--note); }
.numbers td:not(:first-child), .numbers th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums; }
.numbers { max-width: 50rem; }
td b { font-weight: 600; }
:is(.rows, .looks) td:last-child { font: .85em/1.5 ui-monospace, monospace; white-space: pre-wrap; }
.same { color: var(--soft); font-style: normal; }
.sorted h3, .sorted .lead { display: none; }
ins { color: var(--new); text-decoration: none; } del { color: var(--old); text-decoration: none; }
.paper { display: none; }
@media screen { .out { display: none; } }
@media screen and (max-width: 50rem) {
  :root { scroll-padding-top: 0; } body { padding: 1rem .8rem; }
  dl div { display: block; margin-bottom: .3rem; }
  .tools { position: static; }
  .part:not(.numbers *) :is(thead, th) { display: none; }
  .part:not(.numbers *) :is(table, tbody, tr, td) { display: block; }
  .part:not(.numbers *) tr { padding: .4rem 0; border-top: 1px solid var(--line); }
  .part:not(.numbers *) td { padding: .1rem 0; border: 0; }
  :is(.rows, .looks) td:first-child { float: left; margin-right: .8rem; }
  .numbers th:first-child { width: 40%; }
}
@media print {
  :root { --ink: #000; --soft: #444; --line: #999; --page: #fff; --card: #fff; --bad: #a3161f; --bad-page: #fff;
    --old: #6d1c26; --new: #0e4a2c; --note: #fff; --link: #000; color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 8pt; line-height: 1.25; }
  a { text-decoration: none; }
  h1 { font-size: 13pt; } h2 { margin: 8pt 0 2pt; font-size: 10pt; } h3 { margin: 4pt 0 1pt; font-size: 8pt; }
  h1, h2, h3, caption, .lead { break-after: avoid; }
  p { margin: 1pt 0 2pt; }
  .headline { font-size: 10pt; }
  .tools, button, details, .screen { display: none; }
  .chunk { content-visibility: visible; }
  .cards { display: block; } .cards li { display: inline; padding: 0 8pt 0 0; border: 0; }
  .cards b, .cards small { display: inline; font-size: inherit; } .cards small { display: none; }
  .kind, .refused, .note { padding: 1pt 0; margin-top: 3pt; break-inside: avoid; } .refused { padding: 2pt 4pt; }
  th, td { padding: .6pt 4pt .6pt 0; border-top: .3pt solid var(--line); } th { font-size: inherit; }
  tr { break-inside: avoid; }
  table { font-size: 7pt; line-height: 1.15; } .rows, .rows table { font-size: 6.2pt; line-height: 1.08; }
  .rows code, .rows ins, .rows del { font: inherit; }
  .rows thead { display: none; } .rows table, .rows tbody { display: block; }
  .rows tr { display: block; padding: .2pt 0; border-top: .3pt solid var(--line); }
  .rows td { display: inline; padding: 0; border: 0; } .rows td:not(:last-child)::after { content: " \\b7  "; }
  .rows td:last-child { font: inherit; white-space: normal; } .rows td p { display: inline; }
  .rows td p::before { content: " \\b7  "; }
  .rows:not(.sorted) .same { display: none; }
  .paper { display: block; }
  .sign { display: block; margin-top: 14pt; break-inside: avoid; }
  .sign td { height: 30pt; border: .5pt solid #000; padding: 2pt; }
  .sign th { border: .5pt solid #000; padding: 2pt; }
}
@page { margin: 8mm 9mm 10mm; @bottom-right { content: "Page " counter(page) " of " counter(pages);
  font: 7pt sans-serif; } }
"""


def page_foot_style(digest: str) -> str:
    """The style that puts the plan's digest on every page of paper."""
    safe = re.sub(r"[^0-9a-z:]", "", digest)
    return f'@page {{ @bottom-left {{ content: "{safe}"; font: 7pt monospace; white-space: nowrap; width: 85%; }} }}\n'
