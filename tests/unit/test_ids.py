"""Users whose ids somebody else than the directory gives, or that show none: nothing is written to the wrong one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.sync import dry_run
from connector.directories.common.entries import Entry
from connector.directories.port import Directory
from connector.errors import DeniedError
from connector.model import UNIDENTIFIED, Agent, AttributeInfo, Description, Plan, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

SEAT = "employeeNumber"
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),), (AttributeRule(SEAT, Template.parse("{workNo}")),)
)


class Given(MemoryDirectory):
    """A directory that shows ids as `given`, by uid."""

    given: dict[str, str]
    chosen: AttributeInfo | None = None
    why = ""

    def describe(self) -> Description:
        described = super().describe()
        return replace(described, naming=replace(described.naming, chosen_id=self.chosen, unidentified=self.why))

    def entries(self, attributes: Collection[str] = (), *, disabled: bool = False) -> Iterator[Entry]:
        for entry in super().entries(attributes, disabled=disabled):
            (uid,) = entry.values["uid"]
            yield replace(entry, id=self.given.get(uid.decode(), entry.id))


def plan(given: dict[str, str], agents: Iterable[str], *, chosen: bool = True, why: str = "") -> Plan:
    """Of four users, some agents' ones are to be changed."""
    values = {"objectClass": ["inetOrgPerson"]}
    store = MemoryStore({f"id-{n}": (f"uid=u{n},{BASE}", {**values, "uid": [f"u{n}"]}) for n in range(4)})
    world = World(Tenant([Agent(n, agent) for n, agent in enumerate(agents)]), store, MAPPING)

    def connect(view: View) -> Directory:
        found = Given(store, view, base=BASE, filter=FILTER)
        found.given, found.why = given, why
        found.chosen = AttributeInfo("cn") if chosen else None
        return found

    world.connect = connect
    with world.context() as context:
        return dry_run(context, lambda plan, outcomes: None).plan


def changed(found: Plan) -> list[str]:
    return [change.user.name[4:6] for change in found.changes]


def held(found: Plan) -> list[tuple[str, str]]:
    return [(each.users[0][4:6], each.why) for each in found.problems if each.kind == "unreadable"]


def test_who_shares_an_id_with_another_user_is_not_written_and_both_are_named() -> None:
    found = plan({"u3": "id-1"}, ["u0", "u1"])
    assert changed(found) == ["u0"]
    ((user, why),) = held(found)
    assert user == "u1"
    assert "id-1" in why
    assert "cn" in why
    assert f"uid=u3,{BASE}" in why
    assert (changed(plan({}, ["u0", "u1"])), held(plan({}, ["u0", "u1"]))) == (["u0", "u1"], [])


def test_where_the_directory_gives_ids_nobody_is_looked_for_who_shares_one() -> None:
    assert changed(plan({"u3": "id-1"}, ["u0", "u1"], chosen=False)) == ["u0", "u1"]


@pytest.mark.parametrize("why", ["", "the server keeps its ids to itself"])
def test_a_user_that_shows_no_id_is_not_written_and_others_are(why: str) -> None:
    found = plan({"u1": f"{UNIDENTIFIED}uid=u1,{BASE}"}, ["u0", "u1"], chosen=False, why=why)
    assert changed(found) == ["u0"]
    ((user, said),) = held(found)
    assert user == "u1"
    assert said == why if why else said


@pytest.mark.parametrize("why", ["", "the server keeps its ids to itself"])
def test_where_no_user_shows_an_id_nothing_is_planned_at_all(why: str) -> None:
    """But where somebody else gives ids, for then some may have none yet."""
    given = {f"u{n}": f"{UNIDENTIFIED}uid=u{n},{BASE}" for n in range(4)}
    with pytest.raises(DeniedError, match=why or "nor does any other") as fault:
        plan(given, ["u2", "u1"], chosen=False, why=why)
    assert fault.value.where == f"uid=u1,{BASE}"
    assert (changed(plan(given, ["u2", "u1"])), len(held(plan(given, ["u2", "u1"])))) == ([], 2)
