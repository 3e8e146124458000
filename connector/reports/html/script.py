"""The script of the page: copy, search, filter and sort. It asks nothing of anybody, and the page reads without it."""

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
const rows = [...document.querySelectorAll("#changes tbody tr")];
const bodies = [...document.querySelectorAll("#changes tbody")];
const problems = [...document.querySelectorAll("#problems tbody tr")];
const filters = ["kind", "attribute", "rule", "problem"].map(the).filter(Boolean);
const search = the("search"), sort = the("sort"), shown = the("shown");
const order = new Map(rows.map((row, place) => [row, place]));
const said = new Map();
const text = row => {
  if (!said.has(row)) said.set(row, row.textContent.toLowerCase());
  return said.get(row);
};
const has = (row, filter) => !filter.value || (row.dataset[filter.id] || "").split(" ").includes(filter.value);
const chunks = selector => {
  let first = true;
  for (const chunk of document.querySelectorAll(selector)) {
    const some = chunk.querySelector("tbody tr:not(.out)") !== null;
    chunk.classList.toggle("out", !some);
    chunk.classList.toggle("first", some && first);
    first &&= !some;
  }
};
const show = () => {
  const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
  const found = (row, by) => by.every(each => has(row, each)) && words.every(word => text(row).includes(word));
  let count = 0;
  for (const row of rows) {
    const some = found(row, filters);
    row.classList.toggle("out", !some);
    count += some;
  }
  const of = filters.filter(each => each.id === "problem");
  for (const row of problems) row.classList.toggle("out", !found(row, of));
  chunks("#changes .chunk");
  for (const group of document.querySelectorAll("#problems .group"))
    group.classList.toggle("out", group.querySelector("tbody tr:not(.out)") === null);
  shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} users`;
};
const arrange = () => {
  const column = Number(sort.value), compare = new Intl.Collator("en", {numeric: true}).compare;
  const keyed = rows.map(row => [column ? row.cells[column].textContent : "", order.get(row), row]);
  keyed.sort((a, b) => compare(a[0], b[0]) || a[1] - b[1]);
  const size = Math.max(...bodies.map(body => body.rows.length));
  bodies.forEach((body, place) => {
    body.replaceChildren(...keyed.slice(place * size, (place + 1) * size).map(each => each[2]));
  });
  chunks("#changes .chunk");
};
const reset = () => {
  search.value = "";
  for (const each of filters) each.value = "";
  show();
};
const follow = () => {
  const target = location.hash && the(location.hash.slice(1));
  if (!target || !target.classList.contains("out")) return;
  reset();
  target.scrollIntoView();
};
let soon = 0;
search.addEventListener("input", () => { clearTimeout(soon); soon = setTimeout(show, 120); });
for (const each of filters) each.addEventListener("change", show);
sort.addEventListener("change", arrange);
the("reset").addEventListener("click", reset);
addEventListener("hashchange", follow);
shown.textContent = `${rows.length.toLocaleString("en")} users`;
if (search.value || sort.value !== "0" || filters.some(each => each.value)) { arrange(); show(); }
})();
"""
