"""Which look-ups that found nobody are in doubt, and what is done about it: the questions of `proved`, answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from connector.matching.candidates import Candidates, prove_look_ups
from connector.matching.lookup import LookUpProof, is_plain, sample_value
from connector.matching.matches import settle_matches
from connector.matching.roster import AgentRoster
from connector.model import Agent, AttributeInfo, Description, Equality, Key, Tenant, User
from connector.model.mapping import AttributeRule, Mapping as Rules, MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from tests.support.asked import answering

RULES = Rules(
    match=(
        MatchRule(Template.parse("{accountCode}"), "uid"),
        MatchRule(Template.parse("{accountCode}@example.org"), "mail"),
        MatchRule(Template.parse("{sipAccount}"), "telephoneNumber"),
    ),
    attributes=(AttributeRule("employeeNumber", Template.parse("{workNo}")),),
)
INFOS = {name: AttributeInfo(name) for name in ("uid", "mail", "employeeNumber")}
INFOS["telephoneNumber"] = AttributeInfo("telephoneNumber", equality=Equality.TELEPHONE, single=False)
DESCRIPTION = Description("test", "test", INFOS)


def user(id_: str, **values: str) -> User:
    return User(id_, f"cn={id_},dc=example", {name: (value,) for name, value in values.items()})


ANN = user("ann", uid="ann")
DAN = user("dan", mail="dan@example.org", telephoneNumber="4")


class Case:
    """Agents that were looked up on a server which finds these users by these keys; `read`: all of them were read."""

    def __init__(self, *agents: Agent, finds: Mapping[Key, User], read: Iterable[User] | None = None) -> None:
        self.tenant = Tenant([*agents])
        self.roster = AgentRoster(self.tenant, RULES, (), DESCRIPTION)
        self.candidates = Candidates(self.roster, UserComparer(self.tenant, RULES, DESCRIPTION).draft_user)
        keys = [] if read is not None else list(self.candidates.list_wanted_keys())
        for found in read if read is not None else [finds[key] for key in keys if key in finds]:
            self.candidates.add_user(found)
        self.asked: list[str] = []
        self.scans = 0

    def proved(self, everybody: Iterable[User] = (), **proofs: LookUpProof) -> set[str]:
        """What nothing is proven of; `everybody`: who comes if all are read, `proofs`: else look-ups are fine."""

        def answer(attribute: str = "", *_: object, why: str = "") -> object:
            self.asked += [attribute] if attribute else []
            self.scans += bool(why)
            return everybody if why else proofs.get(attribute, LookUpProof.GIVEN)

        return set(prove_look_ups(answering(answer), self.candidates))

    def matched(self) -> set[str]:
        return {claim.id for claim in settle_matches(self.candidates, self.tenant).matched}


def test_an_attribute_that_has_found_somebody_is_not_in_doubt_and_one_that_nobody_was_sought_by_neither() -> None:
    case = Case(Agent(1, "ann"), Agent(2, "bob"), finds={("uid", "ann"): ANN})
    assert case.proved() == set()
    assert (case.asked, case.scans) == (["mail"], 0)


def test_whoever_holds_two_keys_proves_neither_attribute() -> None:
    """Dan was found by one of the two; bob has no line, and was sought by none."""
    finds = {("mail", "dan@example.org"): DAN, ("telephoneNumber", "4"): DAN}
    case = Case(Agent(4, "dan", "4"), finds=finds)
    case.proved()
    assert case.asked == ["mail", "uid"]
    case = Case(Agent(4, "dan", "4"), Agent(2, "bob"), finds=finds)
    case.proved()
    assert case.asked == ["mail", "uid"]
    case = Case(Agent(4, "dan", "4"), Agent(2, "bob", "2"), finds=finds)
    case.proved()
    assert case.asked == ["mail", "telephoneNumber", "uid"]


def test_what_no_user_shows_is_unproven_and_the_rest_is_believed() -> None:
    case = Case(Agent(1, "ann"), Agent(2, "bob", "2"), finds={("uid", "ann"): ANN})
    assert case.proved(telephoneNumber=LookUpProof.NONE) == {"telephoneNumber"}
    assert (case.asked, case.scans) == (["mail", "telephoneNumber"], 0)


def test_where_look_ups_by_one_attribute_lie_everybody_is_read_and_nothing_more_is_asked() -> None:
    """Mail is shown by somebody then, so that nobody has bob's; lines are shown by nobody."""
    case = Case(Agent(1, "ann"), Agent(2, "bob", "2"), Agent(3, "eve"), finds={("uid", "ann"): ANN})
    everybody = [ANN, user("x", uid="x", mail="x@example.org"), user("eve", uid="eve")]
    assert case.proved(everybody, mail=LookUpProof.REFUTED) == {"telephoneNumber"}
    assert (case.asked, case.scans) == (["mail"], 1)
    assert case.matched() == {"ann", "eve"}


def test_where_everybody_was_read_what_somebody_shows_is_proven() -> None:
    case = Case(Agent(1, "ann"), Agent(2, "bob", "2"), finds={}, read=[ANN])
    case.proved()
    assert case.asked == ["mail", "telephoneNumber"]
    case = Case(Agent(1, "ann"), Agent(2, "bob", "2"), finds={}, read=[ANN, DAN])
    case.proved()
    assert case.asked == []


@pytest.mark.parametrize(
    ("value", "plain"), [("ann", True), ("a b", True), (" ", False), ("", False), ("\u00e9", False), ("a\n", False)]
)
def test_a_plain_value_is_one_that_no_server_trips_over(value: str, plain: bool) -> None:
    assert is_plain(value) is plain


def test_somebody_who_shows_a_plain_value_tells_before_the_first_who_shows_another() -> None:
    odd, other, last = user("a", uid="\u00e9"), user("b", uid=" "), user("c", uid="ann")
    assert sample_value([odd, other, last, user("d", uid="zoe")], "uid") == ("c", "ann")
    assert sample_value([odd, other], "uid") == ("a", "\u00e9")
    assert sample_value([User("x", "cn=x", {"uid": (b"ann",)}), user("y", mail="ann")], "uid") is None
