"""`schema`: JSON Schemas, so that editors complete and check the files people write."""

from __future__ import annotations

import json
from typing import Literal

import click


@click.command
@click.argument("which", type=click.Choice(["job", "mapping"]))
def command(which: Literal["job", "mapping"]) -> int:
    """Print the JSON Schema of the job file or the mapping file."""
    from connector.settings.json_schemas import schema

    click.echo(json.dumps(schema(which), indent=2))
    return 0
