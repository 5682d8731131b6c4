"""Quotes that mean something and quotes that do not, mixed within one file."""

import csv
import io
import random
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from streams.logs.blocks import Block
from streams.logs.csv_records import Layout, RecordReader
from streams.logs.event_log import read_log
from tests.streams.logs.world import write_csv

AT = 1_500_000_000_000


def row(number: int, item: str = "film") -> str:
    return f"u{number},{item},c,click,1,{AT + number}"


def read(tmp_path: Path, odd: dict[int, str], rows: int = 200) -> tuple[list[int], list[tuple[int, str]]]:
    """Which rows of a log with these odd items became events, and where and why others did not."""
    path = write_csv(tmp_path / "a.csv", *(row(n, odd.get(n, "film")) for n in range(rows)))
    batches = list(read_log(path))
    taken = [time - AT for batch in batches for time in batch.events["timestamp"].to_list()]
    return taken, [(r.line, r.reason) for batch in batches for r in batch.rejected]


def test_an_inch_mark_is_text(tmp_path: Path) -> None:
    taken, rejected = read(tmp_path, {50: '12" vinyl', 90: 'vinyl 7"'})
    assert (taken, rejected) == (list(range(200)), [])


@pytest.mark.parametrize(
    "odd",
    [
        {50: '"12 vinyl'},
        {199: '"12 vinyl'},
        {50: '"12 vinyl', 90: '"7 vinyl'},
        {50: '"12 vinyl', 90: '7 vinyl"'},
        {50: '"12 vinyl', 51: '7 vinyl"'},
        {50: '"a" and "b"', 51: '"c"d'},
        {50: '"12 vinyl', 90: '"legal, title"', 130: '"another ""legal"" one"'},
    ],
)
def test_a_stray_quote_costs_its_own_row_at_most(odd: dict[int, str], tmp_path: Path) -> None:
    taken, rejected = read(tmp_path, odd)
    lost = set(range(200)) - set(taken)
    assert lost <= set(odd) and len(lost) <= 2
    assert {line - 2 for line, _ in rejected} == lost
    assert all("quote" in reason for _, reason in rejected)


@pytest.mark.parametrize("lines", [2, 30, 150])
def test_a_quoted_field_with_line_breaks_is_one_field_beside_a_stray_quote(lines: int, tmp_path: Path) -> None:
    title = "\n".join(["a, b"] * lines)[:250]
    taken, rejected = read(tmp_path, {20: '"stray', 50: f'"{title}"', 60: '"stray'})
    assert taken == [n for n in range(200) if n not in (20, 60)]
    assert len(rejected) == 2


def test_a_quoted_field_that_is_too_long_is_one_rejected_row_and_its_reason_says_how_long(tmp_path: Path) -> None:
    title = "\n".join(["wide \u00e9\u00e9"] * 100_000)
    taken, ((line, reason),) = read(tmp_path, {50: f'"{title}"'})
    assert taken == [n for n in range(200) if n != 50]
    assert line == 52 and str(len(row(50, f'"{title}"').encode())) in reason


def test_a_record_may_end_in_another_block(tmp_path: Path) -> None:
    filler = "x" * 200
    odd = {n: f'"{filler}\n{n}"' for n in range(30_000)}
    taken, rejected = read(tmp_path, odd, 30_000)
    assert (len(taken), rejected) == (30_000, [])


def test_where_programs_do_not_quote_a_quote_is_text() -> None:
    lines = ['u\t"Heroes" (live)\t1', 'u\t"Heroes"\t2', 'u\t"open\t3']
    found = RecordReader(Layout("\t", 3, 2)).read(Block(np.arange(3), pl.Series("raw", lines)), last=True)
    assert found.fields["1"].to_list() == ['"Heroes" (live)', "Heroes", '"open']
    assert found.rejected == ()


def test_stray_quotes_anywhere_cost_no_other_row(tmp_path: Path) -> None:
    for seed in range(40):
        rng = random.Random(seed)
        rows = [_written(rng, number) for number in range(60)]
        hit = rng.sample(range(60), rng.choice([1, 2, 3]))
        for number in hit:
            at = rng.randrange(len(rows[number]) + 1)
            rows[number] = f'{rows[number][:at]}"{rows[number][at:]}'
        path = write_csv(tmp_path / "a.csv", *rows, header="user_id,note,item_id,label,timestamp")
        taken = {time - AT for batch in read_log(path) for time in batch.events["timestamp"].to_list()}
        assert set(range(60)) - taken <= set(hit), seed


def _written(rng: random.Random, number: int) -> str:
    """A row as Python's csv writes it, often with quotes, commas and line breaks in its fields."""
    note = rng.choice(["", "x", "two\nlines", "a\n\nb, c\n1,2", "9"])
    item = rng.choice(["film", "a, b", 'say "x"'])
    out = io.StringIO()
    style = csv.excel if rng.random() < 0.5 else csv.unix_dialect  # the second quotes every field
    csv.writer(out, style, lineterminator="\n").writerow([f"u{number % 5}", note, item, 1, AT + number])
    return out.getvalue()[:-1]
