"""The blend: per device and arm, a Bayesian mixture of the probabilities of a few heads.

Every head predicts an event before anything learns from it; its log-loss on the event then discounts its
weight. With prior π (an arm's share of the fleet prior) and discount γ, head h is mixed in with weight
w(h) ∝ π(h)·exp(−S(h)), where S ← γ·(S + loss) after each event.

What blending can cost, ℓ being a head's loss, m the mixture's, in nats:

* γ = 1 is Bayes' rule: m_t = F(S_t) − F(S_{t−1}) with F(S) = −ln Σ π(h) e^{−S(h)}, so the sum telescopes and
  Σ m_t ≤ Σ ℓ_t(h) + ln 1/π(h) for every head h and any events: at most ln 9 while the fleet says nothing, since
  no head of any arm has less than 1/9.
* γ < 1: x^γ is concave, so F(γX) ≥ γ·F(X), hence m_t ≤ F(S_t)/γ − F(S_{t−1}), and the *discounted* sums obey
  Σ γ^{T−t} m_t ≤ Σ γ^{T−t} ℓ_t(h) + ln(1/π(h)) / γ at every T: over the last 1/(1−γ) events the bound is as good
  as new, whichever head is best now. Undiscounted over T events the bound grows to
  ln(1/π(h))/γ · (1 + (1−γ)(T−1)), at γ = .995 by ln(1/π(h))/200 per event: the price of following change.
* A prior that changes from π to π′ on the way adds at most max ln π′(h)/π(h): F is lower by no more than that.
* A device that stands aside, or whose heads are unproven (`device_sim.aside`), blends only the `FREE` heads, F is then
  over these alone, which is no lower: beginning costs nothing against them. To use all heads adds ln 1/w, w being the
  weight of these two in the whole blend at that moment: what personal heads earned till then is what they may lose.

The prior is floored by mixing in `UNIFORM_SHARE` of a uniform one, so that however sure the fleet is, no device
pays more than ln(9 / UNIFORM_SHARE). Heads are clipped (`scores.clipped`) before they are mixed *and* before
they are charged: charging clipped losses to a mixture of unclipped ones would void the bound.
"""

from collections.abc import Mapping

import numpy as np

from models.scores import clipped, log_losses
from wire.arrays import F64, I64
from wire.task import ARMS

# What a personal head learns from, beside own samples; "coda" is matched ones as the sample classifier weighs them.
SOURCES = ("local", "random", "coarse", "mpda", "coda")
HABIT = "-habit"  # ends the name of the head by the task's `habit` recipe
LIKE = "coda-like"  # from what the classifier finds most like own samples, where "coda" is from what is least like
PERSONAL = (*(source + recipe for source in SOURCES for recipe in ("", HABIT)), LIKE)  # the heads a device trains
LOCAL = "local"  # from own samples alone
RANDOM = "random"  # from random samples
ADJUSTED = "adjusted"  # the cloud's logit with the device's user bias and repeats: what personal heads add to
HEADS = ("cloud", ADJUSTED, *PERSONAL)
FREE = slice(0, 2)  # of HEADS: those that no training makes
_ALL = slice(None)
_LOCAL = (LOCAL, LOCAL + HABIT)
# Matched samples say much of a few items, random ones a little of many: no device knows beforehand which is
# worth more, nor which side of its classifier's border is. Its blend finds out. A head has this share of the trust in
# outside samples; random samples have as much of it beside matched ones however many heads these make, or arms
# would differ by that.
# Without a classifier the arm `coda` has the heads of `coarse`.
_OUTSIDE: dict[str, dict[str, float]] = {
    "local": {},
    "random": {RANDOM: 1 / 2, RANDOM + HABIT: 1 / 2},
    "coarse": {"coarse": 1 / 3, "coarse" + HABIT: 1 / 3, RANDOM: 1 / 3},
    "mpda": {"mpda": 1 / 3, "mpda" + HABIT: 1 / 3, RANDOM: 1 / 3},
    "coda": {"coda": 2 / 9, "coda" + HABIT: 2 / 9, LIKE: 2 / 9, RANDOM: 1 / 3},
}
# Nats of log-prior per nat of loss summed over the fleet. With .02 a fleet of 500 that sees 9,000 events has hardly
# learned by their end which head is best.
FLEET_RATE = 0.3
# The most that the prior says, as a device's own events. A fleet soon sums up so many that of two heads as good
# as each other one has all the weight, and chance says which.
FLEET_EVENTS = 700
UNIFORM_SHARE = 0.1  # however sure the fleet is, it costs a device at most ln 10 more
# What the heads from outside samples have together where the cloud and either local head have 1. With 2 a
# stream that drifts is followed less.
OUTSIDE_SHARES = 4


def personal_heads(arm: str, *, classifier: bool) -> tuple[str, ...]:
    """The personal heads that an arm of devices blends.

    >>> personal_heads("coda", classifier=False)
    ('local', 'local-habit', 'coarse', 'coarse-habit', 'random')
    """
    return (*_LOCAL, *_outside(arm, classifier=classifier))


def arm_heads(arm: str, *, classifier: bool) -> tuple[str, ...]:
    """All heads that an arm blends."""
    return ("cloud",) if arm == "cloud" else ("cloud", ADJUSTED, *personal_heads(arm, classifier=classifier))


def _outside(arm: str, *, classifier: bool) -> dict[str, float]:
    return _OUTSIDE["coarse" if arm == "coda" and not classifier else arm]


def _shares_of(arm: str, *, classifier: bool) -> list[float]:
    """What each of HEADS has in an arm before anything is known, on some scale.

    In every arm the cloud, adjusted or not, has as much of it, and outside heads have as much together, however many
    they are: arms differ in their outside samples, not in how far they trust these. Where there are none local heads
    stand in.
    """
    share = dict.fromkeys(arm_heads(arm, classifier=classifier), 1.0)
    if arm != "cloud":
        share |= {head: OUTSIDE_SHARES * part for head, part in _outside(arm, classifier=classifier).items()}
    if arm == "local":
        share |= dict.fromkeys(_LOCAL, 1 + OUTSIDE_SHARES / len(_LOCAL))
    return [share.get(head, 0.0) for head in HEADS]


# (2, arms, heads): without a sample classifier, and with one.
_SHARES = np.array([[_shares_of(arm, classifier=classifier) for arm in ARMS] for classifier in (False, True)])
_UNIFORM = _SHARES / _SHARES.sum(axis=2, keepdims=True)


class Blend:
    """Blend weights of G devices. `loss` (G, heads) is each head's discounted log-loss S, the whole state."""

    def __init__(
        self,
        devices: int,
        *,
        discount: float = 1.0,
        prior: Mapping[str, float] | None = None,
        classifier: bool = False,
    ) -> None:
        """All devices start from the fleet prior (log-weights by head name; missing heads 0)."""
        self.loss: F64 = np.zeros((devices, len(HEADS)))
        self.discount: F64 = np.ones(devices)
        self.prior: F64 = np.zeros((devices, len(ARMS), len(HEADS)))  # log-weights, −inf outside the arm
        self.configure(np.arange(devices), discount=discount, prior=prior or {}, classifier=classifier)

    def __len__(self) -> int:
        return len(self.loss)

    def configure(self, which: I64, *, discount: float, prior: Mapping[str, float], classifier: bool) -> None:
        """Give devices `which` the discount, the fleet prior and the heads of their task; what they have seen stays."""
        assert 0 < discount <= 1, "a discount is in (0, 1]"
        self.discount[which] = discount
        self.prior[which] = _arm_log_prior(prior, classifier=classifier)

    def grow(self, devices: int) -> None:
        """Add `devices` fresh devices at the end."""
        more = Blend(devices)
        self.loss = np.concatenate([self.loss, more.loss])
        self.discount = np.concatenate([self.discount, more.discount])
        self.prior = np.concatenate([self.prior, more.prior])

    def weights(self, which: I64, heads: slice = _ALL) -> F64:
        """Weight of each head in each arm, (r, arms, heads): those of an arm's `heads` sum to 1, others have none."""
        log_weight = (self.prior[which] - self.loss[which][:, None, :])[:, :, heads]
        weight = np.exp(log_weight - log_weight.max(axis=2, keepdims=True))
        weights: F64 = np.zeros((len(which), len(ARMS), len(HEADS)))
        weights[:, :, heads] = weight / weight.sum(axis=2, keepdims=True)
        return weights

    def update(self, which: I64, head_probability: F64, label: F64) -> F64:
        """Charge devices `which` (distinct) one event each; returns the head losses (r, heads) in nats."""
        once = len(set(which.tolist())) == len(which)
        assert once, "one event per device at a time: a second needs the first's weights"
        losses = log_losses(np.broadcast_to(label[:, None], head_probability.shape), head_probability)
        self.loss[which] = self.discount[which, None] * (self.loss[which] + losses)
        return losses

    def reset(self, which: I64) -> None:
        """Forget what devices `which` have seen."""
        self.loss[which] = 0


def blended(weights: F64, head_probability: F64) -> F64:
    """Probabilities of each arm (r, arms) from those of each head (r, heads), in the order of ARMS and HEADS.

    >>> probability = np.where(np.array(HEADS) == "local", .75, .5)[None]
    >>> blended(Blend(1).weights(np.array([0])), probability)[0, :3].round(3).tolist()
    [0.5, 0.594, 0.531]
    """
    mixed: F64 = np.einsum("rah,rh->ra", weights, clipped(head_probability))
    return mixed


def most_harm(events: I64, discount: float) -> F64:
    """What a device arm can cost at most, in nats of log-loss, above its best head after `events` (n,), with the prior
    as floored as can be and never changed, where it used its heads all the time.

    >>> most_harm(np.array([1, 201]), .995).round(2).tolist()
    [4.52, 9.04]
    """
    floor = -np.log(UNIFORM_SHARE * _UNIFORM[_UNIFORM > 0].min())
    bound: F64 = floor / discount * (1 + (1 - discount) * (events - 1))
    return bound


def fleet_prior(excess: Mapping[str, float], events: Mapping[str, float]) -> dict[str, float]:
    """Log-weights for the next task, from what each head lost more than `ADJUSTED`, in nats over the fleet, and in how
    many events: those before which it was trained. A fleet of which few train knows of these what they say, and is not
    the less sure for events of all others.

    >>> fleet_prior({"cloud": 20.0, "local": 10.0}, {"cloud": 200, "local": 200})
    {'adjusted': 0.0, 'cloud': -6.0, 'local': -3.0}
    >>> fleet_prior({"local": -100.0}, {"local": 7_000})  # no more than 700 events would say
    {'adjusted': -10.0, 'local': 0.0}
    """
    weights = {ADJUSTED: 0.0}
    for head, nats in excess.items():
        weights[head] = -min(FLEET_RATE, FLEET_EVENTS / max(events[head], 1)) * nats
    best = max(weights.values())
    return {head: weight - best + 0.0 for head, weight in weights.items()}


def _arm_log_prior(prior: Mapping[str, float], *, classifier: bool) -> F64:
    """Normalised and floored log-prior (arms, heads); −inf for heads that an arm does not have."""
    shares, uniform = _SHARES[int(classifier)], _UNIFORM[int(classifier)]
    log_weight = np.where(shares > 0, [prior.get(head, 0.0) for head in HEADS], -np.inf)
    weight = shares * np.exp(log_weight - log_weight.max(axis=1, keepdims=True))
    share = weight / weight.sum(axis=1, keepdims=True)
    floored = (1 - UNIFORM_SHARE) * share + UNIFORM_SHARE * uniform
    with np.errstate(divide="ignore"):
        log_prior: F64 = np.log(floored)
    return log_prior
