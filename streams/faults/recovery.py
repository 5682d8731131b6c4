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


def back_after_s(looks: Sequence[Look], began_s: float, ended_s: float) -> float | None:
    """How long after the last fault all devices had a connection again that had one before the first; None: never."""
    before = there_before(looks, began_s)
    back = (look.at_s for look in looks if look.at_s >= ended_s and before <= look.devices)
    first_s = next(back, None)
    return None if first_s is None else round(first_s - ended_s, 1)


def recovered_after_s(looks: Sequence[Look], states: Sequence[State], began_s: float, ended_s: float) -> float | None:
    """How long after the last fault all was as before the first; None when never."""
    before = there_before(looks, began_s)
    lags = [(state.elapsed_s, sum(state.behind.values())) for state in states]
    behind = max([FEW_EVENTS, *[lag for at_s, lag in lags if at_s < began_s][-10:]])
    calm: list[float] = []
    for look in looks:
        if look.at_s < ended_s:
            continue
        lag = next((lag for at_s, lag in reversed(lags) if at_s <= look.at_s), None)
        calm = [*calm, look.at_s] if lag is not None and lag <= behind and before <= look.devices else []
        if len(calm) >= CALM_LOOKS:
            return round(calm[0] - ended_s, 1)
    return None
