"""The JSON Schemas say all that the files may say, and what the documentation shows is what the loader takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector.cli.schema import Kind, make_schema
from connector.settings import fleet as fleets, job as jobs, mapping_file as mappings
from connector.settings.fields import SecretRef
from connector.settings.job import CecSource, FileSource
from connector.settings.ldap import LdapDirectory, LdifDirectory
from connector.settings.shape import list_keys

ROOT = Path(__file__).parents[2]


def parts(value: Any) -> Iterator[dict[str, Any]]:
    """Every object of a schema."""
    if isinstance(value, dict):
        yield value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
        yield from parts(inner)


@pytest.mark.parametrize("kind", ["job", "mapping", "fleet"])
def test_a_schema_refuses_unknown_keys_and_explains_the_known_ones(kind: Kind) -> None:
    whole = json.loads(json.dumps(make_schema(kind)))
    assert whole["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert whole["title"] == f"cec-connector {kind}"
    shapes = [part for part in parts(whole) if isinstance(part.get("properties"), dict) and "type" in part]
    assert len(shapes) >= 3
    for shape in shapes:
        assert shape["additionalProperties"] is False
        assert shape["description"]
        assert all(one.get("description") for one in shape["properties"].values()), shape["title"]


def test_the_schema_of_a_job_names_every_key() -> None:
    shapes = make_schema("job")["$defs"]
    for model in (CecSource, FileSource, LdapDirectory, LdifDirectory, jobs.Limits, SecretRef):
        assert set(shapes[model.__name__]["properties"]) == set(list_keys(model))
    assert set(make_schema("job")["properties"]) == set(list_keys(jobs.Job))
    places = ("env", "file", "credential", "vault")
    assert shapes["SecretRef"]["oneOf"] == [{"required": [place]} for place in places]


def test_a_key_is_required_where_the_state_is_a_database_server() -> None:
    whole = make_schema("job")
    assert re.search(whole["if"]["properties"]["state"]["pattern"], "postgresql://cec@db.example.org/cec")
    assert not re.search(whole["if"]["properties"]["state"]["pattern"], "sqlite:///postgres.db")
    assert whole["then"] == {"required": ["key"]}


def test_defaults_are_written_as_a_file_would() -> None:
    whole = make_schema("job")
    limits = whole["$defs"]["Limits"]["properties"]
    named = ("update", "clear", "secret", "agents_drop", "matched_drop")
    assert [limits[name]["default"] for name in named] == ["20%", None, None, "10%", "10%"]
    assert whole["properties"]["limits"]["default"] == {
        "update": "20%", "clear": None, "secret": None, "agents_drop": "10%", "matched_drop": "10%", "attributes": {},
        "state": "50%",
    }  # fmt: skip
    assert whole["properties"]["state"]["default"] == "sqlite:///state.db"
    assert whole["$defs"]["Serve"]["properties"]["max_run_time"]["default"] == "1d"


def test_the_schema_of_a_mapping_takes_both_forms_of_an_attribute() -> None:
    attributes = make_schema("mapping")["properties"]["attributes"]
    forms = attributes["additionalProperties"]["anyOf"]
    assert forms == [{"type": "string"}, {"$ref": "#/$defs/AttributeShape"}]


def examples(page: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


def test_every_whole_job_of_the_documentation_is_read(tmp_path: Path) -> None:
    for name in ("agents.json", "people.ldif", "ldap-ca.pem", "pins.csv", "exclude.csv"):
        (tmp_path / name).touch()
    whole = [
        text for text in examples("job-file.md") if re.search(r"^source:.*^mapping:", text, re.MULTILINE | re.DOTALL)
    ]
    assert len(whole) >= 2
    for text in whole:
        (tmp_path / "job.yaml").write_text(text)
        jobs.load_job(tmp_path / "job.yaml")


def test_every_whole_mapping_of_the_documentation_is_read(tmp_path: Path) -> None:
    whole = [text for text in examples("mapping-file.md") if text.startswith("match:")]
    assert whole
    for text in whole:
        (tmp_path / "own.yaml").write_text(text)
        mappings.load_mapping("own.yaml", tmp_path / "job.yaml")


def test_every_whole_fleet_file_of_the_documentation_is_read(tmp_path: Path) -> None:
    (tmp_path / "temporal-ca.pem").touch()
    whole = examples("fleet-file.md")
    assert len(whole) >= 2
    for text in whole:
        (tmp_path / "fleet.yaml").write_text(text)
        fleets.load_fleet(tmp_path / "fleet.yaml")


@pytest.mark.parametrize(
    ("page", "kind"),
    [("job-file.md", "job"), ("mapping-file.md", "mapping"), ("fleet-file.md", "fleet")],
    ids=["job", "mapping", "fleet"],
)
def test_the_documentation_names_every_key(page: str, kind: Kind) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    keys = {key for part in parts(make_schema(kind)) for key in part.get("properties", {}) if key != "type"}
    if kind == "fleet":  # secrets and notices are those of a job, on its page
        text += (ROOT / "docs" / "job-file.md").read_text("utf-8")
    assert {key for key in keys if not re.search(rf"`([a-z]+\.)?{re.escape(key)}`", text)} == set()
