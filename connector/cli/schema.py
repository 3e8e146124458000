"""`schema`: JSON Schemas, so that editors complete and check the files people write."""

from __future__ import annotations

import json
from typing import Any, Literal

import click
from pydantic.json_schema import GenerateJsonSchema

from connector.model.limits import Limit
from connector.settings.fields import as_written
from connector.settings.fleet import FleetFile
from connector.settings.job import Job
from connector.settings.mapping_file import MappingShape
from connector.settings.shape import Strict

Kind = Literal["job", "mapping", "fleet"]


@click.command("schema")
@click.argument("which", type=click.Choice(["job", "mapping", "fleet"]))
def schema_command(which: Kind) -> None:
    """Print the JSON Schema of the job file, the mapping file or the fleet file."""
    click.echo(json.dumps(make_schema(which), indent=2))


def make_schema(kind: Kind) -> dict[str, Any]:
    """The schema of one kind of file, in the dialect of 2020-12 (https://json-schema.org/draft/2020-12/schema)."""

    class SchemaGenerator(GenerateJsonSchema):
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
    said = shapes[kind].model_json_schema(
        mode="validation", schema_generator=SchemaGenerator
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **said,
        "title": f"cec-connector {kind}",
    }
