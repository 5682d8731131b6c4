"""What an evaluation says: yes, no, or can't tell and what would be needed."""

import pytest
from msgspec.structs import replace

from streams.evaluation.paired import ArmFigures, Pair
from streams.evaluation.verdict import freshness_line, price_line, refresh_line, verdict_of


def pair(gauc: float, low: float, high: float, users: int = 800) -> Pair:
    return Pair(
        gauc=gauc,
        ci95=(low, high),
        users=users,
        users_up=0.65,
        users_down=0.23,
        moment=None,
        moment_ci95=None,
        auc=0.0,
        auc_ci95=(0.0, 0.0),
        logloss=0.0,
        logloss_ci95=(0.0, 0.0),
    )


def arm(gauc: float) -> ArmFigures:
    return ArmFigures(auc=0.5, gauc=gauc, moment=None, ndcg=None, logloss=0.6, ece=0.1)


ARMS = {"cloud": arm(0.6), "coda": arm(0.66), "online": arm(0.63), "cloud-refreshed": arm(0.59)}


@pytest.mark.parametrize(
    ("found", "answer", "says"),
    [
        (
            pair(0.031, 0.027, 0.035),
            "yes",
            "+0.0310 [+0.0270, +0.0350] over cloud; 65% of 800 users are better off, 23% worse",
        ),
        (pair(-0.01, -0.02, -0.001), "no", "do not beat"),
        (pair(0.001, -0.002, 0.004), "no", "a gain of 0.005 is not likely"),
        (pair(0.0039, -0.0001, 0.0085), "can't tell", "some 1,800 users with both labels, where this log gave 800"),
        (pair(-0.002, -0.02, 0.012), "can't tell", "some 6,600 users with both labels, where this log gave 800"),
        (pair(0.01, -0.03, 0.05), "can't tell", "some 27,000 users with both labels, where this log gave 800"),
    ],
)
def test_the_answer_follows_from_the_interval(found: Pair, answer: str, says: str) -> None:
    verdict = verdict_of(ARMS, {"coda-cloud": found}, 800)
    assert verdict.answer == answer and says in verdict.lines[0]


def test_a_gain_that_most_users_do_not_share_is_one_on_average_only() -> None:
    few_win = replace(pair(0.004, 0.001, 0.009), users_up=0.36, users_down=0.5)
    verdict = verdict_of(ARMS, {"coda-cloud": few_win}, 800)
    assert verdict.answer == "on average" and "more users lose than win" in verdict.lines[0]


def test_few_users_are_no_answer_whatever_their_interval() -> None:
    verdict = verdict_of(ARMS, {"coda-cloud": pair(0.3, 0.2, 0.4, users=2)}, 2)
    assert verdict.answer == "can't tell"
    assert verdict.lines[0].startswith("too few users to tell (2 with both labels; 30 needed); what it takes")


def test_the_answer_is_about_the_best_global_model_and_the_cloud_comes_after() -> None:
    """`online` ranks best, so a gain over the cloud alone is no yes."""
    paired = {
        "coda-cloud": pair(0.06, 0.05, 0.07),
        "coda-online": pair(-0.01, -0.02, -0.001),
        "coda-local": pair(9, 9, 9),
    }
    verdict = verdict_of(ARMS, paired, 800)
    assert verdict.answer == "no" and "-0.0100 [-0.0200, -0.0010] over online" in verdict.lines[0]
    assert verdict.lines[1].startswith("Over the first cloud model alone they gain +0.0600 [+0.0500, +0.0700]")
    assert verdict.lines[2].endswith("the same command with --base online.")


def test_on_a_strong_base_the_answer_is_what_personal_models_add_to_it() -> None:
    paired = {
        "coda-on-online-cloud": pair(0.08, 0.07, 0.09),
        "coda-on-online-online": pair(0.02, 0.01, 0.03),
        "coda-cloud": pair(0.06, 0.05, 0.07),
        "coda-online": pair(-0.01, -0.02, -0.001),
    }
    verdict = verdict_of(ARMS, paired, 800)
    assert verdict.answer == "yes" and "+0.0200 [+0.0100, +0.0300] over online" in verdict.lines[0]
    assert [line[:38] for line in verdict.lines[1:]] == ["Over online alone they gain +0.0200 [+"]


@pytest.mark.parametrize("base", ["", "-refreshed"])
def test_each_step_says_what_it_adds(base: str) -> None:
    names = {
        "coda-cloud": 0.031,
        "local-cloud": 0.004,
        "random-local": 0.001,
        "coarse-random": 0.025,
        "coda-coarse": 0.001,
    }
    paired = {name.replace("-", f"{base}-") + base: pair(gain, gain / 2, gain * 2) for name, gain in names.items()}
    (_, parts) = verdict_of(ARMS, paired, 800).lines
    assert "matching them adds +0.0250" in parts and "the classifier on the device adds +0.0010" in parts


def test_others_samples_that_harm_are_told_whatever_the_answer() -> None:
    paired = {"coda-cloud": pair(0.006, -0.001, 0.013), "local-cloud": pair(0.01, 0.003, 0.016)}
    assert len(verdict_of(ARMS, paired | {"coda-local": pair(-0.002, -0.004, 0.001)}, 800).lines) == 2
    (*_, harm) = verdict_of(ARMS, paired | {"coda-local": pair(-0.004, -0.006, -0.002)}, 800).lines
    assert (
        harm == "Others' samples do harm on this log, -0.0040 [-0.0060, -0.0020]: personal models that learn of their "
        "own events alone gain +0.0100 [+0.0030, +0.0160] over cloud."
    )


def test_without_a_classifier_matching_is_the_last_step() -> None:
    names = {"coda-cloud": 0.031, "local-cloud": 0.004, "random-local": 0.001, "coda-random": 0.025}
    (_, parts) = verdict_of(ARMS, {name: pair(gain, gain / 2, gain * 2) for name, gain in names.items()}, 800).lines
    assert "matching them adds +0.0250" in parts and "classifier" not in parts


def test_versions_that_were_held_back_are_told() -> None:
    line = refresh_line({"cloud-refreshed-cloud": pair(0.01, 0.0, 0.02)}, "24h", versions=4, held_back=2)
    assert "refreshed every 24h adds +0.0100" in line and "3 new versions, 2 held back" in line
    assert refresh_line({}, "24h", 1, 0) == ""


@pytest.mark.parametrize(
    ("lost", "oldest"),
    [((-0.001, -0.02), "1h"), ((-0.02, -0.03), "5s"), ((0.0, 0.001), "24h"), ((-0.02, -0.001), "5s")],
)
def test_batches_may_be_as_old_as_leaves_nine_tenths_of_the_gain(lost: tuple[float, float], oldest: str) -> None:
    later = {delay: pair(gain, gain - 0.001, gain + 0.001) for delay, gain in zip(("1h", "24h"), lost, strict=True)}
    assert freshness_line(0.03, later, "5s").startswith(f"Batches may be {oldest} old at most")
    assert "--freshness" in freshness_line(0.03, {}, "5s")


def test_what_a_device_pays() -> None:
    assert "54 kB and 16 ms of one core a retraining, and keeps 126 kB" in price_line(54_100, 16.2, 126_000)
