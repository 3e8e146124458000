"""Find or scan: the cheaper one, by counts, and never both unless the size was not to be known."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pytest

from connector.apply.lookup import DirectoryLookup
from connector.directories.port import Read
from connector.errors import FileError, IncompleteRead, TruncatedError
from connector.matching.candidates import Candidates
from connector.matching.lookup import LookUpProof
from connector.matching.matches import settle_matches
from connector.matching.near_misses import SAMPLE, near_misses
from connector.matching.roster import AgentRoster
from connector.model import Agent, AttributeInfo, Description, Key, NearMiss, Tenant, User, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.observers.observer import Observer
from connector.planning.compare_user import UserComparer
from tests.support.memory import MemoryDirectory, MemoryStore


class Counted(MemoryDirectory):
    """A directory that only counts how it is asked."""

    def __init__(self, users: int, size: int | None) -> None:
        super().__init__(MemoryStore({}), View(()))
        self._users, self._size = users, size
        self.scanned = self.found = 0

    def size(self) -> int | None:
        return self._size

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        for number in range(self._users):
            self.scanned += 1
            yield User(str(number), f"uid={number}", {})

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        for name, value in keys:
            self.found += 1
            yield User(name, value, {})


class Told(Observer):
    """An observer that remembers how users were looked up, and all else that it was told."""

    def __init__(self) -> None:
        self.how: list[object] = []
        self.told: list[tuple[str, dict[str, object]]] = []

    def begin_stage(self, name: str, **details: object) -> None:
        self.told.append((name, details))
        if "how" in details:
            self.how.append(details["how"])


@pytest.mark.parametrize(
    ("keys", "users", "size", "read", "how", "scanned", "found"),
    [
        (100, 1000, 1000, "auto", ["find"], 0, 100),
        (500, 1000, 1000, "auto", ["scan"], 1000, 0),
        (500, 1000, 1000, "find", ["find"], 0, 500),
        (1, 1000, 1000, "scan", ["scan"], 1000, 0),
        (100, 100_000, None, "auto", ["find"], 0, 100),
        (4000, 9_000, None, "auto", ["scan"], 9_000, 0),
        (4000, 100_000, None, "auto", ["scan", "find"], 10_001, 4000),
        (0, 100, None, "auto", [], 0, 0),
    ],
)
def test_the_cheaper_way_is_taken(
    keys: int, users: int, size: int | None, read: Read, how: list[str], scanned: int, found: int
) -> None:
    directory, told = Counted(users, size), Told()
    wanted = (("uid", str(number)) for number in range(keys))
    seen = list(DirectoryLookup(directory, read, told).search(wanted, keys))
    assert told.how == how
    assert all((name, details["wanted"]) == ("look-up", keys) for name, details in told.told)
    assert (directory.scanned, directory.found) == (scanned, found)
    assert len(seen) == scanned + found


def test_whoever_was_read_with_all_others_proves_look_ups_until_somebody_is_looked_up() -> None:
    directory = Counted(1000, 1000)
    asking = DirectoryLookup(directory, "auto", Told())

    def proof_after(keys: int) -> tuple[LookUpProof, int]:
        list(asking.search([("uid", "x")] * keys, keys))
        before = directory.found
        proof = asking.prove("uid", ("1", "1"))
        return proof, directory.found - before

    assert proof_after(500) == (LookUpProof.GIVEN, 0)
    assert proof_after(100) == (LookUpProof.REFUTED, 1)


def test_what_the_first_look_up_showed_of_the_size_serves_the_second() -> None:
    directory, told = Counted(100_000, None), Told()
    asking = DirectoryLookup(directory, "auto", told)
    for count in (20_000, 10_000):
        list(asking.search([("uid", str(number)) for number in range(count)], count))
    assert told.how == ["scan", "find", "find"]
    assert directory.scanned == 50_001
    assert directory.found == 30_000


@pytest.mark.parametrize(
    ("share", "how", "scanned"),
    [
        (0.0, ["scan", "find"], 1_000),
        (0.1, ["scan", "find"], 1_000),
        (0.19, ["scan", "find"], 1_000),
        (0.2, ["scan", "find"], 2_500),
        (0.21, ["scan", "find"], 2_500),
        (0.3, ["scan", "find"], 2_500),
        (0.5, ["scan"], 9_000),
        (1.0, ["scan"], 9_000),
    ],
)
def test_a_scan_whose_first_users_are_not_the_wanted_ones_is_given_up_early(
    share: float, how: list[str], scanned: int
) -> None:
    directory, told = Counted(9_000, None), Told()
    asking = DirectoryLookup(directory, "auto", told)
    list(asking.search([("uid", "x")] * 4_000, 4_000, found=lambda: int(directory.scanned * share)))
    assert told.how == how
    assert directory.scanned == scanned
    list(asking.search([("uid", "x")] * 3_000, 3_000))
    assert told.how[-1] == "find", "what was seen of the size serves the next"


@pytest.mark.parametrize(("wanted", "how"), [(40_000, ["scan", "find", "find"]), (40_001, ["scan", "find", "scan"])])
def test_the_wanted_among_the_first_users_tell_how_large_the_directory_is(wanted: int, how: list[str]) -> None:
    """Of the first 1,000 users 100 are wanted, and in the end 10,000 are found: probably there are 100,000."""
    directory, told = Counted(30_000, None), Told()
    asking = DirectoryLookup(directory, "auto", told)

    def found() -> int:
        return (directory.scanned + 9 * directory.found) // 10

    list(asking.search([("uid", "x")] * 11_000, 11_000, found=found))
    list(asking.search([("uid", "x")] * wanted, wanted))
    assert told.how == how
    assert directory.scanned == (1_000 if how[-1] == "find" else 31_000)


# ---------------------------------------------------------------- whether look-ups can be trusted


class Blind(Counted):
    """A directory whose users show what nobody finds them by."""

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        return (User(user.id, user.name, {"uid": (user.id,)}) for user in super().scan(holding))

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        self.found += len(list(keys))
        return iter(())


@pytest.mark.parametrize("shown", [("1", "1"), None])
def test_a_directory_that_does_not_find_whom_it_shows_is_read_whole_and_asked_no_more(
    shown: tuple[str, str] | None,
) -> None:
    directory, told = Blind(1000, 1000), Told()
    asking = DirectoryLookup(directory, "auto", told)
    assert asking.prove("uid", shown) is (LookUpProof.REFUTED)
    why = "look-ups by uid cannot be trusted"
    assert told.told == [("look-up", {"how": "scan", "why": why, "wanted": 0})]
    assert directory.scanned == (0 if shown else 1), "the first user that shows a value is the witness"
    assert asking.prove("uid", shown) is (LookUpProof.GIVEN if shown else LookUpProof.NONE)
    assert directory.found == 1


def test_a_job_that_says_find_is_refused_where_look_ups_find_nobody() -> None:
    with pytest.raises(IncompleteRead, match="look-ups by uid do not find even a user that shows a value"):
        DirectoryLookup(Blind(1000, 1000), "find", Told()).prove("uid", ("1", "1"))


@pytest.mark.parametrize(
    ("users", "shown", "proof"),
    [(1000, ("7", "7"), LookUpProof.REFUTED), (1000, ("uid", "7"), LookUpProof.GIVEN), (1000, None, LookUpProof.NONE)],
)
def test_only_the_very_user_that_is_known_to_be_there_proves_look_ups(
    users: int, shown: tuple[str, str] | None, proof: LookUpProof
) -> None:
    """`Counted` answers each look-up with somebody whose id is the attribute's name, and its users show nothing."""
    directory = Counted(users, users)
    assert DirectoryLookup(directory, "auto", Told()).prove("uid", shown) is (proof)
    assert directory.scanned == (0 if shown else 100), "a witness is looked for among a few of the first users"


def test_a_server_that_cannot_be_read_whole_has_no_witness() -> None:
    class Unlisted(Counted):
        def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
            raise TruncatedError("no more than ten", where="a test")

    assert DirectoryLookup(Unlisted(1000, 1000), "auto", Told()).prove("uid", None) is (LookUpProof.NONE)


@pytest.mark.parametrize("read", ["auto", "scan"])
def test_what_has_no_equality_rule_is_not_looked_up(read: Read) -> None:
    directory, told = Counted(1000, 1000), Told()
    list(DirectoryLookup(directory, read, told).search([("photo", "1")], 1, unfindable=("photo", "sound")))
    assert told.how == ["scan"]
    assert told.told[0][1]["why"] == "photo and sound has no equality rule"
    with pytest.raises(FileError, match="no look-ups by photo and sound"):
        list(DirectoryLookup(directory, "find", told).search([("photo", "1")], 1, unfindable=("photo", "sound")))


@pytest.mark.parametrize("wanted", [400, 401])
def test_more_than_two_fifths_of_the_users_are_read_with_all_others(wanted: int) -> None:
    directory, told = Counted(1000, 1000), Told()
    list(DirectoryLookup(directory, "auto", told).search([("uid", "1")] * wanted, wanted))
    assert told.how == (["find"] if wanted == 400 else ["scan"])


@pytest.mark.parametrize(
    ("wanted", "at_least", "how"),
    [(2000, 0, "find"), (2001, 0, "scan"), (4000, 10_000, "find"), (4001, 10_000, "scan")],
)
def test_few_are_looked_up_where_the_size_is_not_known(wanted: int, at_least: int, how: str) -> None:
    told = Told()
    list(DirectoryLookup(Counted(100, None), "auto", told, at_least).search([("uid", "1")] * wanted, wanted))
    assert told.how == [how]


@pytest.mark.parametrize("users", [0, 1, 2_500])
def test_an_unknown_directory_that_was_read_to_its_end_has_exactly_so_many(users: int) -> None:
    asking = DirectoryLookup(Counted(users, None), "auto", Told())
    assert len(list(asking.search([("uid", "x")] * 4_000, 4_000))) == users
    assert asking.at_least == users


def test_a_scan_shows_how_many_there_are_at_least() -> None:
    for before, users, after in ((0, 3000, 3000), (5000, 3000, 5000), (0, 9_000, 7502)):
        asking = DirectoryLookup(Counted(users, None), "auto", Told(), before)
        list(asking.search([("uid", "1")] * 3001, 3001))
        assert asking.at_least == after


def test_past_base_and_filter_is_looked_where_it_can_be() -> None:
    inside, beyond = Counted(10, 10), Counted(10, 10)
    keys = [("uid", "1")]
    assert list(DirectoryLookup(inside, "auto", Told()).find_outside(keys)) == []
    asking = DirectoryLookup(inside, "auto", Told(), beyond=lambda: beyond)
    assert len(list(asking.find_outside(keys))) == 1
    assert (inside.found, beyond.found) == (0, 1)


# ---------------------------------------------------------------- near misses

NEAR = Description("test", "test", {name: AttributeInfo(name) for name in ("uid", "employeeNumber")})
ANN = User("id-ann", "uid=a nn", {"uid": ("a nn",)})


class Strict(Counted):
    """A directory of few users that answers one look-up and then no more."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        yield ANN
        raise TruncatedError("that is enough", where="a test")


class Nearby(Counted):
    """A directory in which everybody is `ANN`."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        self.found += len(list(keys))
        yield ANN

    def scan(self, holding: Collection[str] = ()) -> Iterator[User]:
        return (ANN for _ in super().scan(holding))


def almost(
    directory: Counted, read: Read = "auto", account: str = "ann", observer: Observer | None = None
) -> tuple[list[NearMiss], str]:
    """Whom the one agent of a tenant is near, and what was left out."""
    rules = (MatchRule(Template.parse("{accountCode}"), "uid"),)
    mapping = Mapping(rules, (AttributeRule("employeeNumber", Template.parse("{workNo}")),))
    tenant = Tenant([Agent(1, account)])
    roster = AgentRoster(tenant, mapping, (), NEAR)
    verdicts = settle_matches(Candidates(roster, UserComparer(tenant, mapping, NEAR).draft_user), tenant)
    told, left_out = near_misses(DirectoryLookup(directory, read, observer or Observer()), verdicts, roster, NEAR)
    return [near for problem in told.unmatched.values() for near in problem.near], left_out


def test_near_misses_are_looked_up_and_told() -> None:
    directory, told = Nearby(1000, None), Told()
    assert almost(directory, observer=told) == ([NearMiss("uid=a nn", "uid", "a nn", "spaces")], "")
    assert told.told == [("near misses", {"keys": directory.found, "agents_left_out": 0})]
    assert directory.found > 1
    assert directory.scanned == SAMPLE, "a few users show what values look like"


def test_a_directory_that_does_not_answer_is_told_and_ends_nothing() -> None:
    assert almost(Strict(3, None)) == ([], "the search failed: a test: that is enough")


class Gone(Counted):
    """A directory that cannot be reached, which it says as soon as it is asked."""

    def find(self, keys: Iterable[Key]) -> Iterator[User]:
        raise TruncatedError("nobody answers", where="a test")


def test_what_is_raised_as_soon_as_a_question_is_put_is_the_planners_to_catch() -> None:
    assert almost(Gone(3, None)) == ([], "the search failed: a test: nobody answers")


def test_looking_up_near_misses_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.apply.lookup.NEAR_SECONDS", 0)
    directory = Nearby(1000, None)
    assert almost(directory)[1].startswith("stopped after 0 seconds")
    assert directory.found == 0


def test_where_users_are_not_looked_up_so_many_of_them_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.apply.lookup.NEAR_USERS", 500)
    large, small = Nearby(1000, None), Nearby(500, None)
    assert almost(large, "scan")[1] == "searched among the first 500 users (`read: scan`)"
    assert almost(small, "scan") == ([NearMiss("uid=a nn", "uid", "a nn", "spaces")], "")
    assert (large.scanned, small.scanned) == (SAMPLE + 501, SAMPLE + 500)
    assert (large.found, small.found) == (0, 0)
