"""Pages are written in short sentences, their links lead somewhere, and they name all that the program has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click
import pytest

from connector.cli.advice import ADVICE, Exit
from connector.cli.main import cli
from connector.model.limits import LIMITS
from connector.model.templates import ACCOUNT_FIELDS, AGENT_FIELDS, TENANT_FIELDS, TRANSFORMS
from scripts.reference import write_tables
from tests.support.prose import ROOT, Measure, anchors, broken, code, links, sentences

if TYPE_CHECKING:
    from pathlib import Path

_SHOWN: Final = re.compile(r"\bcec-connector (--log-level \w+ )?(?P<words>[a-z][a-z-]*( [a-z-]+)?)(?P<rest>[^|;&>]*)")
"""A command line as pages show it."""
AVERAGE: Final = {"docs/decisions.md": 18}
_PRIVATE: Final = re.compile(
    r"\b(?:houses?|stor(?:y|ies)|floors?|wiring|courier|custody|tugs?|never-list|rehears\w*)\b", re.IGNORECASE
)
"""Words that only this program used; docs/glossary.md has those of the field."""


def pages() -> list[str]:
    """Every page of the project, by its path."""
    below = [page for folder in ("docs", "deploy", "tests", ".github") for page in (ROOT / folder).rglob("*.md")]
    return sorted(str(page.relative_to(ROOT)) for page in [*ROOT.glob("*.md"), *below])


def read() -> list[str]:
    """The pages for users and contributors, which are held to a length of sentences."""
    return [name for name in pages() if re.match(r"docs/|(README|CONTRIBUTING|SECURITY)\.md$", name)]


@pytest.mark.parametrize("name", read())
def test_a_page_is_written_in_short_sentences(name: str) -> None:
    page = (ROOT / name).read_text("utf-8")
    measure, longest = Measure.of(page), max(sentences(page), key=lambda sentence: len(sentence.split()), default="")
    kept = measure.average <= AVERAGE.get(name, 15) and measure.long <= 0.02
    assert kept, f"{measure.average:.1f} words a sentence, {measure.long:.1%} over 30, for instance: {longest}"


@pytest.mark.parametrize("name", read())
def test_a_page_uses_the_words_of_the_field(name: str) -> None:
    assert _PRIVATE.findall((ROOT / name).read_text("utf-8")) == []


def test_the_program_uses_the_words_of_the_field() -> None:
    paths = [
        path for folder in ("connector", "deploy", "examples", "mappings") for path in (ROOT / folder).rglob("*.*")
    ]
    texts = {path: path.read_text("utf-8") for path in paths if path.suffix in (".py", ".yaml", ".json", ".md")}
    assert len(texts) > 200
    assert {str(path): found for path, text in texts.items() if (found := _PRIVATE.findall(text))} == {}


@pytest.mark.parametrize("name", pages())
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(name: str) -> None:
    assert broken(ROOT / name) == []


@pytest.mark.parametrize("name", ["commands.md", "fleet-file.md", "job-file.md", "mapping-file.md", "messages.md"])
def test_the_tables_of_a_page_are_as_the_program_is_now(name: str) -> None:
    page = (ROOT / "docs" / name).read_text("utf-8")
    assert page.count("<!-- end -->") >= 4
    assert write_tables(page) == page, "run: python -m scripts.reference"


def test_the_index_leads_to_every_page_for_users() -> None:
    led = {target.partition("#")[0] for target in links((ROOT / "docs" / "index.md").read_text("utf-8"))}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} - led == {"index.md", "decisions.md"}


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "docs/architecture.md", "docs/laws.md"])
def test_every_file_and_folder_that_a_page_names_is_there(name: str) -> None:
    named = re.findall(r"`([\w-]+(?:(?:/[\w.*-]*)+|\.py))`", (ROOT / name).read_text("utf-8"))
    places = (ROOT, ROOT / "connector", ROOT / "tests", *(ROOT / "connector").iterdir())
    assert named
    made = [path for path in named if not path.startswith("dist/")]  # a build makes that folder
    assert [path for path in made if not any(any(place.glob(path)) for place in places)] == []


@pytest.mark.parametrize("name", pages())
def test_a_page_has_no_code_and_no_list_within_a_list(name: str) -> None:
    """The site's Markdown makes one line of such code, and one list of both."""
    page = re.sub(r"^```.*?^```", "", (ROOT / name).read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert re.findall(r"^ +```.*|^ {1,3}(?:[-*]|\d+\.) .*", page, re.MULTILINE) == []


def test_sentences_are_counted_without_code_tables_and_headings() -> None:
    page = """# A heading. With a stop.

One sentence, of `some code. with stops`, on
two lines. Another [link. it](a.md) has?

- An item (e.g. this)
  that goes on
- **Bold.** More

| a table. | of cells. |
|---|---|
    indented. code.
```sh
fenced. code.
```
"""
    assert sentences(page) == [
        "One sentence, of code, on two lines.",
        "Another link.",
        "it has?",
        "An item (e.g this) that goes on",
        "Bold.",
        "More",
    ]
    assert Measure.of(page) == Measure((7 + 2 + 2 + 7 + 1 + 1) / 6, 0.0)
    assert Measure.of("word " * 31 + ". A short one.") == Measure((32 + 3) / 2, 0.5)


def test_a_broken_link_is_told(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "# One `two`, three\n[a](#one-two-three) [b](#one) [c](gone.md) [d](https://example.org/x) `[e](f)`\n"
    )
    assert anchors(page.read_text()) == {"one-two-three"}
    assert broken(page, tmp_path) == ["#one", "gone.md"]


def commands() -> list[tuple[str, click.Command]]:
    """Every command by its words, groups resolved, as `cec-connector --help` lists them."""
    context = click.Context(cli)
    found: list[tuple[str, click.Command]] = []
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            parts = [(part, command.get_command(context, part)) for part in command.list_commands(context)]
            found += [(f"{name} {part}", each) for part, each in parts if each is not None]
        elif command is not None:
            found.append((name, command))
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_the_page_of_commands_names_every_command_and_option(name: str, command: click.Command) -> None:
    page = (ROOT / "docs" / ("init.md" if name == "init" else "commands.md")).read_text("utf-8")
    told = set(re.findall(r"`(--[a-z-]+)", page))
    assert re.search(rf"`(cec-connector )?{name}\b", page)
    assert {word for option in command.params for word in option.opts if word.startswith("--")} <= told


@pytest.mark.parametrize("name", [*read(), *(f"examples/{path.name}" for path in (ROOT / "examples").iterdir())])
def test_a_page_shows_commands_and_options_that_exist(name: str) -> None:
    known = {name: {word for param in command.params for word in param.opts} for name, command in commands()}
    shown = [match for line in code((ROOT / name).read_text("utf-8")) if (match := _SHOWN.search(line))]
    wrong = []
    for match in shown:
        words, rest = match["words"].split(), match["rest"]
        command = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
        options = set(re.findall(r"(?<=\s)--[a-z-]+", rest)) - {"--help"}
        if command is None or not options <= known[command]:
            wrong.append(match[0])
    assert wrong == []


def test_the_page_of_commands_names_every_exit_code() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)] == [code.value for code in Exit]


def test_a_decision_has_at_most_eight_short_lines() -> None:
    entries = (ROOT / "docs/decisions.md").read_text("utf-8").split("\n\n")
    assert [entry for entry in entries if entry.count("\n") >= 8 or max(map(len, entry.split("\n"))) > 140] == []


def recipe(target: str) -> list[str]:
    """The commands of a target of the Makefile that run in `.venv`."""
    (lines,) = re.findall(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    return re.findall(r"^\t\$\(BIN\)/(.*)$", lines, re.MULTILINE)


def test_a_commit_is_held_to_the_checks_of_make_lint() -> None:
    config = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    assert re.findall(r"^ +entry: \.venv/bin/(.*)$", config, re.MULTILINE) == recipe("lint")


def test_contributors_find_every_target_of_make() -> None:
    (targets,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    assert [target for target in targets.split() if f"`make {target}`" not in page] == []


def first_column(page: str, heading: str) -> list[str]:
    """The words in code in the first column of the first table with this heading."""
    table = (ROOT / "docs" / page).read_text("utf-8").partition(f"\n{heading}\n")[2].partition("\n\n")[0]
    return [word for row in table.splitlines() for word in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_the_page_of_the_mapping_file_names_every_field_and_transform() -> None:
    transforms = [word.partition(":")[0] for word in first_column("mapping-file.md", "| transform | result |")]
    assert transforms == list(TRANSFORMS)
    assert set(first_column("mapping-file.md", "| field | meaning |")) == {
        f"{{{name}}}" for name in (*AGENT_FIELDS, *ACCOUNT_FIELDS, *TENANT_FIELDS)
    }


def test_pages_name_every_limit() -> None:
    pages = [(ROOT / "docs" / name).read_text("utf-8") for name in ("messages.md", "troubleshoot.md", "job-file.md")]
    said = " ".join(pages)
    assert [limit for limit in LIMITS if not re.search(rf"(`|^){limit}\b", said, re.MULTILINE)] == []


def test_the_page_of_messages_has_every_code_once() -> None:
    page = (ROOT / "docs" / "messages.md").read_text("utf-8")
    codes = sorted(advice.code for advice in ADVICE.values())
    assert re.findall(r"^\| `(CEC-\d{4})` \|", page, re.MULTILINE) == codes
