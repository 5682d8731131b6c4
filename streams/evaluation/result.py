"""What an evaluation comes to: the document that `coda evaluate --json` prints."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import numpy as np
import polars as pl

from models.scores import logit
from streams.base.names import LOGGED, MODELS, NOT_CLOUD, REPEATS
from streams.evaluation.harm import Harm, harm_of
from streams.evaluation.lineup import ALL, BASES, ENDINGS, FIRST_CLOUD, GLOBAL, REFRESHED, REFRESHED_CLOUD, SCORE
from streams.evaluation.paired import ArmFigures, Comparison, Pair
from streams.evaluation.prequential import Outcome, Plan
from streams.evaluation.verdict import (
    Verdict,
    aside_line,
    freshness_line,
    price_line,
    refresh_line,
    unproven_line,
    verdict_of,
)
from streams.logs.check import USERS_NEEDED
from wire.task import ARMS

Setting = str | int | float
_STEPS = (("local", "cloud"), ("random", "local"), ("coarse", "random"))  # what each arm adds to the one before it
_OTHERS = tuple(arm for arm in ARMS if arm != "coda")


class DeviceCost(msgspec.Struct, frozen=True, kw_only=True):
    """What one retraining costs a device: compute of one core, bytes down; and what a device keeps.

    In the end so many devices stand `aside`; for that `withheld` batches were not made, nor trained on. So many others
    train and use no heads: these are `unproven`.
    Compute is measured, so it is the one thing that differs between two runs of one seed.
    """

    retrainings: int
    accepted_share: float
    train_ms_p50: float
    train_ms_p99: float
    bytes_down_per_retrain: float
    bytes_stored: float
    aside: int
    unproven: int
    withheld: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The figures over some of the streamed events."""

    events: int
    positives: int
    arms: dict[str, ArmFigures]
    paired: dict[str, Pair]


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The arms on the events that all of them predicted, `predicted` on `devices`, and on parts of these.

    Of the `halves`, settings may be chosen on the first, never on the second; `items` has events apart by whether their
    users had taken the item before ("repeat") or not ("new"): a personal model gains much by knowing whether people
    come back to what they took, and a service that sorts such items out or in by rule has that already.
    """

    log: str
    devices: int
    predicted: int
    arms: dict[str, ArmFigures]
    paired: dict[str, Pair]
    halves: dict[str, Part]
    items: dict[str, Part]

    @property
    def users(self) -> int:
        """Of the devices, those with events of both labels: only they can be ranked right or wrong."""
        return max((pair.users for pair in self.paired.values()), default=0)

    def parts(self) -> dict[str, Part]:
        """Halves and items by the names they are told by."""
        halves = {f"{name} half": part for name, part in self.halves.items()}
        return halves | {f"{name} items": part for name, part in self.items.items()}


class Result(Compared, frozen=True, kw_only=True):
    """The document. `events` is the whole log; `harm` is by base (`BASES`).

    `freshness` is coda where everything is learned from later, by delay, minus coda as planned. Arms that are
    `untrained` predicted nothing, as the initial part was too short to train them.
    """

    events: int
    seed: int
    untrained: list[str]
    device_cost: DeviceCost
    harm: dict[str, Harm]
    cloud_versions: int
    cloud_held_back: int
    freshness: dict[str, Pair]
    verdict: Verdict
    refresh_gain_recovered: float | None
    settings: dict[str, Setting]


def all_arms(outcomes: Mapping[str, Outcome]) -> pl.DataFrame:
    """Predictions of every arm on the same events. `outcomes` by base (`BASES`).

    Arms of devices on another base than the first cloud model are named so.
    """
    first, *rest = (_named_by(base, outcome.predictions.drop("version")) for base, outcome in outcomes.items())
    for other in rest:
        columns = [name for name in other.columns if name == "event_id" or name not in first.columns]
        first = first.join(other.select(columns), on="event_id", how="inner", maintain_order="left")
    return first


def _named_by(base: str, table: pl.DataFrame) -> pl.DataFrame:
    """Predictions of devices on `base`, what they add to under its own name."""
    ending, ends = ENDINGS[base], ("", SCORE)
    own = {arm + end: arm + ending + end for arm in ARMS for end in ends}
    if base == "refreshed":
        own |= {REPEATS + end: REPEATS + ending + end for end in ends}
        again = [name + end for name in (REFRESHED_CLOUD, REPEATS + REFRESHED) for end in ends]
        table = table.drop(again, strict=False)
    if base in NOT_CLOUD:
        own |= {"cloud": LOGGED, "cloud" + SCORE: LOGGED + SCORE, FIRST_CLOUD: "cloud"}
    if base in MODELS:  # has columns of its own; what it says of all items of a moment alike ranks nothing
        alike = pl.Series(logit(table[base].to_numpy())) - table[base + SCORE]
        scores = [arm + SCORE for arm in ARMS[1:] if arm in table.columns]
        table = table.drop("cloud", "cloud" + SCORE).with_columns(pl.col(score) - alike for score in scores)
    return table.rename(own, strict=False)


def result_of(
    log: str,
    events: int,
    outcomes: Mapping[str, Outcome],
    *,
    plan: Plan,
    settings: Mapping[str, Setting],
    later: Mapping[str, Outcome],
) -> Result:
    """The document of one evaluation by `plan`; `later` are runs of it with other delays."""
    predictions = all_arms(outcomes)
    arms = arms_in(predictions)
    whole = part_of([predictions], arms, plan.seed)
    users = max((pair.users for pair in whole.paired.values()), default=0)
    base, outcome = next(iter(outcomes.items()))
    cost = device_cost(outcome)
    enough = users >= USERS_NEEDED
    if not enough:  # figures would only look like a result
        whole = msgspec.structs.replace(whole, arms={}, paired={})
    freshness = {delay: _later(base, outcome, each, plan.seed) for delay, each in later.items()} if enough else {}
    return Result(
        log=log,
        events=events,
        devices=predictions["user_id"].n_unique(),
        seed=plan.seed,
        arms=whole.arms,
        paired=whole.paired,
        untrained=list(outcome.untrained),
        device_cost=cost,
        harm={base: harm_of(each.predictions, plan.task.blend_discount) for base, each in outcomes.items()},
        predicted=whole.events,
        cloud_versions=outcome.versions,
        cloud_held_back=outcome.held_back,
        freshness=freshness,
        verdict=_verdict(whole, freshness, cost, outcome, settings) if enough else verdict_of({}, {}, users),
        refresh_gain_recovered=_recovered(whole.paired),
        halves=parts_of(halves_of, [predictions], arms, plan.seed) if enough else {},
        items=parts_of(items_of, [predictions], arms, plan.seed) if enough else {},
        settings=dict(settings),
    )


def _verdict(
    whole: Part, freshness: Mapping[str, Pair], cost: DeviceCost, outcome: Outcome, settings: Mapping[str, Setting]
) -> Verdict:
    found = verdict_of(whole.arms, whole.paired, USERS_NEEDED)
    gain = next(iter(whole.paired.values())).gauc
    devices = outcome.predictions["user_id"].n_unique()
    more = (
        refresh_line(whole.paired, str(settings["refresh"]), outcome.versions, outcome.held_back),
        freshness_line(gain, freshness, str(settings["delay"])),
        price_line(cost.bytes_down_per_retrain, cost.train_ms_p50, cost.bytes_stored),
        aside_line(
            cost.aside,
            devices,
            withheld=cost.withheld,
            bytes_down=cost.bytes_down_per_retrain,
            ms=cost.train_ms_p50,
        ),
        unproven_line(cost.unproven, devices),
    )
    return Verdict(answer=found.answer, lines=[*found.lines, *filter(None, more)])


def _later(base: str, outcome: Outcome, later: Outcome, seed: int) -> Pair:
    """Coda of `later` minus coda of `outcome`, both on `base`, on the same events and by their scores."""
    coda = "coda" + ENDINGS[base]
    now, then = (all_arms({base: each}) for each in (outcome, later))
    then = then.select("event_id", pl.col(coda).alias("later"), pl.col(coda + SCORE).alias("later" + SCORE))
    both = now.join(then, on="event_id", maintain_order="left")
    return Comparison(both, ["later", coda], seed).pairs([("later", coda)])[f"later-{coda}"]


def arms_in(predictions: pl.DataFrame) -> list[str]:
    """The arms that were run, in the order of reports."""
    return [name for name in ALL if name in predictions.columns]


def known_pairs(arms: Sequence[str]) -> list[tuple[str, str]]:
    """The pairs worth reporting: coda against every other arm of its base and all that is global, and what refreshing
    the cloud is worth."""
    named = [{arm: BASES[base] if arm == "cloud" else arm + ending for arm in ARMS} for base, ending in ENDINGS.items()]
    pairs = [(of["coda"], of[other]) for of in named for other in _OTHERS]
    pairs += [(of[a], of[b]) for of in named for a, b in _STEPS]
    pairs += [(REFRESHED_CLOUD, "cloud"), *((of["coda"], "coda") for of in named if of["coda"] != "coda")]
    pairs += [(of["coda"], other) for of in named for other in GLOBAL]
    return [(a, b) for a, b in dict.fromkeys(pairs) if a in arms and b in arms]


def device_cost(outcome: Outcome) -> DeviceCost:
    """What trainings cost the outcome's devices."""
    trainings = outcome.trainings
    ms = [t.compute_ms for t in trainings] or [0.0]
    stored = {t.user_id: t.bytes_stored for t in trainings}
    passed = [ok for t in trainings for ok in t.accepted.values()]
    return DeviceCost(
        retrainings=len(trainings),
        accepted_share=round(float(np.mean(passed)), 6) if passed else 0.0,
        train_ms_p50=round(float(np.quantile(ms, 0.5)), 3),
        train_ms_p99=round(float(np.quantile(ms, 0.99)), 3),
        bytes_down_per_retrain=round(sum(outcome.bytes_down) / max(len(trainings), 1), 1),
        bytes_stored=round(float(np.mean(list(stored.values()))), 1) if stored else 0.0,
        aside=outcome.aside,
        unproven=outcome.unproven,
        withheld=outcome.withheld,
    )


def halves_of(predictions: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The first and the second half of predictions in event-time order."""
    cut = len(predictions) // 2
    return {"first": predictions[:cut], "second": predictions[cut:]}


def items_of(predictions: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Predictions of items that were new to their users, and of those that were not."""
    return {"new": predictions.filter(~pl.col("repeat")), "repeat": predictions.filter("repeat")}


def parts_of(
    split: Callable[[pl.DataFrame], dict[str, pl.DataFrame]],
    runs: Sequence[pl.DataFrame],
    arms: Sequence[str],
    seed: int,
) -> dict[str, Part]:
    """The figures over what `split` makes of every run's predictions."""
    splits = [split(predictions) for predictions in runs]
    return {name: part_of([each[name] for each in splits], arms, seed) for name in splits[0]}


def part_of(runs: Sequence[pl.DataFrame], arms: Sequence[str], seed: int) -> Part:
    """The figures over the predictions of all `runs`; `seed` is the bootstrap's."""
    predictions = pl.concat(runs)
    comparison = Comparison(predictions, arms, seed)
    return Part(
        events=len(predictions),
        positives=int(predictions["label"].sum()),
        arms=comparison.figures(),
        paired=comparison.pairs(known_pairs(arms)),
    )


def _recovered(paired: Mapping[str, Pair]) -> float | None:
    """How much of the GAUC that refreshing the cloud model gains coda gains without it; None where it gains nothing."""
    refresh, coda = paired.get("cloud-refreshed-cloud"), paired.get("coda-cloud")
    if refresh is None or coda is None or refresh.gauc <= 0:
        return None
    return round(coda.gauc / refresh.gauc, 6)
