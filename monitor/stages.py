"""The stages that an event passes, in order: whose input is whose output, and which processes do them."""

from typing import NamedTuple


class Stage(NamedTuple):
    """The stage before (None: there is none), the role of the processes that do it, what it means.

    `reads` is the topic whose positions it tells, "" where it tells none or not of one alone.
    """

    before: str | None
    role: str
    means: str
    reads: str = ""


OF = "/"  # between a stage and the group of devices of which it is told
STAGES = {
    "produced": Stage(None, "replay", "events are in Kafka"),
    "scored": Stage("produced", "scorer", "events are on `events` with what is expected of them", "unscored"),
    "pooled": Stage("scored", "flow", "events are through the dataflow: in the pool, waiting, or rejected", "events"),
    "matched": Stage("pooled", "flow", "requests of devices are through the dataflow", "requests"),
    "tunnelled": Stage("matched", "tunnel", "candidate batches are at the MQTT broker", "candidates"),
    "pushed": Stage("tunnelled", "tunnel", "devices that are there have answered for their batches"),
    "predicted": Stage("scored", "fleet", "devices have what their users did"),
    "trained": Stage("predicted", "fleet", "devices that were due have trained"),
    "learned": Stage("pooled", "trainer", "the cloud trainer has the samples", "samples"),
    "canary": Stage(None, "canary", "canaries are back that went through requests, pool, candidates and MQTT"),
}


def before(stage: str | None) -> str | None:
    """The stage before, if there is one; of a group of devices, that of all of them.

    >>> before("trained/new")
    'predicted'
    """
    known = STAGES.get(stage.partition(OF)[0]) if stage else None
    return known.before if known else None


def path_to(stage: str) -> list[str]:
    """From the beginning to `stage`.

    >>> path_to("tunnelled")
    ['produced', 'scored', 'pooled', 'matched', 'tunnelled']
    """
    earlier = before(stage)
    return [*(path_to(earlier) if earlier else []), stage]
