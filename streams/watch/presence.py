"""Whether the devices of a group are there: where most of them are away, that is how the group is."""

from collections.abc import Iterable, Sequence

from monitor.metrics import Metrics
from monitor.words import STEADY, WINDOW, Judgement, Look, Word
from streams.watch.heard import Heard


def presence(group: str, fleets: Iterable[Heard]) -> list[Look]:
    """How many devices of a group were connected (`position`) of those there are (`end`), in all fleets together."""
    labels, windows = f"devices={group}", []
    for fleet in fleets:
        there, connected = (fleet.series(each.name, labels) for each in (Metrics.devices, Metrics.group_connected))
        windows.append(
            [Look(at_ms, round(n), round(of), 0) for (at_ms, n), (_, of) in zip(connected, there, strict=True)]
        )
    newest_first = zip(*(reversed(looks) for looks in windows), strict=False)
    summed = [Look(each[0].at_ms, sum(x.position for x in each), sum(x.end for x in each), 0) for each in newest_first]
    return summed[::-1]


def judge_presence(window: Sequence[Look]) -> Judgement | None:
    """The word for a group most of whose devices have been away for a moment; None while most are there.

    >>> judge_presence([Look(0, 30, 40, 0), Look(1000, 19, 40, 0)])
    >>> judge_presence([Look(0, 0, 2, 0)] * STEADY)
    Judgement(word=<Word.DOWN: 'DOWN'>, rule='none of its 2 devices is connected', left_s=None)
    """
    looks = list(window)[-WINDOW:]
    if len(looks) < STEADY or any(2 * look.position >= look.end for look in looks[-STEADY:]):
        return None
    newest = looks[-1]
    if not newest.position:
        return Judgement(Word.DOWN, f"none of its {newest.end:,} devices is connected")
    came, over = newest.position - looks[0].position, f"over {(newest.at_ms - looks[0].at_ms) / 1000:.0f} s"
    said = f"{newest.position:,} of its {newest.end:,} devices are connected"
    if not came and len(looks) == WINDOW:
        return Judgement(Word.STALLED, f"{said}, and none came back {over}")
    moved = f"{came:,} came back" if came >= 0 else f"{-came:,} went away"
    return Judgement(Word.BEHIND, f"{said}, {moved} {over}")
