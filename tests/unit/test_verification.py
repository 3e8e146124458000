"""Reading back: what the answer to a write shows is judged at once, and the rest, with a sample, is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.verification import ReadBack, find_changed_names
from connector.errors import UnreachableError
from connector.model import AttributeChange, Change, Holds, Outcome, Question, Result, Secret, User, UserRef, View
from connector.runtime.stopping import SettleTime, StopRequest
from tests.support.memory import MemoryDirectory, MemoryStore

SECRET = "SIPIdentityPassword"
VIEW = View(("uid", "employeeNumber", SECRET), frozenset({SECRET}))
COUNT = 20
LOST = "the server confirmed the write, but does not show employeeNumber as written"


class Showing(MemoryDirectory):
    """A directory that shows users in its answers; `alter` says how they differ from what is read."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store, VIEW)
        self.was_read: list[str] = []
        self.was_asked: list[Question] = []
        self.gone = False
        self.alter: Callable[[User], User | None] = lambda user: user
        self.readers_see: Callable[[User], User] = lambda user: user

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for outcome in super().write(changes):
            (shown,) = super().read([outcome.user])
            yield replace(outcome, shown=self.alter(shown)) if outcome.result is Result.WRITTEN else outcome

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        wanted = list(users)
        if self.gone and wanted:
            raise UnreachableError("gone")
        self.was_read += [user.id for user in wanted]
        return map(self.readers_see, super().read(wanted, disabled=disabled))

    def holds(self, questions: Iterable[Question]) -> Iterator[Holds]:
        wanted = list(questions)
        self.was_asked += wanted
        return super().holds(wanted)


def people(*, hidden: tuple[str, ...] = (), compares: bool = True) -> Showing:
    entries = {
        f"id{place}": (f"uid=user{place},dc=example", {"uid": [f"user{place}"], "cn": ["x"], "sn": ["x"]})
        for place in range(COUNT)
    }
    return Showing(MemoryStore(entries, hidden=hidden, compares=compares))


def without(user: User, attribute: str, *ids: str) -> User:
    if ids and user.id not in ids:
        return user
    return User(user.id, user.name, {name: values for name, values in user.values.items() if name != attribute})


def changes(attribute: AttributeChange) -> list[Change]:
    return [
        Change(UserRef(f"id{place}", f"uid=user{place},dc=example"), None, 1, (attribute,)) for place in range(COUNT)
    ]


NUMBER = AttributeChange("employeeNumber", (), ("7",))


def read_back(directory: Showing, settling: SettleTime | None = None) -> ReadBack:
    return ReadBack(directory, directory.describe(), settling or SettleTime(), lambda user, name, value: "")


def judged(directory: Showing, batch: list[Change], written: Iterable[Outcome]) -> dict[str, Outcome]:
    verifier = read_back(directory)
    found = ((change, verifier.judge_answer(change, each)) for change, each in zip(batch, written, strict=True))
    settled = {change.user.id: outcome for change, outcome in found if outcome is not None}
    return settled | {change.user.id: outcome for change, outcome in verifier.read_back()}


def outcomes(directory: Showing, attribute: AttributeChange = NUMBER) -> dict[str, Outcome]:
    batch = changes(attribute)
    found = judged(directory, batch, directory.write(batch))
    assert found.keys() == {change.user.id for change in batch}
    found = {change.user.id: found[change.user.id] for change in batch}
    assert all(outcome.shown is None for outcome in found.values()), "values of users are kept after their use"
    return found


def failed(found: dict[str, Outcome], why: str = LOST) -> list[str]:
    bad = [id_ for id_, outcome in found.items() if outcome.result is Result.FAILED]
    assert all(found[id_].why == why for id_ in bad)
    assert all(outcome.result is Result.WRITTEN for id_, outcome in found.items() if id_ not in bad)
    return bad


@pytest.mark.parametrize(
    ("shown", "hidden", "expected"), [(0, 0, False), (1, 0, True), (0, 1, False), (1, 1, False), (COUNT, 0, True)]
)
def test_the_next_batch_may_follow_at_once_where_somebody_was_shown_and_nobody_was_not(
    shown: int, hidden: int, expected: bool
) -> None:
    directory = people()
    verifier = read_back(directory)
    batch = changes(NUMBER)[: shown + hidden]
    for place, outcome in enumerate(directory.write(batch)):
        verifier.judge_answer(batch[place], outcome if place < shown else replace(outcome, shown=None))
    assert verifier.begin_batch() is expected


@pytest.mark.parametrize(("judged_so_far", "expected"), [(9, True), (10, False), (COUNT, False)])
def test_nothing_follows_an_answer_that_lacks_what_was_written(judged_so_far: int, expected: bool) -> None:
    """It is the answer of the tenth; the sample does not look at answers."""
    directory = people()
    directory.alter = lambda user: without(user, "employeeNumber", "id9")
    verifier, batch = read_back(directory), changes(NUMBER)[:judged_so_far]
    for change, outcome in zip(batch, directory.write(batch), strict=True):
        verifier.judge_answer(change, outcome)
    assert verifier.begin_batch() is expected


@pytest.mark.parametrize(
    "attribute", [NUMBER, AttributeChange(SECRET, (), (Secret("canary"),), secret=True, pattern="*")]
)
def test_a_user_that_is_gone_after_a_yes_has_failed_and_may_have_been_written(attribute: AttributeChange) -> None:
    directory = people(hidden=(SECRET,))
    directory.alter = lambda user: None
    batch = changes(attribute)
    written = list(directory.write(batch))
    directory.store.remove("id3")
    found = judged(directory, batch, written)
    gone = found.pop("id3")
    assert (gone.result, gone.may_stand, gone.lost) == (Result.FAILED, True, ())
    assert "the entry (it is gone, or outside base and filter)" in gone.why
    assert failed(found) == []


def test_who_is_shown_is_not_read_but_for_the_first_eight() -> None:
    directory = people()
    assert failed(outcomes(directory)) == []
    assert directory.was_read == [f"id{place}" for place in range(8)]


def test_who_is_not_shown_is_read_beside_the_sample() -> None:
    directory = people()
    directory.alter = lambda user: None if user.id in ("id0", "id15") else user
    assert failed(outcomes(directory)) == []
    assert directory.was_read == [*[f"id{place}" for place in range(9)], "id15"]


@pytest.mark.parametrize("shown", [True, False])
def test_what_the_directory_has_to_say_of_a_write_is_said_when_it_is_confirmed(*, shown: bool) -> None:
    directory = people()
    directory.alter = lambda user: user if shown else None
    batch = changes(NUMBER)
    found = judged(directory, batch, (replace(outcome, why="a note") for outcome in directory.write(batch)))
    assert {(outcome.result, outcome.why) for outcome in found.values()} == {(Result.WRITTEN, "a note")}


@pytest.mark.parametrize("lost", [False, True])
def test_what_an_answer_does_not_show_as_written_is_read_and_that_decides(lost: bool) -> None:
    """Behind a proxy an answer may lack what the entry has."""
    directory = people()
    directory.alter = lambda user: without(user, "employeeNumber", "id3", "id15")
    if lost:
        directory.readers_see = lambda user: without(user, "employeeNumber", "id15")
    assert failed(outcomes(directory)) == (["id15"] if lost else [])
    assert directory.was_read == [*[f"id{place}" for place in range(8)], "id15"]


def test_what_only_answers_show_and_readers_do_not_see_is_found_in_the_sample() -> None:
    directory = people()
    directory.readers_see = lambda user: without(user, "employeeNumber")
    assert failed(outcomes(directory)) == [f"id{place}" for place in range(8)]


def test_a_value_that_was_to_go_and_is_still_shown_was_not_taken_out() -> None:
    directory = people()
    outcomes(directory)
    directory.alter = directory.readers_see = lambda user: User(
        user.id, user.name, {**user.values, "employeeNumber": ("7",)}
    )
    gone = AttributeChange("employeeNumber", ("7",), ())
    assert failed(outcomes(directory, gone)) == [f"id{place}" for place in range(COUNT)]


def test_a_directory_that_goes_away_before_it_is_read_has_written_what_it_said_yes_to() -> None:
    directory = people()
    directory.gone = True
    found = list(outcomes(directory).values())
    assert {outcome.result for outcome in found} == {Result.WRITTEN}
    unread = [
        outcome.user.id for outcome in found if outcome.why == "the server confirmed the write; not read back: gone"
    ]
    assert sorted(unread) == [f"id{place}" for place in range(8)]


@pytest.mark.parametrize("answer", Holds)
def test_a_secret_that_is_shown_to_nobody_is_compared_without_a_search(answer: Holds) -> None:
    directory = people(hidden=(SECRET,), compares=answer is not Holds.UNKNOWN)
    secret = AttributeChange(SECRET, (), (Secret("canary"),), secret=True, seen=False, pattern="*")
    batch = changes(secret)
    written = list(directory.write(batch))
    if answer is not Holds.SAME:
        for change in batch[:10]:
            entry = directory.store.entries[change.user.id]
            kept = {name: values for name, values in entry.values.items() if name != SECRET.lower()}
            other = {**kept, SECRET: [b"other"]} if answer is Holds.OTHER else kept
            directory.store.put(entry.id, entry.name, other)
    found = judged(directory, batch, written)
    lost = answer in (Holds.OTHER, Holds.ABSENT)
    assert failed(found, LOST.replace("employeeNumber", SECRET)) == [f"id{place}" for place in range(10 if lost else 0)]
    assert len(directory.was_read) == 8
    assert len(directory.was_asked) == COUNT


# ---------------------------------------------------------------- readers that see it later


class Lagging(Showing):
    """Nobody sees what was written before the clock says so; no answer shows it. `clock` goes on by sleeping alone."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.now = 0.0
        self.seen_at = 0.0
        self.stop = StopRequest()
        self.asked_to_stop_at = 1e9
        self.alter = lambda user: None
        self.readers_see = lambda user: user if self.now >= self.seen_at else without(user, "employeeNumber")

    def settling(self, seconds: float) -> SettleTime:
        return SettleTime(seconds, self.stop, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.asked_to_stop_at:
            self.stop.end_run("asked")


def late(lag: float, settle: float, **more: float) -> tuple[Lagging, dict[str, Outcome]]:
    directory = Lagging(people().store)
    directory.seen_at, directory.asked_to_stop_at = lag, more.get("stop", 1e9)
    if directory.asked_to_stop_at == 0:
        directory.stop.end_run("asked")
    batch = changes(NUMBER)
    verifier = read_back(directory, directory.settling(settle))
    for change, outcome in zip(batch, directory.write(batch), strict=True):
        assert verifier.judge_answer(change, outcome) is None
    found = {change.user.id: outcome for change, outcome in verifier.read_back()}
    assert len(found) == COUNT
    return directory, found


@pytest.mark.parametrize(("lag", "waited"), [(0, 0), (0.05, 0.1), (0.3, 0.3), (4.9, 5), (5.1, 5)])
def test_a_batch_is_read_again_after_growing_pauses_until_it_is_seen_or_the_time_is_up(
    lag: float, waited: float
) -> None:
    directory, found = late(lag, 5)
    assert directory.now == pytest.approx(waited), "all users of a batch wait together"
    assert failed(found) == ([] if lag <= 5 else [f"id{place}" for place in range(COUNT)])
    assert len(directory.was_read) <= 8 * COUNT
    assert all(not outcome.may_stand for outcome in found.values())


def test_only_users_that_are_not_seen_yet_are_read_again() -> None:
    directory = Lagging(people().store)
    directory.readers_see = lambda user: user if directory.now >= 0.2 else without(user, "employeeNumber", "id3")
    batch = changes(NUMBER)
    verifier = read_back(directory, directory.settling(5))
    for change, outcome in zip(batch, directory.write(batch), strict=True):
        verifier.judge_answer(change, outcome)
    told = [change.user.id for change, _ in verifier.read_back()]
    assert (told[-1], len(told)) == ("id3", COUNT)
    assert directory.was_read[COUNT:] == ["id3", "id3"]


@pytest.mark.parametrize("stop", [0, 1e9])
def test_nobody_waits_where_the_settle_time_is_none_stopped_or_not(stop: float) -> None:
    directory, found = late(0.3, 0, stop=stop)
    assert directory.now == 0
    assert len(failed(found)) == COUNT
    assert len(directory.was_read) == COUNT
    assert all(not outcome.may_stand for outcome in found.values())


def test_what_an_answer_shows_as_it_was_is_read_where_there_is_time_to_settle() -> None:
    directory = Lagging(people().store)
    directory.seen_at = 0.3
    directory.alter = lambda user: without(user, "employeeNumber")
    batch = changes(NUMBER)
    verifier = read_back(directory, directory.settling(5))
    for change, outcome in zip(batch, directory.write(batch), strict=True):
        assert verifier.judge_answer(change, outcome) is None
    assert failed({change.user.id: outcome for change, outcome in verifier.read_back()}) == []


def test_a_request_to_stop_ends_the_wait_at_once_and_what_is_not_seen_may_stand() -> None:
    directory, found = late(3, 5, stop=1)
    assert directory.now == pytest.approx(1)
    assert {(outcome.result, outcome.may_stand) for outcome in found.values()} == {(Result.FAILED, True)}
    assert {outcome.why for outcome in found.values()} == {f"{LOST}; it may show later. Not awaited: asked"}


def test_a_directory_that_goes_away_while_it_is_waited_for_may_have_what_it_said_yes_to() -> None:
    directory = Lagging(people().store)
    directory.seen_at = 9
    batch = changes(NUMBER)
    settling = directory.settling(5)
    verifier = read_back(directory, settling)
    for change, outcome in zip(batch, directory.write(batch), strict=True):
        verifier.judge_answer(change, outcome)
    reads = iter(range(3))

    def gone(user: User) -> User:
        if user.id == "id0" and next(reads) == 1:
            raise UnreachableError("gone")
        return without(user, "employeeNumber")

    directory.readers_see = gone
    found = [outcome for _, outcome in verifier.read_back()]
    assert {(outcome.result, outcome.may_stand) for outcome in found} == {(Result.FAILED, True)}
    assert len(found) == COUNT
    assert verifier.blind == "the written values could not be read back: gone"


def waits(directory: Lagging, settling: SettleTime, *places: int) -> float:
    """How long a batch of these users waits; it has all of the time."""
    begun = directory.now
    batch = [each for number, each in enumerate(changes(NUMBER)) if number in places]
    settling.begin_batch()
    verifier = read_back(directory, settling)
    for change, outcome in zip(batch, directory.write(batch), strict=True):
        verifier.judge_answer(change, outcome)
    list(verifier.read_back())
    return directory.now - begun


def test_what_nobody_was_ever_shown_is_waited_for_once() -> None:
    """The account may write it and not read it."""
    directory = Lagging(people().store)
    directory.seen_at, settling = 1e9, directory.settling(5)
    assert waits(directory, settling, 1, 2) == pytest.approx(5)
    assert waits(directory, settling, 3, 4) == 0
    directory.seen_at = 0
    assert waits(directory, settling, 5) == 0
    directory.seen_at = 1e9
    assert waits(directory, settling, 6) == pytest.approx(5), "it was shown meanwhile"


def test_that_a_value_is_gone_does_not_tell_that_readers_would_show_one() -> None:
    directory = Lagging(people().store)
    directory.seen_at, settling = 1e9, directory.settling(5)
    assert waits(directory, settling, 1) == pytest.approx(5)
    clears = [replace(changes(NUMBER)[1], attributes=(AttributeChange("employeeNumber", ("7",), ()),))]
    verifier = read_back(directory, settling)
    for change, outcome in zip(clears, directory.write(clears), strict=True):
        verifier.judge_answer(change, outcome)
    assert [outcome.result for _, outcome in verifier.read_back()] == [Result.WRITTEN]
    assert waits(directory, settling, 2) == 0


@pytest.mark.parametrize(("renewed", "waited"), [(True, 5), (False, 0)])
def test_the_time_is_for_one_batch_altogether(renewed: bool, waited: float) -> None:
    directory = Lagging(people().store)
    settling = directory.settling(5)
    for _ in settling.wait_for_looks():
        pass
    if renewed:
        settling.begin_batch()
    begun = directory.now
    for _ in settling.wait_for_looks():
        pass
    assert directory.now - begun == pytest.approx(waited)


class Disabling(Showing):
    """By the time that anybody reads them, all users are disabled."""

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        return super().read(users, disabled=disabled) if disabled else iter(())


def test_users_that_are_disabled_right_after_their_write_are_read_back_and_told_apart_all_the_same() -> None:
    directory = Disabling(people().store)
    planned = changes(NUMBER)
    written = [replace(each, shown=None) for each in directory.write(planned)]
    assert failed(judged(directory, planned, written)) == []
    others = changes(AttributeChange("employeeNumber", ("8",), ("9",)))
    differs = find_changed_names(others, directory, directory.describe())
    assert differs.keys() == {each.user.id for each in others}


def test_somebody_who_was_not_asked_for_is_not_told_apart() -> None:
    class Talking(Showing):
        def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
            return super().read([*users, UserRef("id0", "uid=user0,dc=example")], disabled=disabled)

    directory, planned = Talking(people().store), changes(AttributeChange("employeeNumber", ("8",), ("9",)))[1:2]
    assert find_changed_names(planned, directory, directory.describe()).keys() == {"id1"}
