"""`diff`: two plans or reports compared."""

from __future__ import annotations

from pathlib import Path

import click

from connector.cli.running import say, say_json


@click.command
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(old: Path, new: Path, *, as_json: bool) -> int:
    """Compare two saved plans or reports in JSON: changes and problems that are new, gone, changed or the same.

    Differences do not change the exit code.
    """
    from connector.planfile import load
    from connector.reconcile.comparison import compare
    from connector.reports import comparison

    before, after = load(old), load(new)
    found = compare(before, after)
    if as_json:
        say_json(comparison.document(before, after, found))
    else:
        say(comparison.render(before, after, found))
    return 0
