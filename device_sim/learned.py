"""What one device has learned, copied so that its taste can be read later, whatever the device does meanwhile."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from device_sim.fleet import Fleet
from device_sim.parameters import Parameters
from device_sim.taste import Taste
from device_sim.window import WindowRows
from models.blend import PERSONAL
from models.cloud_model import CloudModel
from models.packed_heads import bias_keys
from models.repeats import with_repeats
from wire.arrays import F32, F64, U32

FEW = 4  # of each kind are told, and of each side: what a page has a line for
STANDS_OUT = 0.1  # nats: what changes the odds by less than a tenth is no taste


@dataclass(frozen=True, slots=True)
class Learned:
    """Copies of what one device has learned, and from what.

    `weight` (heads,) is what each personal head in use has in the blend of the task's richest arm; `model` is what
    heads add to; `repeats` are the task's.
    """

    rows: WindowRows
    parameters: Parameters
    weight: F64
    model: CloudModel
    repeats: Mapping[str, float]

    @classmethod
    def of(cls, fleet: Fleet, user_id: str) -> Self | None:
        """That of a fleet's device; None while it has no head of its own."""
        device, slot = fleet.devices[user_id], fleet.slots[user_id]
        parameters = fleet.store.take(slot)
        if device.task is None or not len(parameters.heads):
            return None
        weight = fleet.store.blend.weights(np.array([slot]))[0, device.task.richest, -len(PERSONAL) :]
        model = fleet.store.models[device.model.key]
        return cls(device.window.rows(), parameters, weight[parameters.heads.head], model, device.task.repeats)

    def taste(self, names: Mapping[int, str]) -> Taste:
        """What stands out, of all that `names` names by key; it may forget one meanwhile."""
        rows = self._last_met()
        added = self._added(rows)
        category, number = np.unique(rows.category, return_inverse=True)
        mean = np.bincount(number, added) / np.bincount(number)
        return Taste(
            version=self.model.version,
            samples=len(self.rows),
            items=[(*_item(rows, key, names), weight) for key, weight in _strongest(rows.item, added, names)],
            categories=[(names.get(key, ""), weight) for key, weight in _strongest(category, mean, names)],
            returns=self._returns(rows, names),
        )

    def _last_met(self) -> WindowRows:
        """The newest row of each item."""
        _, back = np.unique(self.rows.item[::-1], return_index=True)
        return self.rows.take(len(self.rows) - 1 - back)

    def _added(self, rows: WindowRows) -> F64:
        """What the blend of personal heads adds to the logit of each row (n,), to first order."""
        x = self.model.standardised(self.model.item_vectors(rows.item, rows.category))
        added: F64 = self.parameters.heads.parts(x, bias_keys(rows.item, rows.category)).sum(axis=2) @ self.weight
        return added

    def _returns(self, rows: WindowRows, names: Mapping[int, str]) -> list[tuple[str, str, int]]:
        """Items taken twice at least that repeats speak for, by how much they did when the user met them last."""
        spoken: F32 = with_repeats(rows.logit, rows.times, rows.since_s, self.repeats) - rows.logit
        taken = rows.times.astype(np.int64) + rows.label
        usual = (taken > 1) & (spoken > 0)
        found = _strongest(rows.item[usual], spoken[usual], names)
        return [(*_item(rows, key, names), int(taken[rows.item == key][0])) for key, _ in found]


def _item(rows: WindowRows, key: int, names: Mapping[int, str]) -> tuple[str, str]:
    """What an item and its category are called."""
    return names.get(key, ""), names.get(int(rows.category[rows.item == key][0]), "")


def _strongest(keys: U32, weights: F32 | F64, names: Mapping[int, str]) -> list[tuple[int, float]]:
    """Up to `FEW` above 0 and then up to `FEW` below it that stand out and have a name, each the strongest first."""
    order = np.argsort(-np.abs(weights), kind="stable")
    found = zip(keys[order].tolist(), weights[order].tolist(), strict=True)
    told = [(key, round(weight, 3)) for key, weight in found if abs(weight) >= STANDS_OUT and key in names]
    return [*[one for one in told if one[1] > 0][:FEW], *[one for one in told if one[1] < 0][:FEW]]
