"""What is said of events that come one after the other: the same as of a log, whatever else comes."""

import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from models.quorum import LEAD_MS
from models.streamed.boosted import Boosted
from models.streamed.context import ContextNames
from streams.base.context import ContextOptions
from streams.base.model import Met
from streams.base.names import BOOSTED, ONLINE
from streams.base.scored import Scoring, score
from streams.base.training import Job
from streams.bus import Message
from streams.kafka.topics import UNSCORED
from streams.logs.event_log import load_log
from streams.logs.options import AS_FOUND
from streams.scoring.beginning import begin
from streams.scoring.came import DUPLICATE, LATE
from streams.scoring.scorer import EXPECTED, OWN, UNKNOWN, Outgoing, Scorer
from streams.scoring.state import FILE, ScoringState
from tests.streams.scoring.world import (
    DELAY_MS,
    NOW_MS,
    SHARE,
    START,
    by_event,
    keep,
    log_in,
    message,
    messages,
    quiet,
    said,
    scorer_of,
    tail_of,
    taken,
)
from wire.errors import InputError
from wire.event import EVENT_BYTES, Event, decode_event, encode_event
from wire.reason import Reason


@pytest.mark.parametrize("base", [ONLINE, BOOSTED])
def test_of_a_stream_it_says_what_a_scored_log_says_however_it_comes(base: str, tmp_path: Path) -> None:
    path = log_in(tmp_path)
    scored = by_event(score(load_log(path), base, Scoring(initial_share=SHARE, delay_ms=DELAY_MS), quiet))
    came = messages(tail_of(path))
    assert len({scored[event.event_id] for event in tail_of(path)}) > 300, "it says something"
    for batch in (7, len(came)):
        assert said(scorer_of(path, base), came, batch).items() <= scored.items()


def test_a_log_without_a_positive_is_refused(tmp_path: Path) -> None:
    rows = "".join(f"u{n},i{n},0,{10**12 + n}\n" for n in range(9))
    (tmp_path / "log.csv").write_text(f"user_id,item_id,label,timestamp\n{rows}")
    with pytest.raises(InputError, match="no event is a positive, so there is nothing to learn"):
        scorer_of(tmp_path / "log.csv", ONLINE)


def test_what_it_knows_of_contexts_is_what_a_scored_log_knows_also_after_a_restart(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    header, *rows = path.read_text().splitlines()
    shown = [f"{row},{('top', 'side', 'end')[n * 7 % 3]}" for n, row in enumerate(rows)]
    path.write_text("\n".join([f"{header},place", *shown, ""]))
    options, known = ContextOptions(item_context="place"), ContextNames(("place",))
    log = load_log(path)
    scored = by_event(score(log, ONLINE, Scoring(initial_share=SHARE, context=known), quiet))
    came = [
        message(encode_event(replace(event, context={"place": place})), offset)
        for offset, (event, place) in enumerate(
            zip(tail_of(path), [row.split(",")[-1] for row in shown[-480:]], strict=True)
        )
    ]
    begun = begin(path, SHARE, AS_FOUND, base=ONLINE, delay_ms=DELAY_MS, context=options, seed=0, show=quiet)
    found = said(begun, came[:200])
    keep(ScoringState(tmp_path), begun)
    resumed = ScoringState(tmp_path).resume(START)
    assert resumed is not None
    assert (found | said(resumed[0], came[200:])).items() <= scored.items() and len(came) == 480
    assert set(found.values()).isdisjoint(said(scorer_of(path, ONLINE), came[:200]).values()), "it says something"


@pytest.mark.parametrize("base", [ONLINE, BOOSTED])
def test_whoever_goes_on_from_its_state_says_the_same_to_the_bit(base: str, tmp_path: Path) -> None:
    path = log_in(tmp_path)
    came = messages(tail_of(path))
    undisturbed = said(scorer_of(path, base), came)
    scorer, state, found = scorer_of(path, base), ScoringState(tmp_path), dict[str, float | None]()
    for first, end in pairwise((0, 90, 200, 310, len(came))):  # some of it is written on what was written before
        found |= said(scorer, came[first:end])
        keep(state, scorer, {(UNSCORED, 0): end})
        if end == 200:
            continue
        said(scorer, came[end : end + 50])  # and then it is killed
        state = ScoringState(tmp_path)
        resumed = state.resume(START)
        assert resumed is not None and resumed[1] == {(UNSCORED, 0): end}
        scorer = resumed[0]
    assert found == undisturbed


def test_the_hand_that_it_was_given_trains_also_what_who_goes_on_begins_again(tmp_path: Path) -> None:
    path, given = log_in(tmp_path), list[Job]()

    def hand(job: Job) -> Future[Boosted]:
        given.append(job)
        return Future()

    scorer = begin(path, SHARE, AS_FOUND, base=BOOSTED, delay_ms=DELAY_MS, seed=0, show=quiet, hand=hand)
    said(scorer, messages(tail_of(path))[:300])
    keep(ScoringState(tmp_path), scorer)
    assert len(given) == 1
    ScoringState(tmp_path).resume(START, hand)
    first, again = (job(lambda: None) for job in given)
    assert first.state() == again.state()


def test_what_says_an_expectation_passes_as_it_is_and_what_it_began_with_too(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    scorer, (first, second, *_) = scorer_of(path, ONLINE), tail_of(path)
    raws = [encode_event(replace(first, base=-1.5)), encode_event(replace(first, event_id="old", timestamp=1))]
    raws += [encode_event(replace(second, context={"tab": 3}))]
    out = taken(scorer, [message(raw, n) for n, raw in enumerate(raws)])
    assert [event.said for event in out.events] == [OWN, UNKNOWN, EXPECTED] and not out.refused
    assert [event.value for event in out.events[:2]] == raws[:2]
    expected = decode_event(out.events[2].value)
    assert replace(expected, base=None) == decode_event(raws[2]) and expected.base is not None
    assert [event.user_id for event in out.events] == [first.user_id, first.user_id, second.user_id]
    assert [event.produced_ms for event in out.events] == [1000, 1001, 1002]


def test_an_event_goes_on_as_it_was_written_but_for_its_base(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    scorer, (first, second, *_) = scorer_of(path, ONLINE), tail_of(path)
    raw = encode_event(first)[:-1] + b', "context": {"price": 0.10}, "shop": [7]}\n'
    room = EVENT_BYTES - len(encode_event(replace(second, context={"text": ""})))
    full = encode_event(replace(second, context={"text": "x" * room}))
    out = taken(scorer, [message(raw, 0), message(full, 1)]).events
    assert out[0].value.startswith(raw[:-2] + b',"base":') and out[0].said == EXPECTED
    assert (out[1].value, out[1].said) == (full, UNKNOWN), "with a base nobody could take it"


def test_it_learns_of_an_event_that_says_its_own(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    events = [replace(event, item_id="new", category_id="new", label=1) for event in tail_of(path)[:100]]
    asked = replace(tail_of(path)[200], item_id="new", category_id="new")
    came = messages([*(replace(event, base=0.0) for event in events), asked])
    knows, does_not = said(scorer_of(path, ONLINE), came), said(scorer_of(path, ONLINE), came[-1:])
    known, unknown = knows[asked.event_id], does_not[asked.event_id]
    assert known is not None and unknown is not None and known > unknown + 0.1


def test_what_can_t_be_read_is_refused_with_its_reason_and_place_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    event = tail_of(path)[0]
    raws = [b"", b"\xff{", encode_event(event), b"[" * 70_000]
    out = taken(scorer_of(path, ONLINE), [message(raw, 5 + n, partition=2) for n, raw in enumerate(raws)])
    assert [decode_event(each.value).event_id for each in out.events] == [event.event_id]
    assert [(letter.reason, letter.raw) for letter in out.refused] == [
        (Reason.MALFORMED, raws[0]),
        (Reason.MALFORMED, raws[1]),
        (Reason.TOO_LARGE, raws[3]),
    ]
    places = [(letter.origin.source, letter.origin.partition, letter.origin.offset) for letter in out.refused]
    assert places == [("unscored", 2, 5), ("unscored", 2, 6), ("unscored", 2, 8)]


@pytest.mark.parametrize("away_ms", [50 * 60_000, -10 * 60_000])
def test_a_clock_that_is_wrong_changes_little_for_others(away_ms: int, tmp_path: Path) -> None:
    path = log_in(tmp_path)
    events, some = tail_of(path), tail_of(path)[::10]
    wrong = [replace(e, user_id="w", event_id=f"w{n}", timestamp=e.timestamp + away_ms) for n, e in enumerate(some)]
    both = [each for n, event in enumerate(events) for each in ([event] if n % 10 else [event, wrong[n // 10]])]
    right, beside = said(scorer_of(path, ONLINE), messages(events)), said(scorer_of(path, ONLINE), messages(both))
    assert len(beside) == len(both)
    pairs = np.array([(right[event.event_id], beside[event.event_id]) for event in events[len(events) // 2 :]], float)
    assert np.corrcoef(pairs.T)[0, 1] > 0.9


def test_an_event_of_another_year_is_refused_and_teaches_nothing(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    events = tail_of(path)
    far = Event("far", "w", "i", "c", "click", 1, events[0].timestamp + 400 * 86_400_000)
    scorer = scorer_of(path, ONLINE)
    out = taken(scorer, messages([*events[:50], far, *events[50:]]))
    assert [letter.reason for letter in out.refused] == [Reason.AHEAD] and scorer.waiting == 0
    found = {event.event_id: event.base for event in (decode_event(each.value) for each in out.events)}
    assert found == said(scorer_of(path, ONLINE), messages(events), len(events))


def test_a_partition_in_which_nothing_comes_holds_nothing_up(tmp_path: Path) -> None:
    path = log_in(tmp_path)
    came = messages(tail_of(path))
    apart = [came[0]._replace(partition=1), *came[1:]]  # where nothing comes any more
    assert said(scorer_of(path, ONLINE), apart) == said(scorer_of(path, ONLINE), came)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), again=st.integers(1, 300), restart=st.integers(0, 300))
def test_what_comes_again_goes_on_as_it_came_and_changes_nothing(
    seed: int, again: int, restart: int, begun: Path
) -> None:
    dice, firsts = random.Random(seed), tail_of(log_in(begun))[:200]
    once, scorer, came = resumed(begun), resumed(begun), doubled(firsts, again, dice)
    undisturbed = passed(once, messages(firsts), dice)
    out = passed(scorer, came[:restart], dice)
    write_whole(scorer, folder := begun / "again")
    scorer = resumed(folder)
    out += passed(scorer, came[restart:], dice)
    assert [each for each in out if each.said != DUPLICATE] == undisturbed
    repeats = Counter(message.value for message in came) - Counter(map(encode_event, firsts))
    assert Counter(each.value for each in out if each.said == DUPLICATE) == repeats, "as they came, and all of them"
    assert at_rest(scorer, folder) == at_rest(once, folder)


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A folder with the state of a scorer that has begun."""
    keep(ScoringState(tmp_path), scorer_of(log_in(tmp_path), ONLINE))
    return tmp_path


def resumed(folder: Path) -> Scorer:
    found = ScoringState(folder).resume(START)
    assert found is not None
    return found[0]


def doubled(firsts: Sequence[Event], again: int, dice: random.Random) -> list[Message]:
    """So many of them once more, some with other words, anywhere after they came."""
    came = [encode_event(event) for event in firsts]
    for _ in range(again):
        event = dice.choice(firsts)
        said = encode_event(replace(event, base=1.5, label=1 - event.label) if dice.random() < 0.2 else event)
        came.insert(dice.randint(came.index(encode_event(event)) + 1, len(came)), said)
    return [message(raw, n) for n, raw in enumerate(came)]


def passed(scorer: Scorer, came: Sequence[Message], dice: random.Random) -> list[Outgoing]:
    """What goes on when they come in parts of any size, but for when they were produced, which is told of offsets."""
    out, at = list[Outgoing](), 0
    while at < len(came):
        end = at + dice.randint(1, 90)
        found = taken(scorer, came[at:end])
        assert not found.refused
        out += [each._replace(produced_ms=NOW_MS) for each in found.events]
        at = end
    return out


def write_whole(scorer: Scorer, folder: Path) -> None:
    """Where nothing is yet."""
    folder.mkdir(exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    for people in (scorer.service.people, scorer.came):
        people._changed = set(people._people)
    keep(ScoringState(folder), scorer)


def at_rest(scorer: Scorer, folder: Path) -> dict[str, list[tuple[object, ...]]]:
    """All that it writes down, in whatever parts a slice came."""
    scorer.service._slice = [Met.concat(scorer.service._slice)]
    write_whole(scorer, folder)
    with closing(sqlite3.connect(folder / FILE)) as database:
        tables = ("scorer", "parts", "people", "came")
        return {table: database.execute(f"SELECT * FROM {table}").fetchall() for table in tables}


def test_what_comes_again_is_known_in_whatever_partition_and_held_or_not(begun: Path) -> None:
    *before, then, last = tail_of(log_in(begun))[:20]
    later_ms = then.timestamp + 2 * LEAD_MS
    raw, scorer = encode_event(replace(then, timestamp=later_ms)), resumed(begun)
    out = taken(scorer, [*messages(before), message(encode_event(before[-1]), 18, partition=1)]).events
    assert [each.said for each in out] == [EXPECTED] * 18 + [DUPLICATE]
    assert not taken(scorer, [message(raw, 18), message(raw, 19)]).events and scorer.waiting == 2
    others = [replace(last, event_id=f"{n}", user_id=f"{n}", timestamp=later_ms) for n in range(9)]
    out = taken(scorer, messages(others, first=20)).events
    assert [each.said for each in out if decode_event(each.value).event_id == then.event_id] == [EXPECTED, DUPLICATE]


def test_what_comes_again_and_so_lets_go_of_the_first_goes_on_behind_it(begun: Path) -> None:
    first, then, *_ = tail_of(log_in(begun))
    raw = encode_event(replace(then, timestamp=then.timestamp + 2 * LEAD_MS))  # of two users, two claims that agree do
    out = taken(resumed(begun), [message(encode_event(first), 0), message(raw, 1), message(raw, 2)]).events
    assert [each.said for each in out] == [EXPECTED, EXPECTED, DUPLICATE]


def test_what_may_have_come_before_teaches_nothing_and_is_known_to_be_late(begun: Path) -> None:
    events = tail_of(log_in(begun))
    event, scorer, once = events[0], resumed(begun), resumed(begun)
    later = [replace(each, timestamp=each.timestamp + n * 600_000) for n, each in enumerate(events[:40])]
    firsts = [replace(each, user_id=event.user_id) for each in later]
    undisturbed = passed(once, messages(firsts), random.Random(0))
    out = passed(scorer, messages([*firsts, firsts[-8], firsts[-6], firsts[0]]), random.Random(0))
    assert out[: len(firsts)] == undisturbed
    assert [each.said for each in out[len(firsts) :]] == [LATE, DUPLICATE, LATE]
    assert [each.value for each in out[len(firsts) :]] == [encode_event(firsts[n]) for n in (-8, -6, 0)]
    assert at_rest(scorer, begun / "late") == at_rest(once, begun / "late")
