"""YAML files: every fault has its line, and nothing that is in the file is repeated by accident."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from connector.errors import FileError
from connector.settings import textfile
from connector.settings.textfile import Document, Fault, join_faults, read_yaml

BRACES = "text follows a closing brace; put a text with braces in quotes"
ALIGN = "this line is indented unlike the keys above; align keys of one level"
ITEM = "a list item where a key belongs; indent it below its key, or remove the `- `"
SPACE = "a space is missing after the colon; write `key: value`"
COLON = "the colon after a key is missing; write `key: value`"
SECOND = "a second colon in one value; put the value in quotes"
QUOTES = "put the value in quotes"


def file(folder: Path, content: str | bytes) -> Path:
    path = folder / "some.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def faults(path: Path) -> str:
    """Everything that is wrong with a file, without its folder."""
    try:
        document = read_yaml(path)
    except FileError as fault:
        return str(fault).replace(f"{path.parent}/", "")
    return str(join_faults(path, list(document.faults))).replace(f"{path.parent}/", "") if document.faults else ""


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "some.yaml:1: the file is empty"),
        ("# nothing\n\n", "some.yaml:1: the file is empty"),
        ("# a\n- x\n", "some.yaml:2: must be keys and values, such as `key: value`"),
        ("just words", "some.yaml:1: must be keys and values, such as `key: value`"),
        ("# a\n---\n", "some.yaml:1: the file is empty"),
        ("a: 1\n---\nb: 2\n", "some.yaml:2: a second document begins here; use one file for each"),
        ("%YAML 1.1\n---\na: no\n", "some.yaml:1: this file is read as YAML 1.2; remove the %YAML line"),
        ("%YAML 1.9\n---\na: no\n", "some.yaml:1: this is not YAML 1.2"),
        ("a:\n\tb: 1\n", "some.yaml:2:1: a tab is used for indentation; use spaces"),
        ("a:\n  b: 1\n \tc: 1\n", "some.yaml:3:2: a tab is used for indentation; use spaces"),
        ("a: 1\nb: [1,\n", "some.yaml:3:1: a `[` or `{` above is not closed; close it"),
        ("a: [1\nb: 2\n", "some.yaml:2:2: a comma is missing, or the `[` of line 1 is not closed"),
        ("a: {b: 1\nc: 2\n", "some.yaml:2:2: a comma is missing, or the `{` of line 1 is not closed"),
        ("a: b: c\n", f"some.yaml:1:5: {SECOND}"),
        ("a:\n  b: x\n    c: y\n", f"some.yaml:3:1: {ALIGN}"),
        ("a:\n    b: x\n  c: y\n", f"some.yaml:3:3: {ALIGN}"),
        ("a:\n  b:x\n  c: y\n", f"some.yaml:2:1: {SPACE}"),
        ("a:\n  b: x\n  c:y\nd: z\n", f"some.yaml:3:3: {SPACE}"),
        ("a:\n  b x # c: y\n\n  # d\n  e: y\n", f"some.yaml:2:1: {COLON}"),
        ("a: 1\nb 2\nc: 3\n", f"some.yaml:2:1: {COLON}"),
        ('a: "x\nb: 1\n', "some.yaml:1:4: the quote that begins here is not closed; close it"),
        ('a:\n  b: "x\n  c: "y"\n', "some.yaml:2:1: a quote is not closed on this line; close it"),
        (
            "a: 'it's'\n",
            "some.yaml:1:8: text follows a closing quote; put the whole value in one pair of quotes",
        ),
        ("a:\n  b: 1\n  - c\n", f"some.yaml:3:3: {ITEM}"),
        (
            "a:\n  - b\n  c: 1\n",
            "some.yaml:3:3: a key where a list item belongs; begin it with `- `, or align it with its item's first key",
        ),
        ("a:\n  - b\n - c\n", "some.yaml:3:2: this list item is indented unlike those above; align them"),
        ("a: - b\n", "some.yaml:1:4: a list item cannot begin here; begin each `- ` on a line of its own"),
        ("a: 1\nb: @y\n", f"some.yaml:2:4: a value cannot begin with this character; {QUOTES}"),
        ("a: *\n", f"some.yaml:1:5: a value cannot begin with * or &; {QUOTES}"),
        ('a: "\\d"\n', "some.yaml:1:6: a backslash in double quotes begins an escape; use single quotes"),
        ("a: |x\n  b\n", "some.yaml:1:5: only a comment may follow | or >; begin the text on the next line"),
        ("a: 1\nb: {x}@y\n", f"some.yaml:2:7: {BRACES}"),
        ("a: 1\nb: 2\na: 3\n", "some.yaml:3:1: the key 'a' is there twice, first on line 1"),
        ("a: {b: 1,\n  b: 2}\n", "some.yaml:2:3: the key 'b' is there twice, first on line 1"),
        (
            "a: &x 1\nb: 2\n",
            "some.yaml:1:4: anchors are not supported; write the value out, or put the text in quotes",
        ),
        ("a: 1\nb: *x\n", "some.yaml:2:4: aliases are not supported; write the value out, or put the text in quotes"),
        ("a: !!int 5\n", "some.yaml:1:4: tags are not supported; put a text that begins with ! in quotes"),
        ("a: !x [1]\n", "some.yaml:1:4: tags are not supported; put a text that begins with ! in quotes"),
        ("? [a]\n: b\n", "some.yaml:1:3: a key must be a word or a quoted text"),
        ("a: 1\n: b\n", "some.yaml:2:1: a key must be a word or a quoted text"),
        ('a: "\\0"\n', "some.yaml:1:4: a control character, or half of a surrogate pair, in a text"),
        ('a: 1\n"\\ud800": 2\n', "some.yaml:2:1: a key must be a word or a quoted text"),
        ('a: 1\n"a\\nb": 2\n', "some.yaml:2:1: a key must be a word or a quoted text"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', "some.yaml:2: this is not YAML 1.2"),
        (b"a: 1\nb: \x01\n", "some.yaml:2: a character that YAML does not allow"),
        (b"a: 1\nb: \xff\n", "some.yaml:2: is not UTF-8 text"),
        ("a: 1\n".encode("utf-16"), "some.yaml:1: is not UTF-8 text"),
        (
            "a:\n" + "".join(" " * depth + "b:\n" for depth in range(1, 40)),
            "some.yaml:33: nested more than 32 levels deep",
        ),
        ("a: " + "[" * 5000, "some.yaml:1: nested more than 32 levels deep"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(tmp_path: Path, content: str | bytes, expected: str) -> None:
    assert faults(file(tmp_path, content)) == expected


def test_all_that_can_be_read_past_is_reported_at_once(tmp_path: Path) -> None:
    said = faults(file(tmp_path, "a: &x 1\na: 2\nb: !y z\nc: *x\nd: [\n"))
    assert [line.split(" ")[0] for line in said.splitlines()] == [
        f"some.yaml:{place}:" for place in ("1:4", "2:1", "3:4", "4:4", "6:1")
    ]


def test_a_bomb_of_aliases_does_not_go_off(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join(f'*a{level - 1}' for _ in range(10))}]\n" for level in range(1, 30)
    )
    said = faults(file(tmp_path, bomb)).splitlines()
    assert len(said) == textfile.MAX_FAULTS + 1
    assert said[-1].endswith("more")


def test_what_is_no_file_is_said(tmp_path: Path) -> None:
    assert faults(tmp_path / "none.yaml") == "none.yaml: there is no such file"
    (tmp_path / "folder.yaml").mkdir()
    assert faults(tmp_path / "folder.yaml") == "folder.yaml: cannot be read: Is a directory"
    assert "cannot be read" in faults(tmp_path / ("x" * 300))
    assert "this is no file name" in faults(tmp_path / "a\0b")


def test_a_file_may_be_as_large_as_the_bound_and_no_larger(tmp_path: Path) -> None:
    fill = b"a: 1\n#"
    assert faults(file(tmp_path, fill.ljust(textfile.MAX_BYTES, b"x"))) == ""
    assert faults(file(tmp_path, fill.ljust(textfile.MAX_BYTES + 1, b"x"))) == (
        "some.yaml: is larger than 1,048,576 bytes"
    )


def test_words_are_what_yaml_1_2_says_and_nothing_else(tmp_path: Path) -> None:
    content = (
        "no: no\non: on\nyes: Yes\ndate: 2026-01-31\ntime: 12:30:45\nten: 010\neight: 0o10\nhex: 0x1F\nsome: 1_000\n"
        "half: .5\nbig: 1e3\ntrue: TRUE\nnull:\ntilde: ~\nquoted: '5'\nplus: +5\npercent: 20%\n<<: {a: b}\n"
        "inf: -.inf\n1: one\ncolour: '#fff'\nlong: " + "9" * 500 + "\n"
    )
    data = read_yaml(file(tmp_path, "\ufeff" + content)).data
    assert data.pop("inf") == -math.inf
    assert data.pop("long") == math.inf
    assert data == {
        "no": "no", "on": "on", "yes": "Yes", "date": "2026-01-31", "time": "12:30:45", "ten": 10, "eight": 8,
        "hex": 31, "some": "1_000", "half": 0.5, "big": 1000.0, "true": True, "null": None, "tilde": None,
        "quoted": "5", "plus": 5, "percent": "20%", "<<": {"a": "b"}, "1": "one", "colour": "#fff",
    }  # fmt: skip


def test_every_key_and_item_has_the_line_it_is_on(tmp_path: Path) -> None:
    document = read_yaml(file(tmp_path, "# first\na:\n  b: |\n    text\n    more\n  c:\n    - x\n    - {d: 1}\n"))
    assert document.data == {"a": {"b": "text\nmore\n", "c": ["x", {"d": 1}]}}
    assert [document.find_line(*loc) for loc in ((), ("a", "b"), ("a", "c"), ("a", "c", 1), ("a", "c", 1, "d"))] == [
        2, 3, 6, 8, 8,
    ]  # fmt: skip
    assert document.find_line("a", "missing", "deep") == 2
    assert document.tell_place("a", "c", 0) == f"{document.path}:7"


SECRET = "hunter-2-canary"


@pytest.mark.parametrize(
    "value",
    [
        f"*{SECRET}", f"&{SECRET}", f"!{SECRET}", f"!{SECRET}!x y", f"!<{SECRET}> x", f"%{SECRET}", f"@{SECRET}",
        f'"{SECRET}', f"'{SECRET}", f"[{SECRET}", f"{{{SECRET}}}@x", f"x: {SECRET}: y", f"|{SECRET}", f"`{SECRET}",
        f'"{SECRET}\\q"', f"{SECRET}\n {SECRET}: x", f"\t{SECRET}: x\n\t- {SECRET}", f"!'{SECRET}'! y",
    ],
)  # fmt: skip
def test_a_secret_that_breaks_the_syntax_is_not_repeated(tmp_path: Path, value: str) -> None:
    path = file(tmp_path, f"password: {value}\n")
    said = faults(path)
    assert said.startswith("some.yaml:")
    assert SECRET not in said
    with pytest.raises(FileError) as caught:
        raise join_faults(path, list(read_yaml(path).faults))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_document_does_not_show_what_it_holds() -> None:
    assert SECRET not in repr(Document(Path("x"), {"password": SECRET}, {(): 1}))


def test_faults_are_listed_by_line_each_once() -> None:
    listed = join_faults(Path("x"), [Fault(9, 0, "b"), Fault(2, 3, "a"), Fault(9, 0, "b")])
    assert (listed.where, listed.what) == ("x:2:3", "a\nx:9: b")


def read_or_refused(path: Path) -> Document | FileError:
    try:
        return read_yaml(path)
    except FileError as fault:
        return fault


@given(
    st.one_of(
        st.text(),
        st.binary(),
        st.lists(
            st.sampled_from(
                ["a", "b:", ": ", "- ", "\n", "  ", "\t", "{", "}", "[", "]", "'", '"', "&a", "*a", "!", "|"]
            )
            | st.sampled_from(
                ["%", "@", "---", "...", "?", "#", ",", "1", "\\", "\r", "%YAML 1.2", "%TAG ! x", "<<", ">"]
            )
        ).map("".join),
    )
)
def test_any_file_is_read_or_refused_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, content: str | bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    document = read_or_refused(path)
    if isinstance(document, FileError):
        assert document.where.startswith(f"{path}:")
        str(document).encode()
    else:
        assert isinstance(document.data, dict)
        assert max(len(loc) for loc in document.lines) <= textfile.MAX_DEPTH + 1
