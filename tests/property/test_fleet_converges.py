"""Schedules converge: whatever two sets of job files say, after an apply of each there is nothing left to do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.property.test_fleet_calendars import crons
from tests.support.examples import examples
from tests.support.fleet import Fleet
from tests.support.temporal import Temporal

pytestmark = pytest.mark.temporal

every = st.builds("{}{}".format, st.integers(1, 99), st.sampled_from("smhd")).map(lambda text: {"every": text})
cron = st.builds(
    lambda text, zone: {"cron": text, "timezone": zone},
    crons.filter(lambda text: not set(text.split()[2].replace("/", ",").split(",")) & {"30", "31"}),
    st.sampled_from([None, "UTC", "Europe/Berlin", "America/Sao_Paulo"]),
)
serve = st.builds(
    lambda rule, jitter, mode: {**rule, "jitter": jitter, "mode": mode},
    st.one_of(every, cron), st.sampled_from([None, "1s", "90s", "2h"]), st.sampled_from([None, "apply", "dry-run"]),
)  # fmt: skip
folders = st.dictionaries(st.sampled_from("abcd"), st.one_of(st.none(), serve), min_size=1)


@settings(max_examples=examples(15), suppress_health_check=[HealthCheck.too_slow])
@given(st.tuples(folders, folders))
def test_a_second_apply_has_nothing_to_do(
    tmp_path_factory: pytest.TempPathFactory, temporal_server: Temporal, folders: tuple[dict[str, Any], dict[str, Any]]
) -> None:
    fleet = Fleet(tmp_path_factory.mktemp("fleet"), temporal_server)
    scheduled: set[str] = set()
    for jobs in folders:
        for path in fleet.folder.glob("?.yaml"):
            path.unlink()
        for name, said in jobs.items():
            fleet.job(name, serve=said)
        made = fleet.schedule("--apply")
        assert made.code == 0, made.said
        scheduled = {name for name, said in jobs.items() if said or name in scheduled}
        fleet.lists({f"cec-connector/{name}" for name in scheduled})
        number = f"{len(scheduled)} schedule{'' if len(scheduled) == 1 else 's'}"
        assert fleet.schedule().out == f"0 changes, {number} in step.\n"
        paused = {name for name in scheduled if fleet.described(name)["schedule"]["state"].get("paused")}
        assert paused == {name for name in scheduled if not jobs[name]}
