"""`schema`: JSON Schemas, so that editors complete and check the files people write."""

from __future__ import annotations

import json
from typing import Any, Literal

import click

Kind = Literal["job", "mapping", "fleet"]


@click.command
@click.argument("which", type=click.Choice(["job", "mapping", "fleet"]))
def command(which: Kind) -> int:
    """Print the JSON Schema of the job file, the mapping file or the fleet file."""
    click.echo(json.dumps(schema(which), indent=2))
    return 0


def schema(kind: Kind) -> dict[str, Any]:
    """The schema of one kind of file, in the dialect of 2020-12 (https://json-schema.org/draft/2020-12/schema)."""
    from pydantic.json_schema import GenerateJsonSchema

    from connector.reconcile.checks.limits import Limit
    from connector.settings.fields import as_written
    from connector.settings.fleet import FleetFile
    from connector.settings.job import Job
    from connector.settings.mapping_file import MappingShape
    from connector.settings.shape import Strict

    class Generator(GenerateJsonSchema):
        """Defaults as a file would say them."""

        def encode_default(self, dft: Any) -> Any:
            if isinstance(dft, Strict):
                return {
                    name: self.encode_default(getattr(dft, name))
                    for name in type(dft).model_fields
                }
            return (
                as_written(dft)
                if isinstance(dft, Limit)
                else super().encode_default(dft)
            )

    shapes: dict[Kind, type[Strict]] = {
        "job": Job,
        "mapping": MappingShape,
        "fleet": FleetFile,
    }
    said = shapes[kind].model_json_schema(mode="validation", schema_generator=Generator)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **said,
        "title": f"cec-connector {kind}",
    }
