"""Whether versions of the cloud model mixed, or went back: by what Kafka holds of models, batches and reports."""

from collections.abc import Iterable, Set

from streams.faults.history import History
from wire.identity import NO_MODEL, ModelId


def mixed(history: History, published: Set[ModelId]) -> int:
    """How many batches and reports name a model that was never published, or answer for a batch of another model."""
    unheard = [model for _, model in _named(history) if model not in published]
    other = [batch for batch, model in history.answered_as.items() if history.made_by.get(batch, model) != model]
    return len(unheard) + len(other)


def went_back(history: History) -> int:
    """How many devices were sent, or used, an older model of a lineage after a newer one."""
    newest: dict[tuple[str, str], int] = {}
    back = set()
    for who, model in _named(history):
        if model.version < newest.get((who, model.lineage), 0):
            back.add(who)
        newest[who, model.lineage] = max(model.version, newest.get((who, model.lineage), 0))
    return len(back)


def _named(history: History) -> Iterable[tuple[str, ModelId]]:
    """Who named which model, in the order in which it was done: a device's batches as they came, then its reports."""
    for (device, _), model in history.made_by.items():
        yield f"batches of {device}", model
    for (device, _, _), model in sorted(history.used.items()):
        if model != NO_MODEL:
            yield device, model
