"""What counts as an event, and what each malformed one says."""

import msgspec
import pytest

from wire.event import Event, decode_event, encode_event
from wire.malformed import Malformed

GOOD = Event("e1", "u1", "i1", "c1", "click", 1, 1_500_000_000_000, {"device": "phone"})


def test_what_is_sent_is_what_is_read() -> None:
    assert decode_event(encode_event(GOOD)) == GOOD


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("label", b"2", "label"),
        ("label", b"1.5", "label"),
        ("label", b"NaN", "invalid"),
        ("timestamp", b"-1", "timestamp"),
        ("timestamp", b"1500000000000000000", "timestamp"),
        ("user_id", b'""', "user_id"),
        ("item_id", b"7", "item_id"),
        ("category_id", b"null", "category_id"),
    ],
)
def test_a_malformed_event_names_its_field(field: str, value: bytes, said: str) -> None:
    fields = {k: msgspec.json.encode(getattr(GOOD, k)) for k in Event.__struct_fields__}
    pairs = [b'"%s":%s' % (k.encode(), value if k == field else v) for k, v in fields.items()]
    raw = b"{%s}" % b",".join([b'"format":"event/1"', *pairs])
    with pytest.raises(Malformed, match=said):
        decode_event(raw)
