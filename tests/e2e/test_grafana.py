"""The dashboard and the alert rules: held to the metrics that there are, and tried by Prometheus's own tool."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from ruamel.yaml import YAML

from connector.observers.metrics import FleetMetrics
from tests.support.ldif_job import Job
from tests.support.monitoring import promtool

pytestmark = pytest.mark.slow

GRAFANA = Path(__file__).parents[2] / "deploy" / "grafana"
OF_SERVE = {"ready", "next_run_timestamp_seconds", "files_accepted"}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The names of all metrics."""
    job = Job(tmp_path_factory.mktemp("job"), users=1)
    job.configure(metrics={"textfile": "cec.prom"})
    job.run("apply")
    found = set(re.findall(r"^# TYPE cec_connector_(\w+)", job.read("cec.prom"), re.MULTILINE))
    return found | OF_SERVE | of_fleet()


def of_fleet() -> set[str]:
    """The metrics that a worker of a fleet adds."""
    registry = CollectorRegistry()
    FleetMetrics(registry)
    return {metric.name.removeprefix("cec_connector_") for metric in registry.collect()}


def expressions(value: Any) -> list[str]:
    """Every PromQL expression of the dashboard or the rules."""
    if isinstance(value, dict):
        own = [str(value["expr"])] if "expr" in value else []
        return own + [found for each in value.values() for found in expressions(each)]
    return [found for each in value for found in expressions(each)] if isinstance(value, list) else []


def dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads((GRAFANA / "dashboard.json").read_text("utf-8"))
    return read


def rules() -> Any:
    return YAML(typ="safe").load(GRAFANA / "alerts.yaml")


def test_dashboard_and_rules_ask_for_metrics_that_there_are_and_the_dashboard_shows_all(there: set[str]) -> None:
    def asked(of: Any) -> set[str]:
        return set(re.findall(r"cec_connector_(\w+)", " ".join(expressions(of))))

    assert asked(dashboard()) <= there
    assert asked(rules()) <= there
    assert there - asked(dashboard()) - asked(rules()) == {"build_info", "last_run_timestamp_seconds"}


def test_the_dashboards_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = dashboard()["panels"]
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24
    assert len({panel["id"] for panel in panels}) == len(panels)


@pytest.mark.monitoring
def test_the_dashboards_expressions_are_promql(tmp_path: Path) -> None:
    found = [each.replace("$cec_job", ".+") for each in expressions(dashboard())]
    named = [{"record": f"a:b{number}", "expr": each} for number, each in enumerate(found)]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": named}]}))
    assert f"{len(found)} rules found" in promtool("check", "rules", tmp_path / "rules.yaml")


@pytest.mark.monitoring
def test_the_alerts_fire_when_they_should_and_not_else() -> None:
    promtool("check", "rules", GRAFANA / "alerts.yaml")
    assert "SUCCESS" in promtool("test", "rules", GRAFANA / "alerts.test.yaml")
    tried = (GRAFANA / "alerts.test.yaml").read_text("utf-8").partition("tests:")[2]
    for rule in rules()["groups"][0]["rules"]:
        assert f"alertname: {rule['alert']}\n        exp_alerts:" in tried, "an alert that no test sees fire"
