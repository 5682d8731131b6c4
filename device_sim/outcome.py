"""How what devices don't report ends on them: an enumeration per thing, in the words of metrics and fleet's result."""

from wire.outcome import Outcome


class Events(Outcome):
    """Own events that are passed over, or given up before the cloud had them."""

    DUPLICATE = "duplicate"
    MALFORMED = "malformed"
    OUTBOX_FULL = "outbox_full"
    DEVICE_GONE = "device_gone"  # with a device that retired or is quarantined
    QUARANTINED = "quarantined"  # of a user whose device is


class Unpredicted(Outcome):
    """Own events that are learned from, but not predicted."""

    NO_CLOUD_MODEL = "no_cloud_model"  # there is none yet
    KNOWN_TO_CLOUD_MODEL = "known_to_cloud_model"  # the cloud model has learned from them


class Models(Outcome):
    """Cloud models."""

    ADOPTED = "adopted"
    REPEATED = "repeated"  # the device's own
    OLDER_VERSION = "older_version"
    OTHER_DIGEST = "other_digest"  # of the device's number, and another model
    OTHER_LINEAGE = "other_lineage"  # which does not say that it replaces the device's
    UNSIGNED = "unsigned"  # not signed with the cloud's key
    REFUSED = "refused"  # damaged


class Tasks(Outcome):
    """Tasks."""

    ADOPTED = "adopted"
    REPEATED = "repeated"  # no newer than the device's
    NOT_ROLLED_OUT = "not_rolled_out"  # to this device
    REFUSED_CODE_VERSION = "refused_code_version"  # for other training code
    OTHER_LINEAGE = "other_lineage"  # for devices with another line of cloud models
    OUTDATED = "outdated"  # dropped, as a cloud model of another lineage came
    UNSIGNED = "unsigned"  # not signed with the cloud's key
    REFUSED = "refused"  # no task


class Heads(Outcome):
    """Personal heads that were trained."""

    ACCEPTED = "accepted"
    ROLLED_BACK = "rolled_back"  # worse than the cloud model on the newest own samples


class Stances(Outcome):
    """What a device does with personal heads (`device_sim.aside`)."""

    TRAINS = "trains"
    ASIDE = "aside"  # neither asks nor trains
    PROBES = "probes"  # asks and trains, to look again


class Receipts(Outcome):
    """Receipts for uploaded events."""

    MALFORMED = "malformed"


class Devices(Outcome):
    """Devices of a fleet."""

    RETIRED = "retired"  # to make room for others
    QUARANTINED = "quarantined"  # the code failed of what it holds


class Paces(Outcome):
    """The cloud's word when to come back."""

    OBEYED = "obeyed"
    MALFORMED = "malformed"  # the one before stands
    TAKEN_BACK = "taken_back"


class Attendances(Outcome):
    """What devices do that are not always there, or not as fast as they are here."""

    LEFT = "left"
    CAME = "came"
    PUT_OFF = "put_off"  # a training, until the device is available
    DELAYED = "delayed"  # a training, as the device is slow
    UNFINISHED = "unfinished"  # a training, to be begun anew
    CLOCK_SET = "clock_set"
