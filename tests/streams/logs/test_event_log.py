import gzip
import math
import os
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from streams.logs.event_log import encode_events, load_log, read_log, sorted_log, survey
from streams.logs.options import FIELDS, LogOptions
from streams.logs.rejected import ROW_BYTES
from tests.streams.logs.test_columns import WORDS_FOR_NOTHING
from tests.streams.logs.world import HEADER, everything, make_log, write_csv
from wire.errors import InputError
from wire.event import Event, decode_event

LOG = make_log(300)


def write(path: Path) -> Path:
    if path.suffix == ".parquet":
        LOG.write_parquet(path)
        return path
    raw = LOG.write_csv().encode() if ".csv" in path.name else LOG.write_ndjson().encode()
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(raw))
    elif path.suffix == ".zst":
        with pa.output_stream(str(path), compression="zstd") as stream:
            stream.write(raw)
    else:
        path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    "name", ["a.csv", "a.csv.gz", "a.csv.zst", "a.jsonl", "a.jsonl.gz", "a.ndjson", "a.parquet", "B.CSV"]
)
def test_every_format_gives_the_same_events(name: str, tmp_path: Path) -> None:
    found = everything(write(tmp_path / name.replace("B.CSV", "b.csv")))
    assert found.rejected == ()
    wanted = LOG.with_columns(pl.col("label").cast(pl.Int8), base=pl.lit(None, pl.Float64))
    assert found.events.select(FIELDS).equals(wanted.select(FIELDS))
    contexts = [msgspec.json.decode(context) for context in found.events["context"]]
    assert [int(context["rating"]) for context in contexts] == LOG["rating"].to_list()
    assert [context.get("note") for context in contexts] == LOG["note"].to_list()


def test_ids_are_deterministic_distinct_and_the_same_however_the_file_is_compressed(tmp_path: Path) -> None:
    plain, packed = (everything(write(tmp_path / name)).events["event_id"] for name in ("a.csv", "a.csv.gz"))
    assert plain.equals(packed)
    assert plain.n_unique() == LOG.height


def test_equal_rows_are_different_events(tmp_path: Path) -> None:
    events = everything(write_csv(tmp_path / "a.csv", *["u,i,c,click,1,1000"] * 3)).events
    assert events["event_id"].n_unique() == 3


MALFORMED = {
    "u,i,c,click,2,1000": "label is 2",
    "u,i,c,click,nan,1000": "label is nan",
    "u,i,c,click,inf,1000": "label is inf",
    "u,i,c,click,perhaps,1000": "label is perhaps",
    "u,i,c,click,,1000": "no label",
    ",i,c,click,1,1000": "no user_id",
    "u,,c,click,1,1000": "no item_id",
    f"{'u' * 300},i,c,click,1,1000": "longer than 256",
    "u,i,c,click,1,NaN": "timestamp is NaN",
    "u,i,c,click,1,-inf": "timestamp is -inf",
    "u,i,c,click,1,-1": "timestamp is -1",
    "u,i,c,click,1,yesterday": "timestamp is yesterday",
    "u,i,c,click,1,1506826800026000000": "not a time in milliseconds",
    "u,i,c,click,1,99999999999999999999999": "not a time in milliseconds",
    "u,i,c,click,1": "5 fields where the header has 6",
    "u,i,c,click,1,1000,x": "7 fields where the header has 6",
    'u,"i"x,c,click,1,1000': "quotes in the wrong place",
}


@pytest.mark.parametrize("row", MALFORMED)
def test_a_malformed_row_has_its_line_its_reason_and_its_bytes_and_the_rest_goes_on(row: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "u,i,c,click,1,1000", "", row, "u,i,c,click,0,1001")
    found = everything(path)
    assert found.events["timestamp"].to_list() == [1000, 1001]
    ((line, reason, raw),) = found.rejected
    assert (line, raw) == (4, row.encode())
    assert MALFORMED[row] in reason


def test_bytes_that_are_not_text_are_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(HEADER.encode() + b"\nu,i,c,click,1,1\n\xff\xfe,i,c,click,1,1\nu,i,c,click,1,2\n")
    found = everything(path)
    assert found.events["timestamp"].to_list() == [1, 2]
    assert [(row.line, row.raw) for row in found.rejected] == [(3, b"\xff\xfe,i,c,click,1,1")]
    assert "iconv" in found.rejected[0].reason


def test_quotes_may_span_lines_and_a_stray_one_costs_one_row(tmp_path: Path) -> None:
    rows = ['u,"a ""b"", c",c,click,1,1,"two', "", " ", 'lines"', "", 'u,"stray,c,click,1,2,', "u,i,c,click,1,3,"]
    found = everything(write_csv(tmp_path / "a.csv", *rows, header=HEADER + ",note"))
    assert found.events["item_id"].to_list() == ['a "b", c', "i"]
    assert found.events["context"][0] == '{"note":"two\\n\\n \\nlines"}'
    assert [(row.line, row.reason) for row in found.rejected] == [(7, "a quote is opened and not closed")]


def test_windows_line_ends_and_byte_order_mark_are_no_part_of_a_log(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"\r\nu,i,c,click,1,1000\r\n")
    assert everything(path).events["timestamp"].to_list() == [1000]


def test_whole_floats_are_taken_as_the_numbers_they_are(tmp_path: Path) -> None:
    events = everything(write_csv(tmp_path / "a.csv", "u,i,c,click,1.0,1506826800026.0")).events
    assert events.select("label", "timestamp").row(0) == (1, 1506826800026)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("null", "not a JSON object"),
        (f'{{"deep":{"[" * 1500}{"]" * 1500}}}', "nested deeper than 30"),
        (f'{{"user_id":"u","deep":{"[" * 40}{"]" * 40}}}', "nested deeper than 30"),
        ('{"user_id":NaN}', "not JSON"),
        ('{"user_id":"u","rating":1e400}', "out of range"),
        (f'{{"user_id":{"9" * 5000}}}', "out of range"),
        (r'{"user_id":"\ud800"}', "not JSON"),
        (f'{{"user_id":"{"é" * 700_000}"}}', "1400014 bytes long"),
        ('{"user_id":["u"],"item_id":1,"category_id":1,"event_type":"e","label":1,"timestamp":1}', "user_id is not"),
        ('{"item_id":1,"category_id":1,"event_type":"e","label":1,"timestamp":1}', "no user_id"),
        ('{"user_id":"u","item_id":1,"category_id":1,"event_type":"e","label":null,"timestamp":1}', "no label"),
    ],
)
def test_malformed_json_lines(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = '{"user_id":7,"item_id":1,"category_id":1,"event_type":"e","label":true,"timestamp":5,"deep":{"a":[1]}}'
    path.write_text(f"{good}\n{line}\n{good}\n")
    found = everything(path)
    assert found.events["user_id"].to_list() == ["7", "7"]
    assert found.events["context"][0] == '{"deep":{"a":[1]}}'
    assert [(row.line, row.raw) for row in found.rejected] == [(2, line.encode()[:ROW_BYTES])]
    assert reason in found.rejected[0].reason


def test_parquet_rows_with_nothing_or_nan_in_them_are_rejected_by_number(tmp_path: Path) -> None:
    frame = LOG.head(4).with_columns(
        pl.Series("label", [1.0, math.nan, math.inf, 0.0]), pl.Series("timestamp", [1.0, 2.0, 3.0, None])
    )
    frame.write_parquet(tmp_path / "a.parquet")
    found = everything(tmp_path / "a.parquet")
    assert found.events["timestamp"].to_list() == [1]
    assert [(row.line, row.reason.split(",")[0]) for row in found.rejected] == [
        (2, "label is NaN"),
        (3, "label is inf"),
        (4, "no timestamp"),
    ]


def test_parquet_times_and_category_columns_are_understood(tmp_path: Path) -> None:
    frame = LOG.head(3).with_columns(
        pl.from_epoch("timestamp", "ms").dt.cast_time_unit("ns"), pl.col("category_id").cast(pl.Categorical)
    )
    frame.write_parquet(tmp_path / "a.parquet")
    events = everything(tmp_path / "a.parquet").events
    assert events["timestamp"].to_list() == LOG["timestamp"][:3].to_list()
    assert events["category_id"].to_list() == LOG["category_id"][:3].to_list()


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"timestamp": pl.Series([1, 2]).cast(pl.Date)}, {"timestamp": [86_400_000, 172_800_000]}),
        ({"user_id": pl.Series([7.0, 2.5])}, {"user_id": ["7", "2.5"]}),
        ({"user_id": pl.Series([b"a", b"b"])}, {"user_id": ["a", "b"]}),
        ({"label": pl.Series(["1", "0"]).cast(pl.Decimal(3, 1))}, {"label": [1, 0]}),
        ({"label": pl.Series([True, False])}, {"label": [1, 0]}),
        ({"x": pl.Series([{"a": [1]}, {"a": []}])}, {"label": [0, 1]}),
        ({"x": pl.Series([2**100, None], dtype=pl.Decimal(38, 0))}, {"label": [0, 1]}),
    ],
)
def test_parquet_columns_as_other_programs_write_them(
    columns: dict[str, pl.Series], wanted: dict[str, list[object]], tmp_path: Path
) -> None:
    LOG.head(2).with_columns(**columns).write_parquet(tmp_path / "a.parquet")
    found = everything(tmp_path / "a.parquet")
    assert found.rejected == ()
    assert {name: found.events[name].to_list() for name in wanted} == wanted
    assert all(decode_event(value) for value in encode_events(found.events))


def test_the_zone_that_a_parquet_moment_is_shown_in_does_not_matter(tmp_path: Path) -> None:
    table = LOG.head(2).to_arrow()
    zoned = table.set_column(5, "timestamp", table["timestamp"].cast(pa.timestamp("ms", tz="Mars/Base")))
    pq.write_table(zoned, tmp_path / "a.parquet")
    assert everything(tmp_path / "a.parquet").events["timestamp"].to_list() == LOG["timestamp"].head(2).to_list()


def whole_file_failures() -> dict[str, Any]:
    def text(raw: bytes) -> Any:
        return lambda path: path.write_bytes(raw)

    def parquet(**columns: Any) -> Any:
        return lambda path: LOG.head(2).with_columns(**columns).write_parquet(path)

    return {
        "empty.csv": (text(b""), "is empty"),
        "blank.csv": (text(b"\n\n"), "is empty"),
        "header-only.csv": (text(HEADER.encode()), "has no rows"),
        "no-label.csv": (text(b"user_id,item_id,category_id,event_type,timestamp\n1,2,3,buy,1e12\n"), "--positive buy"),
        "binary.csv": (text(b"\xff\xd8\xff\xe0 a picture\n" * 9), "does not begin with a header"),
        "twice.csv": (text(f"{HEADER},label\n".encode()), "more than once"),
        "torn.csv.gz": (text(gzip.compress(b"x" * 100_000)[:50]), "cannot be read"),
        "not-packed.csv.gz": (text(b"\x1f\x8bplain text"), "cannot be read"),
        "log.xlsx": (text(b"PK\3\4 a sheet"), "an Excel sheet is one, too"),
        "log.parquet.gz": (text(b"PAR1"), "unpack it first"),
        "array-of-one-line.json": (text(b'[{"user_id":1}' + b',{"user_id":2}' * 9_000 + b"]"), "jq -c"),
        "no-label.jsonl": (text(b'{"user_id":1}\n'), "surely item_id or timestamp"),
        "nothing.jsonl": (text(b"hello\n"), "no JSON object on a line of its own (line 1: not JSON: "),
        "torn.parquet": (text(b"PAR1 and then nothing"), "cannot be read"),
        "lists.parquet": (parquet(user_id=pl.Series([["a"], ["b"]])), "surely user_id"),
        "flags.parquet": (parquet(timestamp=pl.Series([True, False])), "column timestamp holds"),
        "pictures.parquet": (parquet(picture=pl.Series([b"\xff", b""])), "column picture holds large_binary"),
        "no-rows.parquet": (lambda path: LOG.head(0).write_parquet(path), "has no rows"),
        "array.jsonl": (text(b'[\n{"user_id":1},\n{"user_id":2}\n]'), "jq -c"),
        "no-mark.csv": (text(HEADER.encode("utf-16-le")), "save it as UTF-8"),
        "torn-utf16.csv": (text(HEADER.encode("utf-16")[:-1]), "save it as UTF-8"),
        "garbage-behind.csv.gz": (text(gzip.compress(HEADER.encode()) + b"garbage"), "cannot be read"),
        "directory.csv": (lambda path: path.mkdir(), "is a directory"),
        "pipe.csv": (os.mkfifo, "save the log to a file first"),
    }


@pytest.mark.parametrize("name", whole_file_failures())
def test_a_file_that_is_no_log_stops_at_once_with_one_clear_line(name: str, tmp_path: Path) -> None:
    make, says = whole_file_failures()[name]
    make(tmp_path / name)
    with pytest.raises(InputError) as failed:
        survey(tmp_path / name)
    assert says in str(failed.value)
    assert name in str(failed.value)
    with pytest.raises(InputError):
        load_log(tmp_path / name)
    assert "\n" not in str(failed.value)


def test_a_parquet_file_without_a_column(tmp_path: Path) -> None:
    pq.write_table(pa.table({"user_id": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="surely item_id or timestamp"):
        survey(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("items.id", "no column items.id: items holds list<element: struct<id: string>>"),
        ("shop.name", "no column shop.name: shop holds struct<id: string>"),
        ("shop.id.more", "no column shop.id.more: shop holds"),
        ("time.zone", "no column time.zone: time holds int64"),
    ],
)
def test_a_path_into_parquet_columns_that_leads_nowhere_is_told(said: str, says: str, tmp_path: Path) -> None:
    nested = {"items": [[{"id": "i"}]], "shop": [{"id": "s"}]}
    pq.write_table(pa.table({"user": ["u"], "time": [1_500_000_000], "label": [1]} | nested), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=says):
        load_log(tmp_path / "a.parquet", LogOptions((f"item_id={said}",)))


def test_survey_counts_spans_and_finds_the_first_line_out_of_order(tmp_path: Path) -> None:
    rows = ["u,i,c,click,1,10", "u,i,c,click,1,10", "u,i,c,click,x,5", "u,i,c,click,1,9", "u,i,c,click,1,30"]
    found = survey(write_csv(tmp_path / "a.csv", *rows))
    assert (found.events, found.rejected, found.first_ms, found.last_ms) == (4, 1, 9, 30)
    assert found.unsorted_line == 5


def test_sorting_keeps_the_order_of_rows_of_one_moment_and_the_ids(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "u,a,c,click,1,20", "u,b,c,click,1,10", "u,c,c,click,1,20", "bad")
    (batch,) = sorted_log(path)
    assert batch.events["item_id"].to_list() == ["b", "a", "c"]
    assert set(batch.events["event_id"]) == set(everything(path).events["event_id"])
    assert [row.line for row in batch.rejected] == [5]
    assert load_log(path)["timestamp"].to_list() == [10, 20, 20]


def test_a_log_larger_than_a_block_is_read_whole_and_in_order(tmp_path: Path) -> None:
    rows = [f"u{n % 9},{'long name ' * 10}{n},c,click,{n % 2},{n}" for n in range(60_000)]
    batches = list(read_log(write_csv(tmp_path / "a.csv", *rows)))
    assert len(batches) > 1
    events = pl.concat([batch.events for batch in batches])
    assert events["timestamp"].to_list() == list(range(60_000))
    assert events["line"].to_list() == list(range(2, 60_002))


names = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=20).filter(
    lambda name: name.strip() == name and "\r" not in name and name not in WORDS_FOR_NOTHING
)


TIMES = st.integers(10**12, 22 * 10**11)  # of years in which logs are written


@example([("x^", "0", "0", "0", 0, 10**12)])
@settings(max_examples=50)
@given(st.lists(st.tuples(names, names, names, names, st.integers(0, 1), TIMES), min_size=1, max_size=8))
def test_whatever_can_be_written_can_be_read_and_sent(rows: list[tuple[str, str, str, str, int, int]]) -> None:
    frame = pl.DataFrame(
        rows, schema=dict(zip(FIELDS[:6], [pl.String] * 4 + [pl.Int64] * 2, strict=True)), orient="row"
    )
    with tempfile.TemporaryDirectory() as folder:
        frame.write_csv(Path(folder) / "a.csv")
        frame.write_ndjson(Path(folder) / "a.jsonl")
        for name in ("a.csv", "a.jsonl"):
            found = everything(Path(folder) / name)
            assert found.rejected == ()
            sent = [decode_event(value) for value in encode_events(found.events)]
            told = [(e.user_id, e.item_id, e.category_id, e.event_type, e.label, e.timestamp) for e in sent]
            assert told == rows


def test_encoding_says_the_same_as_one_event_at_a_time(tmp_path: Path) -> None:
    events = everything(write(tmp_path / "a.parquet")).events
    for row, value in zip(events.iter_rows(named=True), encode_events(events), strict=True):
        row.pop("line")
        context = msgspec.json.decode(row.pop("context"))
        assert decode_event(value) == Event(**row, context=context)


def test_what_a_whole_log_leaves_out_is_told(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "log.csv", "u,i,c,e,1,1500000000000", "u,i,c,e,NaN,1500000000001", "u,i")
    with capture_logs() as lines:
        assert load_log(path).height == 1
    (told,) = lines
    assert told["rows"] == 2 and told["first"] == "line 3: label is NaN, not 0 or 1"


def test_json_lines_that_are_malformed_before_the_first_object_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    event = '{"user_id":"u","item_id":"i","label":1,"timestamp":1700000000000}'
    path.write_text(f"{event},\n" * 3 + event)  # the last line ends the file without a line end: a block of its own
    found = everything(path)
    assert (found.events.height, [line for line, _, _ in found.rejected]) == (1, [1, 2, 3])


def test_a_user_of_7_and_of_7_0_is_one(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        "".join(f'{{"user_id":{user},"item_id":1,"label":1,"timestamp":1700000000000}}\n' for user in ("7", "7.0"))
    )
    assert everything(path).events["user_id"].to_list() == ["7", "7"]


def test_spaces_around_labels_are_no_part_of_them(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", "u, i, c, click, 1, 1000", "u, i, c, click, true, 1001")
    assert everything(path).events["label"].to_list() == [1, 1]


def test_parquet_text_that_is_none_costs_its_row_and_moments_of_any_zone_are_read(tmp_path: Path) -> None:
    raw = pa.array([b"\xffu", b"v"], pa.binary())
    claimed = pa.Array.from_buffers(pa.string(), 2, raw.buffers())  # text by its type alone
    for users in (raw, claimed):
        times = pa.array([1_700_000_000_000] * 2, pa.timestamp("ms", "+05:30"))
        columns = {"user_id": users, "item_id": ["i", "j"], "label": [0, 1], "timestamp": times}
        pq.write_table(pa.table(columns), tmp_path / "a.parquet")
        found = everything(tmp_path / "a.parquet")
        assert found.events.select("user_id", "timestamp").rows() == [("v", 1_700_000_000_000)]
        assert [row.line for row in found.rejected] == [1]


def test_a_nested_column_of_a_usual_name_is_said_to_be_nested(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"user_id":"u","item_id":"i","label":1,"timestamp":{"$date":1700000000000}}\n')
    with pytest.raises(InputError, match=r"timestamp\.… \(nested\): say which is, --column timestamp=NAME"):
        everything(path)
