"""The script of the page: copy, search, filter and sort. It asks nothing of anybody, and the page reads without it.

It looks at the rows only when somebody searches, filters or sorts: until then it costs
nothing, however many there are.
"""

from __future__ import annotations

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
  const sorted = sort.value !== "0";
  let first = true;
  for (const group of parent ? parent.querySelectorAll(".group") : []) {
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
  }
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
