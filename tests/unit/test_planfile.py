"""The plan document on disk: what comes back, what is refused, and that a file appears whole or not at all."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, strategies as st
from msgspec.structs import replace

from connector.errors import FileError, OutputError, RefusedError
from connector.model import AttributeChange, Change, Outcome, Plan, Secret
from connector.model.digests import UNKEYED, digest_of_change, digest_of_plan
from connector.planfile import load_plan, save_plan, write_out
from connector.planning.kinds import add_overview
from connector.reports.document import as_json, parse_plan, parse_report, render
from connector.reports.visible import is_visible
from tests.support.report_samples import CANARY, outcome_lists, outcomes, plans, sample, text, user

Document = dict[str, Any]
ROOT = Path(__file__).parents[2]


def without_values(plan: Plan) -> Plan:
    """The plan as a document can carry it: of a secret its fingerprint, and of a change what a reviewer is shown."""

    def bare(each: AttributeChange) -> AttributeChange:
        if not each.secret:
            return AttributeChange(each.name, each.old, each.new, form=each.form)
        sets = bool(each.new)
        print_ = each.fingerprint or UNKEYED * sets
        return AttributeChange(each.name, (), (), secret=True, fingerprint=print_, form=each.form)

    changes = tuple(
        replace(change, after=frozenset(), attributes=tuple(map(bare, change.attributes))) for change in plan.changes
    )
    return add_overview(replace(plan, changes=changes))


@given(plan=plans, results=outcome_lists)
def test_any_plan_comes_back_from_its_document(plan: Plan, results: list[Outcome] | None) -> None:
    document = "".join(render(plan, results))
    assert parse_plan(document.encode()) == without_values(plan)
    assert "".join(render(parse_plan(document.encode()), results)) == document
    assert "".join(render(*parse_report(document.encode()))) == document


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(text, anything, max_size=4))
@example({"all of ASCII": "".join(map(chr, range(128)))})
def test_a_line_of_the_document_is_spelt_as_python_spells_json(item: dict[str, Any]) -> None:
    spelt = json.dumps(item, ensure_ascii=False)
    assert as_json(item) == "".join(letter if is_visible(letter) else json.dumps(letter)[1:-1] for letter in spelt)


def test_the_document_has_the_shape_that_is_promised() -> None:
    document = json.loads("".join(render(sample(), outcomes())))
    assert list(document) == [
        *("schema", "id", "digest", "job", "created", "summary"),
        *("changes", "problems", "refusals", "cautions", "kinds", "worth_a_look", "outcomes"),
    ]
    assert document["schema"] == "cec-connector/plan/1"
    assert document["summary"]["agents"] == 5
    first = document["changes"][0]
    assert list(first) == ["user", "agent", "rule", "digest", "attributes", "forms"]
    assert first["forms"] == [None, "taken over from another user", "secret set"]
    assert first["user"] == {"id": user(1).id, "name": user(1).name}
    assert first["agent"] == {"workNo": 1001, "accountCode": "agent1"}
    assert first["attributes"][1:] == [
        {"name": "employeeNumber", "old": ["1001"], "new": ["1002"]},
        {"name": "SIPIdentityPassword", "secret": "set", "fingerprint": "f1"},
    ]
    assert document["changes"][2]["agent"] is None
    assert document["changes"][2]["attributes"][1] == {"name": "SIPIdentityPassword", "secret": "clear"}
    assert document["kinds"][0] == {
        "kind": "taken over from another user",
        "rule": 1,
        "attributes": ["employeeNumber", "SIPIdentityPassword"],
        "users": 1,
        "sentence": "1 user by rule 1. Taken over from another user: employeeNumber. Secret set: SIPIdentityPassword.",
        "examples": [user(1).name],
    }
    assert document["worth_a_look"] == [
        {
            "user": {"id": user(1).id, "name": user(1).name},
            "why": "employeeNumber 1002 taken over from agent2",
            "others": [{"id": user(2).id, "name": user(2).name}],
        }
    ]
    assert document["outcomes"][1] == {
        "user": user(1).name,
        "id": user(1).id,
        "outcome": "conflict",
        "why": "employeeNumber changed since the plan",
        "differs": [
            {"name": "employeeNumber"},
            {"name": "SIPIdentityPassword"},
            {"name": "description"},
        ],
    }
    bare = json.loads("".join(render(replace(sample(), cautions=()))))
    assert "outcomes" not in bare
    assert "cautions" not in bare
    assert json.loads("".join(render(sample(), [])))["outcomes"] == []


def test_octets_are_told_from_text() -> None:
    attribute = AttributeChange("photo", (b"abc",), ("abc", b"\xff"))
    change = replace(sample().changes[0], attributes=(attribute,))
    document = json.loads("".join(render(replace(sample(), changes=(change,)))))
    said = document["changes"][0]["attributes"][0]
    assert said == {"name": "photo", "old": [{"base64": "YWJj"}], "new": ["abc", {"base64": "/w=="}]}


def test_text_that_was_decoded_from_octets_which_are_no_text_survives_as_those_octets() -> None:
    attribute = AttributeChange("cn", ("a\udcff",), ())
    change = Change(user(1, "cn=a\udcff"), None, None, (attribute,))
    change = replace(change, digest=digest_of_change(change))
    plan = replace(sample(), job="job\udcff.yaml", changes=(change,))
    plan = replace(plan, digest=digest_of_plan(plan))
    back = parse_plan("".join(render(plan)).encode())
    assert back.changes[0].attributes[0].old == (b"a\xff",)
    assert back.job == "job\ufffd.yaml"


def test_a_change_has_a_line_of_its_own_so_that_documents_can_be_compared() -> None:
    plan = sample()
    one, other = ("".join(render(each)).splitlines() for each in (plan, replace(plan, changes=plan.changes[1:])))
    assert [line for line in one if "agent1" in line and line not in other] == [one[7]]


# ---------------------------------------------------------------- what load refuses


def edited(path: Path, edit: Callable[[Document], object]) -> Path:
    document = json.loads("".join(render(sample(), outcomes())))
    edit(document)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda d: d.pop("digest"), "missing required field `digest`"),
        (lambda d: d.update(extra=1), "unknown field `extra`"),
        (lambda d: d.update(schema="cec-connector/plan/2"), "'cec-connector/plan/2', and this program reads"),
        (lambda d: d.pop("schema"), "its schema is ''"),
        (lambda d: d.update(digest="sha256:12"), r"\$\.digest"),
        (
            lambda d: d["changes"][1]["user"].update(id=7),
            r"Expected `str`, got `int` - at `\$\.changes\[1\]\.user\.id`",
        ),
        (lambda d: d["changes"][0].update(rule=True), r"\$\.changes\[0\]\.rule"),
        (lambda d: d["changes"][0].update(attributes=[]), r"\$\.changes\[0\]\.attributes"),
        (
            lambda d: d["changes"][0]["attributes"][1].pop("old"),
            "employeeNumber: it needs either old and new, or secret",
        ),
        (lambda d: d["changes"][0]["attributes"][2].update(new=["x"]), "SIPIdentityPassword: .* a secret has"),
        (lambda d: d["changes"][2]["attributes"][1].update(fingerprint="x"), "SIPIdentityPassword: .* a secret has"),
        (lambda d: d["changes"][0]["attributes"][1].update(new=[{"base64": "?"}]), "base64"),
        (lambda d: d["summary"].update(agents=-1), r"\$\.summary\.agents"),
        (lambda d: d["outcomes"][0].update(outcome="done"), r"\$\.outcomes\[0\]\.outcome"),
    ],
)
def test_a_document_of_another_shape_is_a_file_error_that_says_where(
    tmp_path: Path, edit: Callable[[Document], object], said: str
) -> None:
    path = edited(tmp_path / "plan.json", edit)
    with pytest.raises(FileError, match=said) as caught:
        load_plan(path)
    assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("octets", "line", "said"),
    [
        (b"", 1, "truncated"),
        (b"[]", None, "Expected `object`"),
        (b'{\n"schema":\n,}', 3, "malformed"),
        (b'{\n\n"schema": "\xff"}', 3, "not UTF-8"),
        (b"changes:\n  - yaml\n", 1, "malformed"),
        (b'{"x": ' + b"[" * 100_000, None, "nested too deeply"),
    ],
)
def test_what_is_no_json_is_a_file_error_with_its_line(
    tmp_path: Path, octets: bytes, line: int | None, said: str
) -> None:
    path = tmp_path / "plan.json"
    path.write_bytes(octets)
    with pytest.raises(FileError, match=said) as caught:
        load_plan(path)
    assert caught.value.where == (f"{path}:{line}" if line else str(path))


def test_a_cut_document_is_a_file_error_wherever_it_was_cut(tmp_path: Path) -> None:
    whole = "".join(render(sample())).encode()
    path = tmp_path / "plan.json"
    for size in range(0, len(whole) - 2, 97):
        path.write_bytes(whole[:size])
        with pytest.raises(FileError):
            load_plan(path)


def test_a_file_that_is_not_there_and_a_folder_are_file_errors(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="No such file"):
        load_plan(tmp_path / "plan.json")
    with pytest.raises(FileError, match="directory"):
        load_plan(tmp_path)


@pytest.mark.parametrize(
    "edit",
    [
        lambda d: d["changes"][0]["attributes"][1].update(new=["6666"]),
        lambda d: d["changes"][0]["user"].update(name="uid=admin,dc=example,dc=org"),
        lambda d: d["changes"][0]["attributes"][2].update(fingerprint="f2"),
        lambda d: d["changes"].pop(),
        lambda d: d["refusals"].pop(),
        lambda d: d["problems"].pop(),
        lambda d: d.update(job="other.yaml"),
    ],
)
def test_an_edited_plan_is_refused(tmp_path: Path, edit: Callable[[Document], object]) -> None:
    with pytest.raises(RefusedError, match="changed after it was saved"):
        load_plan(edited(tmp_path / "plan.json", edit))


def test_another_layout_of_the_same_plan_is_the_same_plan(tmp_path: Path) -> None:
    path = edited(tmp_path / "plan.json", lambda d: d["changes"].reverse())
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8, sort_keys=True))
    assert load_plan(path).digest == sample().digest


# ---------------------------------------------------------------- files


def test_a_saved_plan_is_read_back_and_is_its_owner_s_alone(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    path.write_text("old")
    path.chmod(0o644)
    save_plan(path, sample(), outcomes())
    assert load_plan(path) == without_values(sample())
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert CANARY not in path.read_text()
    assert list(tmp_path.iterdir()) == [path]


class BreakError(Exception):
    """Something goes wrong in the middle."""


def broken() -> Iterator[str]:
    yield "half"
    raise BreakError


def test_a_report_that_breaks_in_the_middle_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    with pytest.raises(BreakError):
        write_out(path, broken())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_never_seen_half_written(tmp_path: Path) -> None:
    path = tmp_path / "report.md"

    def chunks() -> Iterator[str]:
        yield "x" * 1_000_000
        assert not path.exists()
        yield "y"

    write_out(path, chunks())
    assert len(path.read_text()) == 1_000_001


def test_a_folder_that_is_not_there_and_a_folder_as_a_file_are_output_errors(tmp_path: Path) -> None:
    for path in (tmp_path / "none" / "report.md", tmp_path):
        with pytest.raises(OutputError) as caught:
            write_out(path, ["x"])
        assert caught.value.where == str(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is unwritable to root")
def test_a_folder_that_may_not_be_written_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_out(tmp_path / "report.md", ["x"])
    tmp_path.chmod(0o700)


FULL = """
import resource, signal, sys
from pathlib import Path
from connector.errors import OutputError
from connector.planfile import write_out
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    write_out(Path(sys.argv[1]), ("x" * 1000 for _ in range(1000)))
except OutputError as fault:
    print(fault)
"""


def test_a_disk_that_fills_up_is_an_output_error_and_nothing_is_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("old")
    ran = subprocess.run([sys.executable, "-c", FULL, str(path)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{path}: it cannot be written: File too large\n"
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_device_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="No space left"):
        write_out(Path("/dev/full"), ["x"])


def test_a_symbolic_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    real, link = tmp_path / "real.md", tmp_path / "link.md"
    link.symlink_to(real)
    write_out(link, ["one"])
    write_out(link, ["two"])
    assert link.is_symlink()
    assert real.read_text() == "two"


def test_a_pipe_is_written_into(tmp_path: Path) -> None:
    path, read = tmp_path / "pipe.md", []
    os.mkfifo(path)
    reader = threading.Thread(target=lambda: read.append(path.read_text()))
    reader.start()
    write_out(path, ["a", "b"])
    reader.join(10)
    assert read == ["ab"]
    assert stat.S_ISFIFO(path.stat().st_mode)


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_standard_output_is_written_into_even_where_it_is_a_file(tmp_path: Path, name: str) -> None:
    program = (
        "from pathlib import Path\nfrom connector.planfile import write_out\n"
        f"print('before')\nwrite_out(Path({name!r}), ['report\\n'])\nprint('after')\n"
    )
    path = tmp_path / "out"
    with path.open("w") as stream:
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=stream, check=True)
    assert path.read_text() == "before\nreport\nafter\n"


def test_a_name_as_long_as_a_name_may_be_is_no_obstacle() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / ("n" * 250 + ".json")
        write_out(path, ["x"])
        assert path.read_text() == "x"


def test_what_is_loaded_sets_nothing_by_itself() -> None:
    back = parse_plan("".join(render(sample())).encode())
    assert not any(isinstance(v, Secret) for c in back.changes for a in c.attributes for v in a.old + a.new)
