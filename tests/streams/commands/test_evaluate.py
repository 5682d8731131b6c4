"""`coda evaluate` as a person runs it."""

import json
from html import unescape
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from streams.cli import run
from streams.commands.evaluate import later_plans
from streams.evaluation.prequential import Plan
from tests.disks import small_disk
from tests.streams.evaluation.world import taste_log
from wire.task import ARMS

SETTINGS = (
    *("--devices", "all", "--initial-share", "0.5", "--retrain-every", "30", "--device-window", "64"),
    *("--candidates", "8"),
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "taste.parquet"
    taste_log(1500).drop("event_id").write_parquet(path)
    return path


def test_all_bases_give_one_document_a_report_and_all_predictions(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ("evaluate", str(log), *SETTINGS, "--refresh", "5m", "--base", "all", "--json", "--out", str(out))
    assert run(words) == 0
    printed = capsys.readouterr()
    *progress, line = printed.out.splitlines()  # without the command line's set-up log lines go to stdout
    document = json.loads(line)
    assert document == json.loads((out / "result.json").read_text())
    assert document["devices"] == 40
    assert document["events"] == 1500
    assert document["settings"]["negatives"] == 0
    device_arms = {"local", "random", "mpda", "coda"}
    rivals = {"popularity", "repeats", "online", "cloud-refreshed", "repeats-refreshed"}
    on_others = {f"{a}{ending}" for a in device_arms for ending in ("-refreshed", "-on-online")}
    assert set(document["arms"]) == {"cloud"} | rivals | device_arms | on_others
    assert {f"coda-{rival}" for rival in rivals} <= set(document["paired"])
    assert document["untrained"] == ["boosted"]
    assert set(document["arms"]["coda"]) == {"auc", "gauc", "moment", "ndcg", "logloss", "ece"}
    for other in ("cloud", "local", "random", "mpda"):
        for name in (f"coda-{other}", f"coda-refreshed-{other}-refreshed"):
            pair = document["paired"][name]
            assert pair["ci95"][0] <= pair["gauc"] <= pair["ci95"][1]
            assert 0 <= pair["users_up"] + pair["users_down"] <= 1
    cost = document["device_cost"]
    assert min(cost[name] for name in ("train_ms_p50", "bytes_down_per_retrain", "bytes_stored")) > 0
    assert cost["train_ms_p50"] <= cost["train_ms_p99"]
    assert "coda-on-online-online" in document["paired"] and "coda-on-online-local-on-online" in document["paired"]
    assert set(document["harm"]) == {"online", "stale", "refreshed"}
    for harm in document["harm"].values():
        assert (harm["devices"], harm["over_bound"]) == (40, 0)
        assert harm["worst_nats"] <= harm["bound_nats"]
    halves = document["halves"]
    assert halves["first"]["events"] + halves["second"]["events"] == document["predicted"]
    assert halves["second"]["paired"].keys() == document["paired"].keys()
    items = document["items"]
    assert items["new"]["events"] + items["repeat"]["events"] == document["predicted"]
    table = pl.read_parquet(out / "predictions.parquet")
    assert table.height == document["predicted"]
    assert set(document["arms"]) <= set(table.columns)
    page = unescape((out / "report.html").read_text())
    assert "classifier" not in page.replace('"classifier": "off"', "") and "classifier" not in printed.err
    assert page.count("<svg") == 7
    assert page.index(document["verdict"]["lines"][0][:20]) < page.index("<svg"), "the verdict comes first"
    assert "coda-refreshed − cloud-refreshed" in page
    assert "<td>boosted</td><td>untrained</td>" in page
    assert "boosted            untrained: the initial part is too short" in printed.err
    assert not progress
    assert "on cloud-refreshed: predicting each event, then learning from it: 100 %" in printed.err
    assert str(out / "report.html") in printed.err


def test_the_refreshed_base_alone_is_a_run_too_with_a_classifier(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", str(log), *SETTINGS, "--refresh", "5m", "--base", "refreshed", "--classifier", "--json")
    assert run((*words, "--out", str(tmp_path / "run"))) == 0
    printed = capsys.readouterr()
    document = json.loads(printed.out.splitlines()[-1])
    assert "the classifier on the device adds" in printed.err and "coda-refreshed − coarse-refreshed" in printed.err
    assert "coda weighs them by its classifier" in (tmp_path / "run" / "report.html").read_text()
    on_it = {f"{arm}-refreshed" for arm in (*ARMS, "repeats")}
    assert set(document["arms"]) == on_it | {"popularity", "online"}
    assert list(document["harm"]) == ["refreshed"]


def test_a_log_with_bases_is_evaluated_on_them(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scored = tmp_path / "scored.csv"
    known = pl.when(pl.int_range(pl.len()) > 15).then(0.3 + 0.4 * pl.col("label"))  # the first 16 of 1,500 have none
    pl.read_parquet(log).with_columns(score=known).write_csv(scored)
    words = ("evaluate", str(scored), *SETTINGS, "--refresh", "0s", "--column", "base=score", "--json")
    assert run((*words, "--out", str(tmp_path / "run"))) == 0
    printed = capsys.readouterr()
    assert "1.1% of events have no base" in printed.err
    document = json.loads(printed.out.splitlines()[-1])
    assert document["arms"]["logged"]["gauc"] == 1, "that model knew it all"
    assert document["arms"]["coda-on-logged"]["gauc"] > 0.99 > document["arms"]["cloud"]["gauc"]
    assert document["settings"]["base"] == "logged"


def test_the_same_seed_gives_the_same_document_but_for_measured_time(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    documents = []
    for name in ("a", "b"):
        assert run(("evaluate", str(log), *SETTINGS, "--refresh", "0s", "--json", "--out", str(tmp_path / name))) == 0
        document = json.loads(capsys.readouterr().out.splitlines()[-1])
        for measured in ("train_ms_p50", "train_ms_p99"):
            del document["device_cost"][measured]
        lines = document["verdict"]["lines"]
        document["verdict"]["lines"] = [line for line in lines if "ms of one core" not in line]
        assert len(document["verdict"]["lines"]) == len(lines) - 1
        documents.append(document)
    assert documents[0] == documents[1]
    assert "cloud-refreshed" not in documents[0]["arms"]
    assert documents[0]["refresh_gain_recovered"] is None


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--candidates", "1"), '"1" for --candidates. Must be >= 2'),
        (("--devices", "-5"), "--devices: -5 is neither a number of at least 1 nor all"),
        (("--delay", "-5s"), "--delay: '-5s' is no duration"),
        (("--seed", "1.5"), "--seed is 1.5: it takes a whole number"),
        (("--refresh", "0s", "--base", "refreshed"), "give an interval, or --base stale"),
        (("--delay", "0s"), "--delay: 0s is no time at all"),
        (("--initial-share", "2"), "for --initial-share. Must be < 1"),
        (("--item-context", "price"), "the log has no other column price, or nothing in it; it has none"),
    ],
)
def test_wrong_settings_are_one_clear_line(
    log: Path, tmp_path: Path, flags: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(("evaluate", str(log), *flags, "--out", str(tmp_path / "run"))) == 2
    *_, line = capsys.readouterr().err.strip().splitlines()
    assert words in line


def test_columns_that_are_known_before_an_event_make_a_global_model_better(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown, rng = pl.read_parquet(log), np.random.default_rng(0)
    label = shown["label"].to_numpy()
    page = np.where(rng.random(len(label)) < 0.8, label, 1 - label)
    shown = shown.with_columns(page=pl.Series(page).replace_strict({0: "home", 1: "shop"}), followed=label)
    shown.write_parquet(log)
    auc = {}
    for name, said in {
        "without": (),
        "with": ("--moment-context", "page"),
        "after": ("--item-context", "followed"),
    }.items():
        words = ("evaluate", str(log), *SETTINGS, "--refresh", "0s", "--base", "online", "--json", *said)
        assert run((*words, "--out", str(tmp_path / name))) == 0
        told = capsys.readouterr()
        auc[name] = json.loads(told.out)["arms"]["online"]["auc"]
        assert ("followed alone has AUC 1.000" in told.err) == (name == "after")
    assert auc["with"] > auc["without"] + 0.1
    assert json.loads((tmp_path / "with" / "run.json").read_text())["settings"]["columns"] == "--moment-context page"


def test_sampled_negatives_have_no_context(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pl.read_parquet(log).with_columns(price=1).write_parquet(log)
    words = ("evaluate", str(log), *SETTINGS, "--negatives", "1", "--item-context", "price")
    assert run((*words, "--out", str(tmp_path / "run"))) == 2
    assert "sampled negatives have no context" in capsys.readouterr().err


def test_a_log_of_few_users_is_told_and_gives_no_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [f"u,i{n % 5},{n % 2},{1_700_000_000_000 + 1000 * n}" for n in range(40)]
    (tmp_path / "a.csv").write_text("\n".join(["user_id,item_id,label,timestamp", *rows]))
    assert run(("evaluate", str(tmp_path / "a.csv"), "--refresh", "0s", "--out", str(tmp_path / "run"))) == 0
    told = capsys.readouterr().err
    assert "too few users to tell (1 with both labels; 30 needed)" in told
    assert "GAUC" not in told and "nan" not in told
    document = json.loads((tmp_path / "run" / "result.json").read_text())
    assert document["verdict"]["answer"] == "can't tell" and document["paired"] == document["arms"] == {}
    assert "too few users to tell" in (tmp_path / "run" / "report.html").read_text()


def test_how_fresh_batches_have_to_be_is_asked_and_answered(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("evaluate", str(log), *SETTINGS, "--refresh", "0s", "--freshness", "--out", str(tmp_path / "run"))
    assert run(words) == 0
    document = json.loads((tmp_path / "run" / "result.json").read_text())
    assert list(document["freshness"]) == ["1h", "24h"]
    assert "Batches may be" in capsys.readouterr().err


@pytest.mark.parametrize(("base", "refresh_ms"), [("stale", 0), ("boosted", 0), ("refreshed", Plan.refresh_ms)])
def test_what_waits_differs_in_nothing_that_personal_models_stand_on(base: str, refresh_ms: int) -> None:
    later = later_plans(Plan(base=base))
    assert later == {
        name: Plan(base=base, delay_ms=delay_ms, refresh_ms=refresh_ms)
        for name, delay_ms in (("1h", 3_600_000), ("24h", 86_400_000))
    }


def test_a_log_that_cannot_be_used_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("user_id,item_id,label,timestamp\n" + "u,i,0,1700000000000\n" * 9)
    assert run(("evaluate", str(tmp_path / "a.csv"), "--out", str(tmp_path / "run"))) == 2
    assert not (tmp_path / "run").exists()


def test_a_disk_that_is_full_in_the_end_does_not_cost_the_verdict(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk", 64 * 1024) as disk:
        words = ("evaluate", str(log), *SETTINGS, "--base", "stale", "--refresh", "0s", "--out", str(disk / "run"))
        assert run(words) == 1
    said = capsys.readouterr().err
    assert " events predicted on 40 devices" in said and "coda − cloud" in said
    assert "make room on that disk" in said and "the report:" not in said
