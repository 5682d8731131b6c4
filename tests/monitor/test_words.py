"""Each word, each way from one to another, and that figures alone decide, not how large they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.words import RESOLUTION_MS, SILENT_MS, WINDOW, Look, Word, judge


def looks(position: list[int], end: list[int], caught_up: bool = False) -> list[Look]:
    """One a second; `until_ms` is long ago unless everything is done."""
    return [
        Look(1_000_000 + 1000 * n, p, e, 1_000_000 + 1000 * n if caught_up else 5)
        for n, (p, e) in enumerate(zip(position, end, strict=True))
    ]


def steady(per_s: int, left: int = 0, seconds: int = WINDOW) -> list[Look]:
    return looks([per_s * n for n in range(seconds)], [per_s * n + left for n in range(seconds)])


@pytest.mark.parametrize(
    ("window", "word", "said"),
    [
        (steady(0), Word.IDLE, "nothing came over 9 s, and nothing is left"),
        (steady(50), Word.FRESH, "450 done and 450 came over 9 s"),
        (steady(50, left=70), Word.BEHIND, "70 to do, 450 done and 450 came over 9 s: not catching up"),
        (steady(0, left=70), Word.STALLED, "70 to do, and none done over 9 s"),
        ([], Word.IDLE, "nothing to do was ever seen"),
        (looks([0] * 10, [9 * n + 1 for n in range(10)]), Word.STALLED, "82 to do"),
        (looks(list(range(10)), [9 * n + 9 for n in range(10)]), Word.BEHIND, "falling back"),
    ],
)
def test_a_word_and_its_rule(window: list[Look], word: Word, said: str) -> None:
    judgement = judge(window, silent_ms=0)
    assert judgement.word == word and said in judgement.rule


def test_whoever_catches_up_is_told_how_long_it_takes() -> None:
    judgement = judge(looks([100 * n for n in range(10)], [2000 + 50 * n for n in range(10)]), 0)
    assert judgement.word is Word.BEHIND and "catching up" in judgement.rule
    assert judgement.left_s == pytest.approx((2000 - 450) / 50)


def test_what_is_left_of_the_last_moments_is_not_behind() -> None:
    """Positions are an epoch old: at 5,000 events/s thousands are always left, none of them old."""
    window = [Look(1000 * n, 5000 * n, 5000 * (n + 2), 1000 * n - 2000) for n in range(3, 13)]
    assert judge(window, 0).word is Word.FRESH
    old = [Look(look.at_ms, look.position, look.end, look.at_ms - RESOLUTION_MS - 1) for look in window]
    assert judge(old, 0).word is Word.BEHIND


def test_a_process_that_says_nothing_is_down_whatever_it_said_last() -> None:
    for window in (steady(0), steady(50), steady(0, left=3)):
        assert judge(window, SILENT_MS).word is Word.DOWN
        assert judge(window, SILENT_MS - 1).word is not Word.DOWN
    assert judge(steady(50), 12_000).rule == "its process is silent since 12 s"
    assert judge(steady(50), 0, ended=True).word is Word.DOWN


@pytest.mark.parametrize(
    ("then", "now"),
    [
        (steady(50), steady(50, left=70)),
        (steady(50, left=70), steady(0, left=70)),
        (steady(0, left=70), steady(50)),
        (steady(50), steady(0)),
        (steady(0), steady(50, left=9)),
    ],
)
def test_a_word_changes_once_the_window_is_of_the_new_kind(then: list[Look], now: list[Look]) -> None:
    words = [judge([*then[n:], *now[:n]], 0).word for n in range(WINDOW + 1)]
    assert words[0] == judge(then, 0).word and words[-1] == judge(now, 0).word != words[0]


@given(st.integers(2, 10**9), st.integers(1, 10**9))
def test_no_figure_is_too_small_or_too_large_for_a_word(per_s: int, left: int) -> None:
    assert judge(steady(per_s, left), 0).word is Word.BEHIND
    assert judge(steady(0, left), 0).word is Word.STALLED
    assert judge(steady(per_s), 0).word is Word.FRESH


def test_a_process_that_began_just_now_is_not_stalled_before_a_window_was_seen() -> None:
    assert judge(steady(0, left=5, seconds=3), 0).word is Word.BEHIND
