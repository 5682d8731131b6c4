"""What a comparison says to those who have to decide: yes, only on average, no, or can't tell and what it takes."""

import math
from collections.abc import Mapping
from itertools import takewhile

import msgspec

from streams.base.names import MODELS, STALE
from streams.evaluation.lineup import BASES, ENDINGS, GLOBAL
from streams.evaluation.paired import ArmFigures, Pair
from streams.logs.check import USERS_NEEDED, too_few

WORTH = 0.005  # GAUC: of 1,000 pairs 5 more in the right order; a "no" says that not even so much is likely
# To tell four times in five takes an interval narrower by so much than one that just leaves a value out, which tells
# every other time: of a normal distribution, (z(.975) + z(.8)) / z(.975).
_POWER = 1.43
_KEPT = 0.9  # of the gain: batches are fresh enough as long as so much of it is left

TERMS = {
    "GAUC": "the share of pairs, one event that a user took and one that they did not, which an arm ranks the right "
    "way round; taken per user, users count by their events; 0.5 is chance",
    "AUC": "the same over pairs across all users",
    "log-loss": "how surprised an arm was by what happened, in nats per event; less is better",
    "calibration (ECE)": "how far predicted chances are from what happened, on average; less is better",
    "arm": "one way to predict; all arms predict the same events, each before anything learns from it",
    "AUC within the moment": "the share of pairs that one user met at one time, on one page or a positive and its "
    "negatives, ranked the right way round",
    "NDCG": "how far up an arm ranks what was taken among all that one user met at one time; 1 is on top",
    "global": "one model for everybody: cloud, popularity, repeats, online, boosted, and what is refreshed of them",
    "harmed": "users whose own AUC is lower than with the global model",
}


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The answer ("yes", "on average", "no" or "can't tell") and the sentences that give it, the first one first."""

    answer: str
    lines: list[str]


def verdict_of(arms: Mapping[str, ArmFigures], paired: Mapping[str, Pair], users: int) -> Verdict:
    """Whether personal models beat the best global one, `arms` and `paired` being those of a `Compared`, and `users`
    those with both labels."""
    base = next((each for each, ending in ENDINGS.items() if f"coda{ending}-{BASES[each]}" in paired), STALE)
    coda = "coda" + ENDINGS[base]
    against = {arm: pair for arm in GLOBAL if (pair := paired.get(f"{coda}-{arm}")) is not None}
    if not against or users < USERS_NEEDED:
        needed = "more users, or a longer log, so that more of them have events of both labels after its initial part"
        return Verdict(answer="can't tell", lines=[f"{too_few(users)}; what it takes is {needed}"])
    best = max(against, key=lambda arm: arms[arm].gauc or 0.0)
    answer, first = _answer(against[best], best)
    alone = against.get(BASES[base])
    lines = [first, *([] if alone is None else [_over_base(alone, paired, base)])]
    lines += _harm(paired, ENDINGS[base], BASES[base])
    if best in MODELS and base != best:
        lines.append(f"Personal models may add to what {best} expects instead: the same command with --base {best}.")
    return Verdict(answer=answer, lines=lines)


def _answer(pair: Pair, best: str) -> tuple[str, str]:
    low, high = pair.ci95
    gain = f"GAUC {pair} over {best}"
    better = f"{pair.users_up:.0%} of {pair.users:,} users are better off, {pair.users_down:.0%} worse"
    if low > 0 and pair.users_down > pair.users_up:
        return "on average", (
            f"On average only: personal models beat the best global one on this log, but more users lose than win: "
            f"{gain}; {better}."
        )
    if low > 0:
        return "yes", f"Yes: personal models beat the best global one on this log: {gain}; {better}."
    if high < WORTH:
        return "no", (
            f"No: personal models do not beat the best global one on this log: {gain}; a gain of {WORTH:g} is not "
            f"likely; {better}."
        )
    return "can't tell", (
        f"Can't tell: {gain}, the best global model, which may be a gain or none; {better}. What it takes to "
        f"tell four times in five: some {_needed(pair):,} users with both labels, where this log gave "
        f"{pair.users:,}, or a longer log."
    )


def _harm(paired: Mapping[str, Pair], ending: str, model: str) -> list[str]:
    """That others' samples do harm, if they do, and what is gained over the `model` without them."""
    others, own = paired.get(f"coda{ending}-local{ending}"), paired.get(f"local{ending}-{model}")
    if others is None or own is None or others.ci95[1] >= 0:
        return []
    return [
        f"Others' samples do harm on this log, {others}: personal models that learn of their own events alone gain "
        f"{own} over {model}."
    ]


def _over_base(gain: Pair, paired: Mapping[str, Pair], base: str) -> str:
    """What personal models gain over the model that they add to, and what each step adds to the one before."""
    model = {STALE: "the first cloud model", "refreshed": "the refreshed cloud model"}.get(base, base)
    ending = ENDINGS[base]
    matched = "coarse" if f"coda{ending}-coarse{ending}" in paired else "coda"  # one and the same without a classifier
    steps = {
        "a user's own events alone add": ("local", "cloud"),
        "others' samples, drawn at random, add": ("random", "local"),
        "matching them adds": (matched, "random"),
        "the classifier on the device adds": ("coda", "coarse"),
    }
    named = {arm: arm + ending for step in steps.values() for arm in step} | {"cloud": BASES[base]}
    found = {words: paired.get(f"{named[a]}-{named[b]}") for words, (a, b) in steps.items()}
    told = [f"{words} {pair}" for words, pair in found.items() if pair is not None]
    return f"Over {model} alone they gain {gain}{': ' * bool(told)}{', '.join(told)}."


def _needed(pair: Pair) -> int:
    """With how many users the interval would leave out 0 or `WORTH`, whichever takes fewer, with `_POWER`.

    That is where its middle is what is true: of as many users as it takes for an interval around that, half of all logs
    would not tell.
    """
    low, high = pair.ci95
    narrower = [(pair.gauc - low) / pair.gauc] if pair.gauc > 0 else []
    narrower += [(high - pair.gauc) / (WORTH - pair.gauc)] if pair.gauc < WORTH else []
    return round_up(math.ceil(pair.users * (_POWER * min(narrower)) ** 2))


def refresh_line(paired: Mapping[str, Pair], refresh: str, versions: int, held_back: int) -> str:
    """What a global model that is refreshed would do instead; "" where none was run."""
    alone = paired.get("cloud-refreshed-cloud")
    if alone is None:
        return ""
    if versions == 1 and not held_back:
        return f"A global model refreshed every {refresh} would be the first one still: too few events came."
    tries = f"{versions - 1:,} new versions, {held_back:,} held back because they predicted no better"
    against = paired.get("coda-cloud-refreshed")
    rest = f"; personal models on the first version against that: {against}" if against else ""
    return f"A global model refreshed every {refresh} adds {alone} by itself ({tries}){rest}."


def freshness_line(gain: float, later: Mapping[str, Pair], delay: str) -> str:
    """Up to which delay enough of the gain is left; `later` has coda at each delay minus coda at the plan's."""
    if not later:
        return (
            f"Measured with everything learned from after {delay} (--delay). How fresh batches have to be: the same "
            "command with --freshness."
        )
    fresh = [each for each, _ in takewhile(lambda told: told[1].gauc >= (_KEPT - 1) * abs(gain), later.items())]
    told = ", ".join(f"after {each} {pair}" for each, pair in later.items())
    return f"Batches may be {fresh[-1] if fresh else delay} old at most; what waiting costs: {told}."


def price_line(bytes_down: float, ms: float, bytes_stored: float) -> str:
    """What a device pays."""
    return (
        f"A device pays {_kb(bytes_down)} and {ms:.0f} ms of one core a retraining, and keeps {_kb(bytes_stored)} "
        "of samples and models."
    )


def aside_line(aside: int, devices: int, *, withheld: int, bytes_down: float, ms: float) -> str:
    """What devices save that stand aside; "" where none ever did.

    >>> aside_line(3, 4, withheld=1200, bytes_down=86_000.0, ms=10.4)
    '3 of 4 devices stand aside in the end; not training where it does not pay saved 1,200 times 86 kB and 10 ms.'
    """
    if not aside and not withheld:
        return ""
    return (
        f"{aside:,} of {devices:,} devices stand aside in the end; not training where it does not pay saved "
        f"{withheld:,} times {_kb(bytes_down)} and {ms:.0f} ms."
    )


def unproven_line(unproven: int, devices: int) -> str:
    """How many devices use no heads though they train some; "" where all do.

    >>> unproven_line(3, 4)
    '3 of 4 devices train, and use no heads in the end: these are not proven to gain.'
    """
    if not unproven:
        return ""
    return f"{unproven:,} of {devices:,} devices train, and use no heads in the end: these are not proven to gain."


def round_up(number: int) -> int:
    """Two digits that are no less.

    >>> round_up(1234), round_up(7)
    (1300, 7)
    """
    step = int(10 ** max(len(str(number)) - 2, 0))
    return -(-number // step) * step


def _kb(size: float) -> str:
    return f"{size / 1000:,.0f} kB" if size >= 1000 else f"{size:,.0f} bytes"
