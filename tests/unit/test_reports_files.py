"""The reports for programs and people: CSV, Markdown, HTML and LDIF, each read back by a reader that is not ours."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser

from hypothesis import given, strategies as st
from markdown_it import MarkdownIt
from msgspec.structs import replace

from connector.model import AgentRef, AttributeChange, Change, Outcome, Plan, Result, Secret
from connector.model.digests import keep_octets
from connector.reports import find_renderer, html, ldif, markdown
from connector.reports.csv import COLUMNS, disarm_cell
from connector.reports.visible import make_visible
from connector.reports.wording import show_value
from tests.support.report_samples import HOSTILE, changes, drawn, hostile, many, outcomes, plans, sample, text, user

CONFLICT = "conflict: employeeNumber changed since the plan. not as planned: SIPIdentityPassword, description"


def rendered(suffix: str, plan: Plan, *, applied: bool = False) -> str:
    return "".join(find_renderer(suffix)(plan, outcomes() if applied else None))


# ---------------------------------------------------------------- CSV


def rows(plan: Plan, *, applied: bool = False) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rendered(".csv", plan, applied=applied), newline=""), strict=True))


def evaluated(cell: str) -> bool:
    """Whether some spreadsheet may take the cell for a formula, after what some importers strip from its start."""
    start = unicodedata.normalize("NFKC", cell.lstrip(' "\u2018\u2019\u201c\u201d\uff02')[:1])
    return start in {"=", "+", "-", "@", "\t", "\r", "\n"}


def test_there_is_a_row_for_every_changed_attribute_and_every_problem() -> None:
    found = rows(sample(), applied=True)
    assert tuple(found[0]) == COLUMNS
    assert [row["kind"] for row in found] == [
        "refused: clear",
        "note",
        "kind: taken over from another user",
        "kind: emptied",
        "kind: replaces ours",
        "worth a look",
        *["change"] * 6,
        "problem: invalid",
        "problem: ambiguous",
        "problem: tenant",
        "problem: unmatched",
        "problem: brand-new-kind",
    ]
    assert (found[4]["users"], found[4]["rule"], found[4]["user"]) == ("1", "pin", user(2).name)
    assert found[5]["why"] == "employeeNumber 1002 taken over from agent2"
    found = found[4:]
    number = found[3]
    assert number["form"] == "taken over from another user"
    assert number["user"] == "uid=agent1,ou=people,dc=example,dc=org"
    assert (number["attribute"], number["old"], number["new"]) == ("employeeNumber", "1001", "1002")
    assert (number["agent_account_code"], number["agent_work_no"], number["rule"]) == ("agent1", "1001", "1")
    assert number["outcome"].startswith(CONFLICT)
    assert (found[4]["old"], found[4]["new"]) == ("", "(secret) set")
    assert found[2]["new"] == "cecAgent | SIPIdentity"
    assert found[8]["why"] == "record 7: workNo is a text"


def test_lines_end_as_rfc_4180_says() -> None:
    result = rendered(".csv", sample())
    assert result.endswith("\r\n")
    assert "\n" not in result.replace("\r\n", "")


@given(text)
def test_no_cell_becomes_a_formula(value: str) -> None:
    for cell in (
        disarm_cell(value),
        disarm_cell("=" + value),
        disarm_cell(" " + value),
        disarm_cell('"-' + value),
        disarm_cell("\t@" + value),
    ):
        assert not evaluated(cell)


def test_what_is_no_formula_stays_as_it_is() -> None:
    for value in ("1001", "uid=a,dc=example,dc=org", "sip:1@192.0.2.1", "a-b", "(none)"):
        assert disarm_cell(value) == value


def test_the_well_known_formulas_are_inert() -> None:
    for value in (
        "=1+1",
        "+1",
        "-1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        " =1",
        '"=1',
        "\uff1d1",
        "\uff0b1",
        "\uff0d1",
        "\uff201",
    ):
        assert disarm_cell(value)[:1] in {"'", "<"}, value


@given(plans)
def test_a_spreadsheet_reads_every_plan_without_a_formula(plan: Plan) -> None:
    for row in rows(plan):
        assert set(row) == set(COLUMNS)
        assert not any(evaluated(cell) for cell in row.values())


# ---------------------------------------------------------------- Markdown


def tokens(source: str) -> list[tuple[str, str]]:
    """What a CommonMark reader with GFM's tables makes of it: kinds and contents, those of inlines included."""
    found = []
    for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(source):
        found.append((token.type, token.content))
        found += [(child.type, child.content) for child in token.children or ()]
    return found


def is_tame(source: str) -> None:
    found = tokens(source)
    kinds = {kind for kind, _ in found}
    assert not kinds & {
        "html_block",
        "html_inline",
        "image",
        "link_open",
        "bullet_list_open",
        "ordered_list_open",
        "fence",
    }
    width = 0
    for kind, content in found:
        if kind == "text":
            assert not re.search(r"[@#<`]|://|www\.|GH-", content), content
        width = width + 1 if kind == "td_open" else width
        if kind == "tr_close":
            assert width in (0, 2, 3, 4, 6, 7)
            width = 0


def test_hostile_data_is_neither_markup_nor_a_link_nor_a_mention() -> None:
    is_tame(rendered(".md", hostile()))
    is_tame(rendered(".md", hostile(), applied=True))


@given(plans)
def test_any_plan_makes_tame_markdown(plan: Plan) -> None:
    is_tame(rendered(".md", plan))


@given(text.filter(bool))
def test_a_code_span_in_a_table_says_the_value_and_nothing_else(value: str) -> None:
    cells = [
        token for token in tokens(f"| a |\n| --- |\n| {markdown.code_span(value)} |\n") if token[0] == "code_inline"
    ]
    assert [content for _, content in cells] == [make_visible(value).replace("\\|", "\\<U+007C>")]


def test_a_sentence_stays_a_sentence() -> None:
    assert (
        markdown.escape_prose("2 users hold it, uid=a and @b: see (here).")
        == "2 users hold it, `uid=a` and `@b`: see (here)."
    )
    assert markdown.escape_prose("GH-1 # *x* 1. a_b_") == "`GH-1 # *x* 1. a_b_`"


def test_a_reviewer_finds_changes_problems_and_refusals_in_the_ticket() -> None:
    result = rendered(".md", sample())
    assert "| `employeeNumber` | `1001` | `1002` |" in result
    assert "| `SIPIdentityPassword` |  | `(secret) set` |" in result
    assert "## Refused" in result
    assert "## Problems: ambiguous (1)" in result
    said = rendered(".md", sample(), applied=True).replace("`", "")
    assert CONFLICT in said


# ---------------------------------------------------------------- HTML


class Page(HTMLParser):
    """Collects elements with their attributes, and the text."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "input", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


OURS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "section", "article", "h1", "h2", "h3", "p"),
    *("dl", "div", "dt", "dd", "ul", "li", "b", "span", "small", "table", "thead", "tbody", "tr", "th", "td"),
    *("bdi", "code", "ins", "del", "br", "wbr", "a", "i", "script", "svg", "rect", "details", "summary"),
    *("button", "input", "label", "option", "output", "select"),
}
NAMES = {
    *("lang", "charset", "http-equiv", "content", "name", "class", "scope", "id", "href", "hidden", "type", "value"),
    *("role", "aria-label", "autocomplete", "data-kind", "data-attribute", "data-rule", "data-problem"),
    *("viewbox", "preserveaspectratio", "x", "width", "height"),
}


def is_inert(source: str) -> Page:
    page = Page(source)
    assert page.open == []
    assert {tag for tag, _ in page.elements} <= OURS
    names = {name for _, attributes in page.elements for name in attributes}
    assert names <= NAMES
    assert all(
        re.fullmatch(r"#(next|[ukr]\d+)", attributes["href"] or "") for tag, attributes in page.elements if tag == "a"
    )
    assert [attributes for tag, attributes in page.elements if tag == "script"] == [{}]
    return page


def test_hostile_data_is_text_on_the_page() -> None:
    page = is_inert(rendered(".html", hostile(), applied=True))
    words = "".join(page.words)
    for value in HOSTILE:
        assert make_visible(value) in words


@given(plans)
def test_any_plan_makes_an_inert_page(plan: Plan) -> None:
    is_inert(rendered(".html", plan))


def test_the_page_fetches_nothing_and_its_policy_allows_its_own_styles_and_its_script_alone() -> None:
    result = rendered(".html", sample())
    assert not re.search(r"(?i)https?://|url\(|@import| style=| on[a-z]+=| src=|fetch\(|XMLHttp|WebSocket", result)
    policy = next(a["content"] for _, a in Page(result).elements if a.get("http-equiv") == "Content-Security-Policy")

    def hashes(tag: str) -> str:
        found = re.findall(f"<{tag}>(.*?)</{tag}>", result, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in found)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    assert policy == (
        f"default-src 'none'; style-src {hashes('style')}; script-src {hashes('script')}; "
        "base-uri 'none'; form-action 'none'"
    )


def test_every_page_of_paper_has_the_digest() -> None:
    assert f'@bottom-left {{ content: "{sample().digest}"' in rendered(".html", sample())
    odd = replace(sample(), digest='"} * { display: none } </style>')
    assert '@bottom-left { content: "display:nonestyle"' in rendered(".html", odd)


def test_one_row_a_user_links_to_its_kind_and_says_what_can_be_filtered() -> None:
    page = rendered(".html", sample(), applied=True)
    rows = re.findall(r'<tr id="u(\d)"[^>]*>', page)
    assert rows == ["1", "2", "3"]
    assert page.index("Conflicts and failures (1)") < page.index("Refused, then accepted")
    assert re.findall(r'href="#r(\d)">(Show [^<]+)<', page) == [(f"{n}", f"Show 1 user of kind {n}") for n in (1, 2, 3)]
    assert re.findall(r'id="r(\d)">\n<h3>.*\n<div class="part first">', page) == ["1", "2", "3"]
    assert '<a href="#u2"><code>uid=agent3' in page


def test_conflicts_and_failures_come_first_after_an_apply() -> None:
    plan, page = many(4), ""
    results = [Result.WRITTEN, Result.FAILED, Result.CONFLICT, Result.UNCHANGED]
    page = "".join(html.render(plan, [Outcome(user(number), each) for number, each in enumerate(results, 1)]))
    assert page.index("Conflicts and failures (2)") < page.index("Kinds of changes (1)")
    assert re.findall(r'<tr id="u\d".*?uid=agent(\d)', page) == ["3", "2", "1", "4"]
    linked = page[: page.index("Kinds of changes (1)")]
    assert re.findall(r'<a href="#u(\d)">.*?uid=agent(\d)', linked) == [("1", "3"), ("2", "2")]


def test_of_object_classes_the_page_shows_those_that_come() -> None:
    assert "<td>objectClass + cecAgent | SIPIdentity;\n<b>employeeNumber</b> <del>" in rendered(".html", sample())


def test_a_reviewer_finds_changes_problems_and_refusals_on_the_page() -> None:
    words = [word for word in (word.strip() for word in Page(rendered(".html", sample(), applied=True)).words) if word]
    start = words.index("employeeNumber", words.index("Changes (3)"))
    assert words[start : start + 4] == ["employeeNumber", "1001", "→", "1002"]
    assert any("SIPIdentityPassword (secret) set" in word for word in words)
    assert "Refused, then accepted" in words
    assert "ambiguous (1)" in words
    assert any(word.startswith(CONFLICT) for word in words)


# ---------------------------------------------------------------- LDIF

Modification = tuple[str, str, list[bytes]]


def records(source: str) -> dict[bytes, list[Modification]]:
    """Change records by DN (RFC 2849): comments out, lines unfolded, values decoded."""
    unfolded = source.replace("\n ", "")
    found: dict[bytes, list[Modification]] = {}
    for block in unfolded.split("\n\n"):
        lines = [pair(line) for line in block.splitlines() if not line.startswith("#")]
        if not lines or lines == [("version", b"1")]:
            continue
        (first, dn), (second, kind), *rest = lines
        assert (first, second, kind) == ("dn", "changetype", b"modify")
        assert rest[-1] == ("-", b"")
        found[dn] = []
        while rest:
            end = rest.index(("-", b""))
            (verb, name), *given_values = rest[:end]
            assert {attribute for attribute, _ in given_values} == {name.decode()}
            found[dn].append((verb, name.decode(), [value for _, value in given_values]))
            rest = rest[end + 1 :]
    return found


def pair(line: str) -> tuple[str, bytes]:
    assert all(" " <= letter <= "~" for letter in line)
    name, _, rest = line.partition(":")
    return (
        (name, base64.b64decode(rest[1:].strip())) if rest.startswith(":") else (name, rest.removeprefix(" ").encode())
    )


def octets(values: Iterable[object]) -> list[bytes]:
    plain = [keep_octets(value) for value in values if isinstance(value, str | bytes)]
    return [value.encode() if isinstance(value, str) else value for value in plain]


def test_values_are_taken_out_and_put_in_one_by_one_and_classes_come_first() -> None:
    found = records(rendered(".ldif", sample()))
    assert found[b"uid=agent1,ou=people,dc=example,dc=org"] == [
        ("add", "objectClass", [b"cecAgent", b"SIPIdentity"]),
        ("delete", "employeeNumber", [b"1001"]),
        ("add", "employeeNumber", [b"1002"]),
    ]
    assert found[b"uid=agent3,ou=people,dc=example,dc=org"] == [
        ("delete", "SIPIdentitySIPURI", [b"sip:1@192.0.2.1", b"sip:2@192.0.2.1"]),
    ]


def test_a_class_is_taken_out_after_the_attributes_that_need_it() -> None:
    attributes = (AttributeChange("objectClass", ("cecAgent",), ()), AttributeChange("cecAccountCode", ("a",), ()))
    plan = replace(sample(), changes=(replace(sample().changes[0], attributes=attributes),))
    (modifications,) = records(rendered(".ldif", plan)).values()
    assert [name for _, name, _ in modifications] == ["cecAccountCode", "objectClass"]


def test_a_user_with_a_secret_alone_has_comments_and_no_record() -> None:
    secret = AttributeChange("SIPIdentityPassword", (), (Secret("x"),), secret=True)
    plan = replace(sample(), changes=(Change(user(1), None, None, (secret,)),))
    result = rendered(".ldif", plan)
    assert records(result) == {}
    assert "# SIPIdentityPassword: secret, set by apply, not in this file\n" in result


def test_the_header_says_what_the_file_is() -> None:
    header = rendered(".ldif", sample()).split("version: 1")[0]
    assert all(line.startswith("# ") for line in header.splitlines())
    for said in ("preview", "jobs/people.yaml", sample().digest, "REFUSED: too many users to empty"):
        assert said in header


def test_what_is_no_ldap_entry_or_attribute_is_a_comment() -> None:
    change = Change(user(1, "someone"), None, None, (AttributeChange("mail", (), ("a@example.org",)),))
    path = replace(sample().changes[1], attributes=(AttributeChange('emails[type eq "work"].value', (), ("a",)),))
    result = rendered(".ldif", replace(sample(), changes=(change, path)))
    assert records(result) == {}
    assert "# not an entry of an LDAP directory" in result
    assert '# emails[type eq "work"].value: not an LDAP attribute' in result


@given(st.lists(changes, max_size=3, unique_by=lambda change: change.user.name))
def test_applying_the_file_leaves_each_entry_with_the_new_values(given_changes: list[Change]) -> None:
    named = [
        replace(
            change,
            user=user(number, f"cn={change.user.name}"),
            attributes=tuple(replace(each, name=f"a{place}") for place, each in enumerate(change.attributes)),
        )
        for number, change in enumerate(given_changes)
    ]
    plan = drawn(replace(sample(), changes=tuple(named)))
    found = records(rendered(".ldif", plan))
    for change in named:
        modifications = found.pop(octets([change.user.name])[0], [])
        for each in change.attributes:
            if each.secret:
                continue
            held = [(type(value), value) for value in each.old]
            expected = {(type(value), value) for value in each.new}
            gone = sorted(octets(value for kind, value in held if (kind, value) not in expected))
            come = sorted(octets(value for value in each.new if (type(value), value) not in held))
            assert (
                sorted(v for verb, name, vs in modifications if (verb, name) == ("delete", each.name) for v in vs)
                == gone
            )
            assert (
                sorted(v for verb, name, vs in modifications if (verb, name) == ("add", each.name) for v in vs) == come
            )
    assert found == {}


def test_a_value_is_freed_before_it_is_given_and_a_ring_is_no_obstacle() -> None:
    def change(number: int, *after: int) -> Change:
        attributes = (AttributeChange("employeeNumber", ("1",), ("2",)),)
        return Change(user(number), AgentRef(number), 1, attributes, after=frozenset(user(each).id for each in after))

    def order(*given_changes: Change) -> list[int]:
        return [change.agent.work_no or 0 for change in ldif.in_order(given_changes) if change.agent]

    assert order(change(1, 2), change(2, 3), change(3), change(4)) == [3, 2, 1, 4]
    assert order(change(1), change(2, 1)) == [1, 2]
    assert order(change(1, 9), change(2)) == [1, 2]
    assert sorted(order(change(1, 2), change(2, 3), change(3, 1))) == [1, 2, 3]
    assert order(*(change(number, number + 1) for number in range(3000))) == list(range(2999, -1, -1))


def test_octets_that_are_no_text_are_shown_as_what_they_are() -> None:
    change = replace(sample().changes[1], attributes=(AttributeChange("photo", (), (b"\xff\xfe",)),))
    plan = replace(sample(), changes=(change,))
    assert records(rendered(".ldif", plan)) == {change.user.name.encode(): [("add", "photo", [b"\xff\xfe"])]}
    assert show_value(b"\xff\xfe") in rendered(".csv", plan)
