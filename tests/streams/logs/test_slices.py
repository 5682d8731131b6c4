import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from streams.logs.slices import Slicer, slices

# Seconds until the next event, and whose it is: one moment is one user's, as a basket is.
EVENTS = st.lists(st.tuples(st.sampled_from([0, 0, 1, 3, 60]), st.sampled_from("abcd")), min_size=1, max_size=60)


@given(events=EVENTS, rows=st.integers(1, 9), delay_ms=st.sampled_from([1, 2_000, 100_000]))
def test_a_stream_is_cut_where_its_log_is(events: list[tuple[int, str]], rows: int, delay_ms: int) -> None:
    users, times = list[str](), [0]
    for apart_s, user in events:
        users.append(user if apart_s or not users else users[-1])
        times.append(times[-1] + 1000 * apart_s)
    log = pl.DataFrame({"user_id": users, "timestamp": times[1:]}).with_columns(
        *(pl.lit("x").alias(name) for name in ("event_id", "item_id", "category_id", "event_type")),
        label=0,
        base=pl.lit(None, pl.Float64),
    )
    slicer, cut = Slicer(rows, delay_ms), list[list[int]]()
    for user, timestamp in zip(users, times[1:], strict=True):
        if slicer.begins(user, timestamp):
            cut.append([])
        cut[-1].append(timestamp)
    assert cut == [[event.timestamp for event in part] for part in slices(log, rows, delay_ms, set(users))]
