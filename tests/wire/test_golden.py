"""The bytes of every message are fixed: a device in another language reads and writes the same ones."""

import json

import pytest

from tests.wire.messages import GOLDEN, MESSAGES, READERS, REFUSED, Message, described, index
from wire.malformed import Malformed
from wire.reason import Reason


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.file)
def test_a_message_is_written_as_its_golden_file_and_read_from_it(message: Message) -> None:
    assert message.encode(message.value) == message.golden
    assert described(message.decode(message.golden)) == described(message.value)


def test_the_index_tells_other_implementations_what_the_files_hold() -> None:
    assert json.loads((GOLDEN / "index.json").read_text()) == json.loads(json.dumps(index()))


@pytest.mark.parametrize(("kind", "raw", "reason"), REFUSED)
def test_what_must_be_refused_is_refused_with_its_word(kind: str, raw: bytes, reason: Reason) -> None:
    with pytest.raises(Malformed) as refused:
        READERS[kind](raw)
    assert refused.value.reason == reason
