"""What is said of events that come one after the other: the same as of a log, whatever else comes."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from models.streamed.context import ContextNames
from streams.base.context import ContextOptions
from streams.base.names import BOOSTED, ONLINE
from streams.base.scored import Scoring, score
from streams.kafka.topics import UNSCORED
from streams.logs.event_log import load_log
from streams.logs.options import AS_FOUND
from streams.scoring.beginning import begin
from streams.scoring.scorer import EXPECTED, OWN, UNKNOWN
from streams.scoring.state import ScoringState
from tests.streams.scoring.world import (
    DELAY_MS,
    SHARE,
    START,
    by_event,
    log_in,
    message,
    messages,
    quiet,
    said,
    scorer_of,
    tail_of,
    taken,
)
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
    ScoringState(tmp_path).write(begun, {}, START)
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
        state.write(scorer, {(UNSCORED, 0): end}, START)
        if end == 200:
            continue
        said(scorer, came[end : end + 50])  # and then it is killed
        state = ScoringState(tmp_path)
        resumed = state.resume(START)
        assert resumed is not None and resumed[1] == {(UNSCORED, 0): end}
        scorer = resumed[0]
    assert found == undisturbed


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
