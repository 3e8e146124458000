"""Pins and the list of those left alone: read, or refused with the line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from connector.errors import FileError
from connector.matching.people import AgentPin, ExcludeList
from connector.settings.people_lists import load_exclude_list, load_pins


def file(folder: Path, content: str | bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def pin_faults(folder: Path, content: str | bytes) -> list[str]:
    with pytest.raises(FileError) as caught:
        load_pins(file(folder, content))
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_pins_are_read_with_their_lines(tmp_path: Path) -> None:
    content = (
        '\ufeffuser,workNo,accountCode\r\n"uid=a,ou=people,dc=example,dc=org",1001,\r\n\r\n'
        ' u-2 ,, ada \r\n"two\nlines",0007,c\r\n,,\r\nu-3,8,d\r\n'
    )
    assert load_pins(file(tmp_path, content)) == (
        AgentPin(None, 1001, "uid=a,ou=people,dc=example,dc=org", 2),
        AgentPin("ada", None, "u-2", 4),
        AgentPin("c", 7, "two\nlines", 5),
        AgentPin("d", 8, "u-3", 8),
    )


def test_one_way_to_name_the_agent_is_enough(tmp_path: Path) -> None:
    assert load_pins(file(tmp_path, "accountCode,user\na,u")) == (AgentPin("a", None, "u", 2),)
    assert load_pins(file(tmp_path, "workNo,user\n")) == ()


QUOTED = "in double quotes"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", ["list.csv:1: the file is empty; its first row names the columns: accountCode, workNo, user"]),
        ("accountCode\na\n", ["list.csv:1: the column user is missing"]),
        ("user\nu\n", ["list.csv:1: a column that names the agent is missing: accountCode or workNo"]),
        ("\naccountcode,user\na,u\n", [
            "list.csv:2: a column that names the agent is missing: accountCode or workNo",
            "list.csv:2: no column is called 'accountcode'; use accountCode, workNo, user",
        ]),
        ("user,workNo,user\n", ["list.csv:1: the column 'user' occurs twice. Remove one"]),
        ("accountCode;user\na;u\n", ["list.csv:1: separate columns by commas"]),
        ("accountCode\tuser\na\tu\n", ["list.csv:1: separate columns by commas"]),
        ("accountCode,user\na,\n", ["list.csv:2: user is empty"]),
        ("accountCode,workNo,user\n, ,u\n", ["list.csv:2: names no agent"]),
        ("workNo,user\n1a,u\n0,v\n-1,w\n", [
            "list.csv:2: '1a' is no workNo: a whole number from 1",
            "list.csv:3: '0' is no workNo: a whole number from 1",
            "list.csv:4: '-1' is no workNo: a whole number from 1",
        ]),
        ("workNo,user\n\u0661,u\n", ["list.csv:2: '\u0661' is no workNo: a whole number from 1"]),
        ("accountCode,user\na,u\nb,v\na,w\n", ["list.csv:4: accountCode a is pinned already, on line 2"]),
        ("accountCode,workNo,user\na,7,u\nb,007,w\n", ["list.csv:3: workNo 7 is pinned already, on line 2"]),
        ("accountCode,user\na\n", [
            "list.csv:2: has 1 cells, the header has 2",
        ]),
        ("accountCode,user\na,uid=a,dc=x\n", [
            "list.csv:2: has 3 cells, the header has 2; put a cell with a comma, such as a DN, " + QUOTED,
        ]),
        ('accountCode,user\na,u\nb,"v\nc,w\n', ["list.csv:3: is not CSV: check its quotation marks"]),
        ('accountCode,user\na,"u"x\n', ["list.csv:2: is not CSV: check its quotation marks"]),
        (b"accountCode,user\na,u\nb,\xe9\n", ["list.csv:3: is not UTF-8 text"]),
    ],
)  # fmt: skip
def test_a_mistake_in_pins_is_said_on_its_line(tmp_path: Path, content: str | bytes, expected: list[str]) -> None:
    assert pin_faults(tmp_path, content) == expected


def test_all_mistakes_of_pins_are_reported_at_once(tmp_path: Path) -> None:
    said = pin_faults(tmp_path, "accountCode,workNo,user\na,x,\na,1,u\n,,v\nb\n")
    assert [line.split(":")[1] for line in said] == ["2", "2", "3", "4", "5"]


def test_those_left_alone_are_read(tmp_path: Path) -> None:
    content = 'accountCode,user,workNo\na,,\n,"uid=x,dc=example",\nb,,12\n'
    assert load_exclude_list(file(tmp_path, content)) == ExcludeList(
        frozenset({"a", "b"}), frozenset({12}), frozenset({"uid=x,dc=example"}),
        {"a": 2, "uid=x,dc=example": 3, 12: 4, "b": 4},
    )  # fmt: skip
    assert load_exclude_list(file(tmp_path, "user\nu\n")) == ExcludeList(users=frozenset({"u"}), lines={"u": 2})


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "list.csv:1: the file is empty; its first row names the columns: accountCode, workNo, user"),
        ("name\nx\n", "list.csv:1: no column is called 'name'; use accountCode, workNo, user"),
        ("workNo,user\n1,\nx,u\n", "list.csv:3: 'x' is no workNo: a whole number from 1"),
        ('user,workNo\n"",""\n', ""),
    ],
)
def test_a_mistake_in_those_left_alone_is_said_on_its_line(tmp_path: Path, content: str, expected: str) -> None:
    path = file(tmp_path, content)
    if not expected:
        assert load_exclude_list(path) == ExcludeList()
        return
    with pytest.raises(FileError) as caught:
        load_exclude_list(path)
    assert str(caught.value).replace(f"{tmp_path}/", "") == expected


def test_a_list_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.csv: there is no such file"):
        load_exclude_list(tmp_path / "none.csv")


def read_or_refused(path: Path) -> tuple[AgentPin, ...] | FileError:
    try:
        return load_pins(path)
    except FileError as fault:
        return fault


@given(st.text(alphabet=st.sampled_from('ab1,;"\n\r \0\ufeff') | st.characters(), max_size=60))
def test_any_list_is_read_or_refused_with_its_line(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(("accountCode,workNo,user\n" + text).encode("utf-8", "replace"))
    pins = read_or_refused(path)
    if isinstance(pins, FileError):
        assert pins.where.startswith(f"{path}:")
    else:
        assert all(pin.user and (pin.account_code or pin.work_no) and pin.line > 1 for pin in pins)
