"""No bytes stop a decoder: `python -m benchmarks.fuzz` tries 100,000 for each, these are a fixed few."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.fuzz import fuzz
from tests.wire.messages import DECODERS, HEADERS, MESSAGES
from wire.event import split_upload
from wire.malformed import Malformed
from wire.push_headers import PushHeaders, addressee

GOLDEN = [message.golden for message in MESSAGES]


@pytest.mark.parametrize("name", DECODERS)
def test_any_mutation_gives_a_message_or_one_refusal(name: str) -> None:
    found = fuzz(DECODERS[name], GOLDEN, inputs=1500, seed=7)
    assert found.failure == ""
    assert found.refused and found.slowest_ms < 10_000


def _split(raw: bytes) -> list[bytes]:
    return list(split_upload(raw))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_message_or_one_refusal(raw: bytes) -> None:
    for decode in (*DECODERS.values(), addressee, _split):
        try:
            decode(raw)
        except Malformed as refused:
            assert "\n" not in str(refused) and len(str(refused)) < 500


@given(st.dictionaries(st.sampled_from([*HEADERS["batch"], "other"]), st.binary(max_size=40)))
def test_any_headers_give_the_four_numbers_or_one_refusal(changed: dict[str, bytes]) -> None:
    try:
        assert PushHeaders.decode({**HEADERS["batch"], **changed}).seq >= 0
    except Malformed as refused:
        assert refused.kind == "batch"
