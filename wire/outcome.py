"""How batches and trainings end on devices, in the words of reports, metrics and the fleet's result."""

from enum import StrEnum


class Outcome(StrEnum):
    """One way to end; the enumeration's name says what ended.

    >>> Batches.WRONG_MODEL.what, str(Batches.WRONG_MODEL)
    ('batches', 'wrong_model')
    """

    @property
    def what(self) -> str:
        """What ended so."""
        return type(self).__name__.lower()


class Batches(Outcome):
    """Candidate batches."""

    ACCEPTED = "accepted"
    REPEATED = "repeated"  # here already: answered as the first time
    STALE = "stale"  # a newer one is here
    WRONG_MODEL = "wrong_model"  # of another cloud model than the device's
    MALFORMED = "malformed"  # unreadable, or another device's
    OUTDATED = "outdated"  # dropped, as a new cloud model came
    ASIDE = "aside"  # dropped, as the device does not train
    UNTRAINABLE = "untrainable"  # dropped, as the training on it failed


class Trainings(Outcome):
    """Trainings of a device."""

    ACCEPTED = "accepted"  # with at least one head
    ROLLED_BACK = "rolled_back"  # no head passed the acceptance test
    OUTDATED = "outdated"  # a new cloud model came meanwhile
    FAILED = "failed"  # with an error
