"""What own events teach the fleet, for each of its regressions, side by side: as a device sums and reports it."""

import numpy as np

from models import prior_variance, repeats
from wire.arrays import F64

_REGRESSIONS = (repeats.REGRESSION, prior_variance.REGRESSION)
EVIDENCE = sum(each.evidence_width for each in _REGRESSIONS)  # of an event, and summed over the events of an interval
EQUATIONS = sum(each.width for each in _REGRESSIONS)  # of an interval that is over, and summed over intervals
_OF_REPEATS = repeats.REGRESSION.evidence_width  # of EVIDENCE, the first
INTERVAL = 10  # events that are compared with each other (`models.normal_equations`)
_TRAVELS = np.dtype("<f8")


def within(evidence: F64) -> F64:
    """The normal equations (EQUATIONS,) of one interval from its summed evidence (EVIDENCE,)."""
    of_repeats, of_variances = evidence[:_OF_REPEATS], evidence[_OF_REPEATS:]
    return np.concatenate([repeats.REGRESSION.within(of_repeats), prior_variance.REGRESSION.within(of_variances)])


def by_regression(equations: F64) -> tuple[F64, F64]:
    """The normal equations of repeats and those of prior variances."""
    of_repeats, of_variances = np.split(equations, [repeats.REGRESSION.width])
    return of_repeats, of_variances


def pack(equations: F64) -> bytes:
    """Summed normal equations (EQUATIONS,) as they travel: little-endian float64."""
    return bytes(equations.astype(_TRAVELS).tobytes())


def unpack(raw: bytes) -> F64 | None:
    """The normal equations in `raw`; None where it is none.

    >>> len(unpack(pack(np.ones(EQUATIONS)))) == EQUATIONS, unpack(b"123")
    (True, None)
    """
    if len(raw) != EQUATIONS * _TRAVELS.itemsize:
        return None
    equations = np.frombuffer(raw, _TRAVELS).astype(np.float64)
    return equations if np.isfinite(equations).all() else None
