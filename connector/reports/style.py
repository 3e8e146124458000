"""The style sheet of the HTML report: readable on a screen, in the dark, and on paper."""

from __future__ import annotations

from typing import Final

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
