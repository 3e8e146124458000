"""Write the tables of keys, commands, options and messages in docs/ from the program's own models and commands.

A page marks where a table stands; what stands between the two comments is replaced:

    <!-- keys: job LdapDirectory -->     the keys of a part of the job, mapping or fleet file
    <!-- keys: job Mail mail. -->        the same, with this before each key
    <!-- keys: fleet file -->            the keys of the file itself
    <!-- commands -->                    all commands
    <!-- options: plan -->               the options of a command
    <!-- messages: 3 -->                 the messages that end with this exit code
    <!-- problems -->                    all kinds of problems
    <!-- end -->

`python -m scripts.reference` writes the pages, `--check` only names those that differ (exit code 1).
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import click

from connector.cli.advice import ADVICE
from connector.cli.main import cli
from connector.cli.schema import make_schema
from connector.model.plan import KINDS

_FOREIGN: Final[dict[type[BaseException], str]] = {
    click.ClickException: "The command line has a word, an option or a value that the command does not take",
    BaseException: "A fault of the program",
}
"""What happened, for kinds of errors that are not ours."""
DOCS: Final = Path(__file__).parents[1] / "docs"
_TABLE: Final = re.compile(
    r"(<!-- (keys|commands|options|messages|problems)(?:: ([^>]+?))? -->\n).*?(<!-- end -->)",
    re.DOTALL,
)


def write_tables(page: str) -> str:
    """The page with each of its tables made anew. Raises KeyError for a part or a command that is not there."""
    return _TABLE.sub(
        lambda found: f"{found[1]}\n{_make_table(found[2], found[3])}\n{found[4]}", page
    )


def find_commands(
    group: click.Group = cli, words: tuple[str, ...] = ()
) -> Iterator[tuple[str, click.Command]]:
    """Every command by its words, those of groups included, in the order of the help."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from find_commands(command, (*words, name))
        elif command is not None:
            yield " ".join((*words, name)), command


def _make_table(kind: str, argument: str | None) -> str:
    if kind == "commands":
        return _make_commands()
    if kind == "problems":
        return _make_rows(
            ("kind", "meaning"), ((_code(name), text) for name, text in KINDS.items())
        )
    if argument is None:
        raise KeyError(f"{kind} of what?")
    if kind == "options":
        return _make_options(dict(find_commands())[argument])
    if kind == "messages":
        return _make_messages(int(argument))
    file, part, *prefix = argument.split()
    return _make_keys(file, part, "".join(prefix))


def _make_keys(file: Any, part: str, prefix: str) -> str:
    schema = make_schema(file)
    described = schema if part == "file" else schema["$defs"][part]
    required = described.get("required", ())
    rows = []
    for name, key in described["properties"].items():
        if name == "type":
            continue
        default = "required" if name in required else _show_default(key.get("default"))
        rows.append(
            (_code(prefix + name), _one_line(key.get("description", "")), default)
        )
    return _make_rows(("key", "meaning", "default"), rows)


def _show_default(value: Any) -> str:
    if value is None or isinstance(value, dict):
        return ""
    return _code(value if isinstance(value, str) else json.dumps(value))


def _make_commands() -> str:
    rows = []
    for words, command in find_commands():
        context = click.Context(command, info_name=words)
        pieces = [
            piece
            for piece in command.collect_usage_pieces(context)
            if piece != "[OPTIONS]"
        ]
        rows.append(
            (_code(" ".join([words, *pieces])), _first_sentence(command.help or ""))
        )
    return _make_rows(("command", "use"), rows)


def _make_options(command: click.Command) -> str:
    context = click.Context(command)
    rows = []
    for option in command.params:
        described = option.get_help_record(context)
        if (
            described is not None
            and isinstance(option, click.Option)
            and "--help" not in option.opts
        ):
            name, meaning = described
            rows.append((_code(name), _one_line(meaning)))
    return _make_rows(("option", "meaning"), rows)


def _make_messages(exit_code: int) -> str:
    rows = []
    for kind, advice in sorted(ADVICE.items(), key=lambda item: item[1].code):
        if advice.exit_code == exit_code:
            happened = _FOREIGN.get(kind) or _first_sentence(kind.__doc__ or "")
            page = (
                f"[{advice.page.partition('.')[0]}]({advice.page})"
                if advice.page
                else ""
            )
            rows.append(
                (_code(advice.code), happened, _one_line(advice.what_to_do), page)
            )
    return _make_rows(("code", "what happened", "what to do", "more"), rows)


def _first_sentence(text: str) -> str:
    paragraph = _one_line(text.partition("\n\n")[0])
    return re.split(r"(?<=[^.]\.)\s", paragraph, maxsplit=1)[0].removesuffix(".")


def _code(text: str) -> str:
    return f"`{_one_line(text)}`"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _make_rows(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Write the pages, or with `--check` name those that are not as the program is now."""
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        page = path.read_text("utf-8")
        written = write_tables(page)
        if written != page:
            stale.append(path.name)
            if "--check" not in sys.argv:
                path.write_text(written, "utf-8")
    if "--check" in sys.argv and stale:
        sys.exit(
            f"not as the program is now: {', '.join(stale)}. Run: python -m scripts.reference"
        )


if __name__ == "__main__":
    main()
