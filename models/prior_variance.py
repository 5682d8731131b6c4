"""Prior variances: how far users differ from what the cloud model expects, by kind of weight, as the fleet tells it.

How much a head may make of a user's few samples is not to be known beforehand: on one log users differ by category, on
another by single items, on a third not at all. The whole fleet knows (empirical Bayes). What a head of own samples says
of a coming event has a part for each kind: taste, the item's bias, the category's. Where the priors are right parts are
calibrated: the regression of what comes on them has slope 1. A kind of too small a variance has been shrunk too much,
and its slope is above 1; where users don't differ in a kind, its part is noise of slope 0. As long as samples are few,
a part is proportional to its prior variance. So the regression on

    part / how many times the recipe's the variance was that the part was made with

has slopes that say how many times the recipe's it should be, whatever devices were told before. The usual step (EM on
the marginal likelihood of a head's own samples) would also ask the samples that the cloud model has learned from, and
these understate how far users are from it; here only what came later speaks.

Slopes have the prior N(1, 1/`PRECISION`): a fleet that has said nothing keeps its recipes.
"""

import numpy as np

from models.normal_equations import Regression
from wire.arrays import F64
from wire.task import Kind, Task

KINDS: tuple[Kind, ...] = ("taste", "item", "category")
REGRESSION = Regression(len(KINDS))
PRECISION = 1 / 9  # variances may well be three times the recipe's
LEAST, MOST = 0.01, 10.0  # times the recipe's: a hundredth makes a kind silent, and at ten a bias follows few samples
# The most information of a device about all kinds, its gram's trace, a third of the prior's: whoever says more says it
# with the weight of that.
_SAY = PRECISION / 3
_SIGMAS = 3.0  # by which chance may pull beside a slope of `MOST`; what pulls more is no user


def factors_of(task: Task) -> F64:
    """How many times their recipes' the prior variances (kinds,) of a task are."""
    return np.array([task.variances.get(kind, 1.0) for kind in KINDS])


def clipped(equations: F64) -> F64:
    """The normal equations of one device, with no more say than a device has, whatever it reports."""
    gram, pull = REGRESSION.unfolded(equations)
    information = np.maximum(np.diag(gram), 0)
    scale = min(1.0, _SAY / max(float(information.sum()), _SAY))
    root = np.sqrt(scale * information)
    most = _SIGMAS * root + MOST * np.square(root)
    gram = np.clip(scale * gram, -np.outer(root, root), np.outer(root, root))
    return REGRESSION.folded(gram, np.clip(scale * pull, -most, most))


def learned_variances(equations: F64) -> dict[str, float]:
    """How many times the recipe's each kind's variance should be, by the sum of all devices' equations (width,).

    >>> learned_variances(np.zeros(REGRESSION.width))
    {'taste': 1.0, 'item': 1.0, 'category': 1.0}
    """
    factors = np.clip(REGRESSION.solved(equations, PRECISION, mean=1.0), LEAST, MOST)
    return dict(zip(KINDS, factors.round(3).tolist(), strict=True))
