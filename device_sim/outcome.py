"""How things end on devices: an enumeration per thing, whose words stand in metrics and in the fleet's result."""

from enum import StrEnum


class Outcome(StrEnum):
    """One way to end; the enumeration's name says what ended.

    >>> Batches.WRONG_VERSION.what, str(Batches.WRONG_VERSION)
    ('batches', 'wrong_version')
    """

    @property
    def what(self) -> str:
        """What ended so."""
        return type(self).__name__.lower()


class Events(Outcome):
    """Own events that are passed over, or given up before the cloud had them."""

    DUPLICATE = "duplicate"
    MALFORMED = "malformed"
    OUTBOX_FULL = "outbox_full"


class Unpredicted(Outcome):
    """Own events that are learned from, but not predicted."""

    NO_CLOUD_MODEL = "no_cloud_model"  # there is none yet
    KNOWN_TO_CLOUD_MODEL = "known_to_cloud_model"  # the cloud model has learned from them


class Batches(Outcome):
    """Candidate batches."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"  # here already: answered as the first time
    STALE = "stale"  # a newer one is here
    WRONG_VERSION = "wrong_version"  # of another cloud model than the device's
    MALFORMED = "malformed"  # unreadable, or another device's
    OUTDATED = "outdated"  # dropped, as a new cloud model came
    UNTRAINABLE = "untrainable"  # dropped, as the training on it failed


class Models(Outcome):
    """Cloud models."""

    ADOPTED = "adopted"
    REPEATED = "repeated"  # no newer than the device's
    REFUSED = "refused"  # damaged


class Tasks(Outcome):
    """Tasks."""

    ADOPTED = "adopted"
    REPEATED = "repeated"  # no newer than the device's
    NOT_ROLLED_OUT = "not_rolled_out"  # to this device
    REFUSED_CODE_VERSION = "refused_code_version"  # for other training code
    REFUSED_SIGNATURE = "refused_signature"


class Trainings(Outcome):
    """Trainings of a device."""

    ACCEPTED = "accepted"  # with at least one head
    ROLLED_BACK = "rolled_back"  # no head passed the acceptance test
    OUTDATED = "outdated"  # a new cloud model came meanwhile
    FAILED = "failed"  # with an error


class Heads(Outcome):
    """Personal heads that were trained."""

    ACCEPTED = "accepted"
    ROLLED_BACK = "rolled_back"  # worse than the cloud model on the newest own samples


class Receipts(Outcome):
    """Receipts for uploaded events."""

    MALFORMED = "malformed"


class Devices(Outcome):
    """Devices of a fleet."""

    RETIRED = "retired"  # to make room for others
