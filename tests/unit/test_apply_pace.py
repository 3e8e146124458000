"""The pace of an apply, and what it tells: when it waits, when it ends, and that everybody is told of once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pytest
from msgspec.structs import replace

from connector.apply.engine import WriteResult
from connector.errors import StateError
from connector.model import AttributeChange, Change, Description, Outcome, Refused, Result, Secret, User, UserRef, View
from connector.model.limits import ApplyPace
from connector.observers.observer import Observers
from connector.runtime.stopping import SettleTime, StopRequest
from tests.support.applying import apply
from tests.support.memory import MemoryDirectory, MemoryStore

SEAT = "employeeNumber"
SECRET = "SIPIdentityPassword"
VIEW = View(("uid", SEAT, SECRET), frozenset({SECRET}))
NO = "no"


class Noting:
    """A journal, and an observer, that keep everything in its order."""

    def __init__(self) -> None:
        self.settled: list[tuple[str, Outcome]] = []
        self.intended: list[str] = []
        self.left: list[tuple[str, Outcome]] = []

    def note_writes(self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change] = ()) -> None:
        self.settled += [(change.user.id, outcome) for change, outcome in settled]
        self.intended += [change.user.id for change in intended]

    def note_unwritten(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        self.left += [(change.user.id, outcome) for change, outcome in left]


class Hearing(Observers):
    """Remembers what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[Outcome] = []

    def note_outcome(self, change: Change, outcome: Outcome, run: str | None = None) -> None:
        self.told.append(outcome)


class Strange(MemoryDirectory):
    """Refuses some users, shows what it wrote of others, and remembers what is done to it, in its order.

    `results`: what becomes of users that are not written. `shows`: whether an answer shows its user. `floods`: how many
    changes each call of `write` was given; `read_back`: who was read, but for what answers show.
    """

    def __init__(self, store: MemoryStore, results: dict[str, Result], *, batch: int = 4) -> None:
        super().__init__(store, VIEW)
        self.results = results
        self.batch = batch
        self.shows: Callable[[User], User | None] = lambda user: None
        self.classes_first = False
        self.floods: list[list[str]] = []
        self.done: list[str] = []
        self.read_back: list[str] = []

    def describe(self) -> Description:
        described = super().describe()
        return replace(
            described, writing=replace(described.writing, batch=self.batch, classes_first=self.classes_first)
        )

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        wanted = list(users)
        self.read_back += [user.id for user in wanted]
        return super().read(wanted, disabled=disabled)

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        self.floods.append([])
        for change in changes:
            self.floods[-1].append(change.user.id)
            result = self.results.get(change.user.id)
            if result is not None:
                yield Outcome(change.user, result, NO)
                continue
            self.done.append(change.user.id)
            for outcome in super().write([change]):
                (user,) = super().read([change.user])
                yield replace(outcome, shown=self.shows(user))


def people(count: int, *, hidden: Sequence[str] = (), classes: Sequence[str] = ("inetOrgPerson",)) -> MemoryStore:
    entries = {
        f"id{n}": (f"uid=u{n},dc=example", {"objectClass": classes, "uid": [f"u{n}"], SEAT: [str(n)]})
        for n in range(count)
    }
    return MemoryStore(entries, hidden=hidden)


def seat(n: int, old: str | None = None, new: str | None = None, after: Iterable[int] = ()) -> Change:
    attribute = AttributeChange(SEAT, (old or str(n),), (new or f"new{n}",), unique=True)
    user = UserRef(f"id{n}", f"uid=u{n},dc=example")
    return Change(user, None, 1, (attribute,), f"sha256:{n}", frozenset(f"id{other}" for other in after))


def applied(
    directory: Strange,
    changes: Sequence[Change],
    *,
    ramp: tuple[int, ...] = (),
    most: int = 100,
    left: Sequence[tuple[Change, Outcome]] = (),
    stop: StopRequest | None = None,
    refused: Mapping[str, Refused] | None = None,
) -> tuple[WriteResult, Hearing, Noting]:
    """An apply, of which each user is told once, and that is noted as it is told."""
    hearing, noting = Hearing(), Noting()
    done = apply(
        changes, directory, directory.describe(), noting, hearing, pace=ApplyPace(ramp, most), left=left, stop=stop,
        refused=refused or {},
    )  # fmt: skip
    told = [outcome.user.id for outcome in hearing.told]
    assert len(told) == len(set(told))
    assert sorted(hearing.told, key=lambda one: one.user) == sorted(done.outcomes, key=lambda one: one.user)
    assert {change.user.id for change in changes} <= set(told)
    assert dict(noting.settled) | dict(noting.left) == {outcome.user.id: outcome for outcome in done.outcomes}
    return done, hearing, noting


def by_result(done: WriteResult) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for outcome in done.outcomes:
        found.setdefault(outcome.result.value, []).append(outcome.user.id)
    return found


def ids(*numbers: int) -> list[str]:
    return [f"id{number}" for number in numbers]


# ---------------------------------------------------------------- who was refused before

BEFORE = {f"id{n}": Refused(frozenset({SEAT}), 1, n, NO) for n in range(5)}


def test_whoever_was_refused_before_goes_last_a_few_at_a_time_while_nobody_is_refused_again() -> None:
    directory = Strange(people(6), {})
    done, _, _ = applied(directory, [seat(n) for n in range(6)], ramp=(1,), most=2, refused=BEFORE)
    assert directory.floods == [ids(5), ids(0, 1), ids(2, 3), ids(4)]
    assert (by_result(done), done.turns, done.stopped) == ({"written": ids(*range(6))}, frozenset(ids(*range(5))), None)


@pytest.mark.parametrize("again", [(0,), (1,), (0, 1)])
def test_once_one_is_refused_again_the_others_wait_for_the_next_run_and_nothing_is_stopped(
    again: tuple[int, ...],
) -> None:
    """Their refusals are no failures that end it, be one more the last that may be."""
    directory = Strange(people(6), dict.fromkeys(ids(5, *again), Result.FAILED), batch=1)
    done, _, _ = applied(directory, [seat(n) for n in range(6)], most=2, refused=BEFORE)
    assert [user for flood in directory.floods for user in flood] == ids(5, 0, 1)
    assert (done.turns, done.stopped) == (frozenset(ids(0, 1)), None)
    waiting = [outcome for outcome in done.outcomes if outcome.result is Result.SKIPPED]
    assert [outcome.user.id for outcome in waiting] == ids(2, 3, 4)
    assert all("Each run tries at most 2 of them (max_failures)" in outcome.why for outcome in waiting)


def test_where_writing_has_ended_whoever_was_refused_before_is_not_sent_for_the_same_reason() -> None:
    directory = Strange(people(6), {"id5": Result.FAILED})
    done, _, _ = applied(directory, [seat(0), seat(5)], most=1, refused=BEFORE)
    assert (directory.floods, done.turns) == ([ids(5)], frozenset())
    assert done.outcomes[0].why == "not sent: 1 writes failed (max_failures)"


# ---------------------------------------------------------------- the ramp


@pytest.mark.parametrize("result", [Result.FAILED, Result.CONFLICT])
@pytest.mark.parametrize(("size", "what"), [(1, "first user"), (3, "3 users of this step")])
def test_nothing_follows_a_step_of_the_ramp_of_which_nothing_is_confirmed(result: Result, size: int, what: str) -> None:
    directory = Strange(people(12), dict.fromkeys(ids(*range(size)), result))
    done, _, noting = applied(directory, [seat(n) for n in range(12)], ramp=(size, 2))
    assert by_result(done) == {result.value: ids(*range(size)), "skipped": ids(*range(size, 12))}
    assert done.stopped == f"no write was confirmed for the {what}"
    assert {outcome.why for outcome in done.outcomes[size:]} == {f"not sent: {done.stopped}"}
    assert directory.floods == [ids(*range(size))]
    assert noting.intended == ids(*range(size))


def test_nor_does_it_after_a_later_step_of_the_ramp() -> None:
    directory = Strange(people(12), dict.fromkeys(ids(2, 3, 4), Result.FAILED))
    done, _, _ = applied(directory, [seat(n) for n in range(12)], ramp=(2, 3, 4))
    assert by_result(done) == {"written": ids(0, 1), "failed": ids(2, 3, 4), "skipped": ids(*range(5, 12))}


@pytest.mark.parametrize("confirmed", [None, Result.UNCHANGED])
def test_one_that_is_confirmed_is_enough_to_go_on(confirmed: Result | None) -> None:
    """Whoever says it already is confirmed, too."""
    results = dict.fromkeys(ids(0, 1, 2), Result.FAILED)
    if confirmed:
        results["id2"] = confirmed
    else:
        del results["id2"]
    directory = Strange(people(8), results)
    done, _, _ = applied(directory, [seat(n) for n in range(8)], ramp=(3,))
    assert done.stopped is None
    assert by_result(done).get("written", []) == ids(*([2] if confirmed is None else []), *range(3, 8))


def test_a_batch_behind_the_ramp_of_which_nothing_is_confirmed_ends_nothing() -> None:
    directory = Strange(people(12), dict.fromkeys(ids(1, 2, 3, 4), Result.CONFLICT))
    done, _, _ = applied(directory, [seat(n) for n in range(12)], ramp=(1,))
    assert by_result(done) == {"written": ids(0, *range(5, 12)), "conflict": ids(1, 2, 3, 4)}


def test_nor_does_one_where_object_classes_come_first() -> None:
    directory = Strange(people(12), dict.fromkeys(ids(1, 2, 3, 4), Result.CONFLICT))
    directory.classes_first = True
    done, _, _ = applied(directory, [seat(n) for n in range(12)], ramp=(1,))
    assert by_result(done) == {"written": ids(0, *range(5, 12)), "conflict": ids(1, 2, 3, 4)}


def test_where_a_step_of_the_ramp_is_all_that_there_is_nothing_is_said_of_others() -> None:
    done, _, _ = applied(Strange(people(2), dict.fromkeys(ids(0, 1), Result.FAILED)), [seat(0), seat(1)], ramp=(2,))
    assert (done.stopped, by_result(done)) == (None, {"failed": ids(0, 1)})


def test_steps_of_the_ramp_are_written_and_read_back_one_after_the_other() -> None:
    directory = Strange(people(10), {})
    directory.shows = lambda user: user
    done, _, _ = applied(directory, [seat(n) for n in range(10)], ramp=(1, 2, 3))
    assert by_result(done) == {"written": ids(*range(10))}
    assert directory.floods == [ids(0), ids(1, 2), ids(3, 4, 5), ids(6, 7, 8, 9)]


def test_the_ramp_goes_on_from_one_step_to_the_next() -> None:
    """Somebody waits for the first, so that there are two steps."""
    directory = Strange(people(8), {}, batch=8)
    directory.shows = lambda user: user
    changes = [seat(0), seat(1, new="0", after=[0]), *(seat(n, after=[0]) for n in range(2, 6))]
    done, _, _ = applied(directory, changes, ramp=(1, 2))
    assert by_result(done) == {"written": ids(*range(6))}
    assert directory.floods == [ids(0), ids(1, 2), ids(3, 4, 5)]


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize("most", [1, 2, 3])
def test_so_many_failures_end_it_and_conflicts_are_none(most: int) -> None:
    results = {f"id{n}": Result.CONFLICT if n % 2 else Result.FAILED for n in range(20)}
    done, _, _ = applied(Strange(people(20), results, batch=1), [seat(n) for n in range(20)], most=most)
    assert len(by_result(done)["failed"]) == most
    assert by_result(done)["skipped"] == ids(*range(2 * most - 1, 20))
    assert done.stopped == f"{most} writes failed (max_failures)"


def test_nothing_is_noted_as_about_to_be_written_once_too_much_has_failed() -> None:
    directory = Strange(people(60), {"id14": Result.FAILED}, batch=12)
    directory.shows = lambda user: user
    done, _, noting = applied(directory, [seat(n) for n in range(60)], most=1)
    assert by_result(done) == {"written": ids(*range(14)), "failed": ids(14), "skipped": ids(*range(15, 60))}
    assert noting.intended == ids(*range(15)), "so many as are noted at once, and no more"


def test_a_directory_that_sends_no_more_ends_it_and_its_own_words_are_told() -> None:
    why = "not sent (the server is gone)"

    class Gone(Strange):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for change in changes:
                if change.user.id in ("id2", "id3"):
                    yield Outcome(change.user, Result.SKIPPED, why)
                else:
                    yield from super().write([change])

    done, _, noting = applied(Gone(people(12), {}), [seat(n) for n in range(12)])
    assert by_result(done) == {"written": ids(0, 1), "skipped": ids(*range(2, 12))}
    assert {outcome.why for outcome in done.outcomes[2:]} == {why}
    assert noting.intended[-1] != "id11", "nothing more is noted as about to be written"


def test_asked_to_stop_it_tells_all_that_are_left_why() -> None:
    stop = StopRequest()

    class Asking(Strange):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for outcome in super().write(changes):
                if outcome.user.id == "id5":
                    stop.end_run("asked to stop")
                yield outcome

    done, _, _ = applied(Asking(people(30), {}), [seat(n) for n in range(30)], ramp=(2,), stop=stop)
    written = by_result(done)["written"]
    assert ids(*range(6)) == written[:6]
    assert by_result(done)["skipped"] == ids(*range(len(written), 30))
    assert {outcome.why for outcome in done.outcomes[len(written) :]} == {"not sent: asked to stop"}


def test_nothing_is_begun_any_more_once_it_is_not_known_what_became_of_a_write() -> None:
    class Doubtful(Strange):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for outcome in super().write(changes):
                unknown = outcome.user.id == "id14"
                yield Outcome(outcome.user, Result.FAILED, "no answer", unknown=True) if unknown else outcome

    directory = Doubtful(people(60), {}, batch=12)
    directory.shows = lambda user: user
    done, _, noting = applied(directory, [seat(n) for n in range(60)])
    assert by_result(done) == {"written": ids(*range(14)), "failed": ids(14), "skipped": ids(*range(15, 60))}
    assert noting.intended == ids(*range(15)), "so many as are noted at once, and no more"
    assert done.stopped == "the results of earlier writes are unknown"


@pytest.mark.parametrize("notes", [0, 1, 2, 3])
def test_a_journal_that_has_failed_is_left_alone_and_nothing_more_is_written(notes: int) -> None:
    """So many notes can be taken; those of whom nothing is noted any more are told all the same."""

    class Full(Noting):
        def note_writes(self, settled: Sequence[tuple[Change, Outcome]], intended: Sequence[Change] = ()) -> None:
            nonlocal notes
            assert notes >= 0 or not intended, "something more is about to be written"
            notes -= 1
            if notes < 0:
                raise StateError("the disk is full")
            super().note_writes(settled, intended)

        def note_unwritten(self, left: Iterable[tuple[Change, Outcome]]) -> None:
            assert notes >= 0, "the journal has failed"
            super().note_unwritten(left)

    directory, hearing, full = Strange(people(30), {}), Hearing(), Full()
    changes = [seat(0, new="1", after=[1]), seat(1, new="0", after=[0]), *(seat(n) for n in range(2, 30))]
    done = apply(changes, directory, directory.describe(), full, hearing, pace=ApplyPace((1, 2), 100))
    assert done.stopped == "nothing is written without the journal: the disk is full"
    assert [outcome.user.id for outcome in done.outcomes] == ids(*range(30))
    assert set(directory.done) <= set(full.intended)
    lost = [outcome for outcome in done.outcomes if outcome.why.startswith("written, but not noted in the journal")]
    assert {outcome.user.id for outcome in lost} == set(directory.done) - {id_ for id_, _ in full.settled}


# ---------------------------------------------------------------- who waits for whom


def test_who_could_not_let_go_is_told_of_once_and_by_its_own_reason() -> None:
    """Two swap, and the first cannot let go of its seat: its rest is not tried, and the other one waits in vain."""
    for result in (Result.FAILED, Result.CONFLICT):
        directory = Strange(people(3), {"id0": result})
        done, _, noting = applied(directory, [seat(0, new="1", after=[1]), seat(1, new="0", after=[0]), seat(2)])
        first, second, third = done.outcomes
        assert (first.result, first.why) == (result, NO)
        assert second.result is Result.SKIPPED
        assert "the write that frees this value" in second.why
        assert "a part of its change was written" not in second.why
        assert third.result is Result.WRITTEN
        assert noting.intended.count("id0") == 1


@pytest.mark.parametrize("last", ["id0", "id1"])
def test_who_has_let_go_when_it_ends_is_told_that_the_next_run_sets_the_rest(last: str) -> None:
    """Two swap; somebody asks to stop when the first has let go, or when the other has its seat."""
    stop = StopRequest()

    class Asking(Strange):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            for outcome in super().write(changes):
                if outcome.user.id == last:
                    stop.end_run("asked to stop")
                yield outcome

    directory = Asking(people(2), {})
    changes = [seat(0, new="1", after=[1]), seat(1, new="0", after=[0])]
    done = apply(changes, directory, directory.describe(), Noting(), Hearing(), stop=stop)
    first, second = done.outcomes
    assert first.result is Result.SKIPPED
    assert "a part of its change was written" in first.why
    if last == "id0":
        assert (second.result, second.why) == (Result.SKIPPED, "not sent: asked to stop")
    else:
        assert second.result is Result.WRITTEN


def test_of_who_has_let_go_and_got_the_rest_only_the_whole_is_the_last_word() -> None:
    directory = Strange(people(2), {})
    hearing = Hearing()
    changes = [seat(0, new="1", after=[1]), seat(1, new="0", after=[0])]
    done = apply(changes, directory, directory.describe(), Noting(), hearing)
    assert by_result(done) == {"written": ids(0, 1)}
    assert [values[1][SEAT] for values in directory.store.snapshot().values()] == [("1",), ("0",)]


def test_what_was_left_out_on_purpose_is_told_first_and_never_written() -> None:
    directory = Strange(people(4), {})
    aside = Outcome(UserRef("id3", "uid=u3,dc=example"), Result.SKIPPED, "left out (--only)")
    done, hearing, noting = applied(directory, [seat(0), seat(1)], left=[(seat(3), aside)])
    assert hearing.told[0] == aside
    assert noting.left == [("id3", aside)]
    assert done.outcomes[0] == aside
    assert directory.done == ids(0, 1)


# ---------------------------------------------------------------- what answers do not show


def secret(n: int) -> Change:
    unseen = AttributeChange(SECRET, (), (Secret(f"p{n}"),), secret=True, seen=False, pattern="*")
    return replace(seat(n), attributes=(seat(n).attributes[0], unseen))


@pytest.mark.parametrize(
    ("shows", "floods"),
    [
        ("everything", [12, 48]),
        ("nothing", [12, 12, 12, 12, 12]),
        ("not its secrets", [12, 12, 12, 12, 12]),
        ("not one of the first", [12, 48]),
        ("not one of the third", [12, 24, 24]),
    ],
)
def test_a_batch_of_which_something_was_not_shown_is_read_back_before_the_next(shows: str, floods: list[int]) -> None:
    """Answers that are shown need not be waited for; but for the first batch, and for those that are not."""
    hides = [SECRET] if shows == "not its secrets" else []
    directory = Strange(people(60, hidden=hides, classes=("inetOrgPerson", "SIPIdentity")), {}, batch=12)
    hidden = {"nothing": range(60), "not one of the first": [2], "not one of the third": [30]}.get(shows, ())
    unshown = set(ids(*hidden))

    def shown(user: User) -> User | None:
        return None if user.id in unshown else user

    directory.shows = shown
    done, _, _ = applied(directory, [secret(n) for n in range(60)])
    assert by_result(done) == {"written": ids(*range(60))}
    assert [len(flood) for flood in directory.floods] == floods


def test_sixteen_batches_at_most_go_out_before_the_sample_of_them_is_read_back() -> None:
    directory = Strange(people(35), {}, batch=1)
    directory.shows = lambda user: user
    applied(directory, [seat(n) for n in range(35)])
    assert [len(flood) for flood in directory.floods] == [1, 16, 16, 2]


def test_of_every_batch_some_are_read_back_although_they_were_shown() -> None:
    directory = Strange(people(60), {}, batch=12)
    directory.shows = lambda user: user
    applied(directory, [seat(n) for n in range(60)])
    assert directory.read_back == ids(*(n for n in range(60) if n % 12 < 8))


def test_where_object_classes_come_first_only_who_gets_some_besides_is_written_twice() -> None:
    """In one step of the ramp, and behind it; each step begins with its object classes."""

    log: list[list[tuple[str, str]]] = []

    class Strict(Strange):
        def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
            log.append([])
            for change in changes:
                log[-1].append((change.user.id, " ".join(each.name for each in change.attributes)))
                yield from super().write([change])

    added = AttributeChange("objectClass", (), ("cecAgent",))
    taken = AttributeChange("objectClass", ("SIPIdentity",), ())
    plain = [seat(n) for n in range(8)]
    changes = [
        replace(each, attributes={0: (added,), 1: (*each.attributes, taken), 2: (added, *each.attributes)}.get(
            n % 4, each.attributes
        ))
        for n, each in enumerate(plain)
    ]  # fmt: skip
    directory = Strict(people(8, classes=("inetOrgPerson", "SIPIdentity")), {})
    directory.classes_first = True
    done, hearing, _ = applied(directory, changes, ramp=(4,))
    assert by_result(done) == {"written": ids(*range(8))}
    assert [outcome.user.id for outcome in hearing.told] == ids(*range(8))
    for at, floods in ((0, log[:2]), (4, log[2:])):
        first, then = ids(at + 2)[0], ids(*range(at, at + 4))
        assert floods == [
            [(first, "objectClass")],
            [*zip(then, ["objectClass", f"{SEAT} objectClass", SEAT, SEAT], strict=True)],
        ]


class Lagging(Strange):
    """Readers see a user's latest write three seconds after it, by a clock that sleeping alone moves."""

    now = 0.0

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store, {})
        self.since: dict[str, tuple[float, User]] = {}

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Iterator[User]:
        for user in super().read(users, disabled=disabled):
            written, before = self.since.get(user.id, (-9.0, user))
            yield user if self.now >= written + 3 else before

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        for change in changes:
            (before,) = MemoryDirectory.read(self, [change.user])
            yield from super().write([change])
            self.since[change.user.id] = (self.now, before)


def test_all_rounds_of_a_batch_wait_together_however_many_they_are() -> None:
    """A directory that takes one attribute a request."""

    class Singly(Lagging):
        def describe(self) -> Description:
            described = super().describe()
            return replace(described, writing=replace(described.writing, singly=True))

    directory = Singly(people(1, classes=("inetOrgPerson", "SIPIdentity")))
    more = AttributeChange("uid", ("u0",), ("v0",))
    changes = [replace(secret(0), attributes=(*secret(0).attributes, more))]
    settling = SettleTime(5, clock=lambda: directory.now, sleep=directory.sleep)
    done = apply(changes, directory, directory.describe(), Noting(), Hearing(), settling=settling)
    assert directory.now == pytest.approx(5)
    assert by_result(done) == {"failed": ["id0"]}


@pytest.mark.parametrize(("rounds", "waited", "result"), [(False, 6.2, "written"), (True, 5, "failed")])
def test_each_batch_may_wait_and_its_rounds_wait_together(rounds: bool, waited: float, result: str) -> None:
    """Two batches of one user each; or one batch of one user whose object class goes first."""
    directory = Lagging(people(2))
    directory.batch, directory.classes_first = 1, rounds
    added = AttributeChange("objectClass", (), ("cecAgent",))
    changes = [seat(n) for n in range(2)]
    if rounds:
        changes = [replace(changes[0], attributes=(added, *changes[0].attributes))]
    settling = SettleTime(5, clock=lambda: directory.now, sleep=directory.sleep)
    noting, pace = Noting(), ApplyPace((), 100)
    done = apply(changes, directory, directory.describe(), noting, Hearing(), pace=pace, settling=settling)
    assert directory.now == pytest.approx(waited)
    assert by_result(done) == {result: [change.user.id for change in changes]}
