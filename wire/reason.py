"""Why something was refused: one word each, as it stands in metrics, headers and dead letters."""

from enum import StrEnum


class Reason(StrEnum):
    """The words; a dead letter's `detail` says the rest in a sentence."""

    TOO_LARGE = "too_large"  # more bytes than a message of its kind may have
    TOO_DEEP = "too_deep"  # nested deeper than any message of ours
    UNKNOWN_FORMAT = "unknown_format"  # no format, another kind of message, or a version this code does not read
    MALFORMED = "malformed"  # not decodable, or a field of another type, range or length
    DAMAGED = "damaged"  # its bytes do not match their digest
    UNSIGNED = "unsigned"  # not signed with the cloud's key
    RATE = "rate"  # more than one device may send up
    WRONG_DEVICE = "wrong_device"  # it speaks for another device than the one it came from
    LATE = "late"  # further behind its user's events than lateness allows
    AHEAD = "ahead"  # of the time that others say it is, or of the wall clock
    WINDOW = "window"  # older than the pool's window
    RARE = "rare"  # of an item that too few users took, and there was no room for it to wait
    DUPLICATE = "duplicate"  # an event that was seen before
