"""When all was as before: those devices back that had been there, and nobody behind."""

from collections.abc import Sequence

import msgspec

from monitor.state import State

CALM_LOOKS = 3  # so many looks in a row as before the faults: recovered
FEW_EVENTS = 50  # of lag are as good as none: what comes within a look


class Look(msgspec.Struct, frozen=True):
    """The devices that a broker and its proxy could reach at one moment."""

    at_s: float
    devices: frozenset[str]


def there_before(looks: Sequence[Look], began_s: float) -> frozenset[str]:
    """The devices that were there when the first fault began: who comes later stands in for nobody."""
    earlier = [look for look in looks if look.at_s < began_s] or list(looks[:1])
    return earlier[-1].devices if earlier else frozenset()


def recovered_after_s(looks: Sequence[Look], states: Sequence[State], began_s: float, ended_s: float) -> float | None:
    """How long after the last fault all was as before the first; None when never."""
    before = there_before(looks, began_s)
    earlier = [state for state in states if state.elapsed_s < began_s][-10:]
    behind = max([FEW_EVENTS, *(sum(state.lag_events.values()) for state in earlier)])
    caught_up = [(state.elapsed_s, sum(state.lag_events.values()) <= behind) for state in states]
    calm: list[float] = []
    for look in looks:
        if look.at_s < ended_s:
            continue
        well = before <= look.devices and next((ok for at_s, ok in reversed(caught_up) if at_s <= look.at_s), False)
        calm = [*calm, look.at_s] if well else []
        if len(calm) >= CALM_LOOKS:
            return round(calm[0] - ended_s, 1)
    return None
