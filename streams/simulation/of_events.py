"""Invariants of events: none is lost, none counts twice, none tells of what few take, pools are the window of all."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from device_sim.device import Device
from models.features import Known
from models.sample import SampleBlock
from streams.simulation.invariants import Invariant
from streams.simulation.plan import HOUR_MS
from wire.ids import item_key, sample_key, user_key
from wire.moments import EventMs

if TYPE_CHECKING:
    from streams.simulation.world import World

SET_BACK_MS = 60_000  # longer than any outage, after which events come late that were lost on their way


class NoEventLost(Invariant):
    """An event is on its device until Kafka has it, and ends as a sample or as a dead letter; pools keep the newest.

    Samples of an item that few users took wait for more.
    """

    name = "no-event-lost"

    def watch(self) -> None:
        """What the fleet has handled is in an outbox or in Kafka."""
        work = self.world.devices
        if work is None or not self.world.plan.uploads:
            return
        there = self.world.seen
        for event_id, user in work.handled.items():
            device = work.fleet.devices.get(user)
            if event_id in there.events or event_id in there.refused or device is None:
                continue
            self.hold(event_id in device.outbox.state(), f"{event_id} of {user} is not in its outbox, nor in Kafka")

    def end(self) -> None:
        """All that users did came to an end, and the pools hold what they should."""
        seen, rare = self.world.seen, self.world.seen.rare(self.world.plan.min_users)
        for _, event in self.world.users.acts:
            ended = sample_key(event.event_id) in seen.samples or event.event_id in seen.refused
            ended |= event.event_id in seen.events and event.item_id in rare
            self.hold(ended, f"{event.event_id} of {event.user_id} became no sample and no dead letter")
        self._check_pools()

    def _check_pools(self) -> None:
        shards, window = self.world.plan.shards, self.world.plan.window_count
        users = {user_key(name): name for name in self.world.users.names}
        for shard in range(shards):
            records = [next(iter(each)) for each in self.world.seen.samples.values()]
            mine = sorted((r.timestamp, r.sample) for r in records if r.sample % shards == shard and r.user in users)
            wanted = [sample for _, sample in mine[-window:]]
            found = self.world.pooled(shard)
            missing = [self.world.seen.ids.get(s, str(s)) for s in wanted if s not in found]
            self.hold(not missing, f"pool {shard} of {len(found)} samples lacks {', '.join(missing[:3])}")
            extra = [self.world.seen.ids.get(s, str(s)) for s in found if s not in wanted]
            self.hold(
                not extra, f"pool {shard} holds {len(found)}, {', '.join(extra[:3])} among them beyond its window"
            )


class NoDuplicateEffect(Invariant):
    """However often an event comes, it is one sample, made of what its user had done before, once."""

    name = "no-duplicate-effect"

    def end(self) -> None:
        """Every sample says what a device alone would say."""
        for key, records in self.world.seen.samples.items():
            name = self.world.seen.ids.get(key, str(key))
            kinds = {(r.times, r.history_item, r.history_category, r.timestamp) for r in records}
            self.hold(len(kinds) == 1, f"{name} became {len(kinds)} samples that differ")
        if self.world.plan.lateness_ms < HOUR_MS:
            return  # then events are held for being ahead of others, and go on in another order than they came
        for key, wanted in self._expected().items():
            for record in self.world.seen.samples.get(key, ()):
                found = record.times, record.history_item, record.history_category
                name = self.world.seen.ids.get(key, str(key))
                self.hold(found == wanted, f"{name} was made of {_told(found)}, and not of {_told(wanted)}")

    def _expected(self) -> dict[int, tuple[int, bytes, bytes]]:
        """Features by sample, in the order in which events came; what was refused was never known, but for late ones.

        A device that sends again what was lost on the way may send it after what came later. Where one copy of an event
        was refused and another was not, which is a sample or waits for others to take its item, nobody outside can tell
        which: of that user nothing is expected. Nor of one whose clock was set back: what came before that may be held,
        and go on after what came then.
        """
        seen = self.world.seen
        refused = {key for key, reason in seen.refused.items() if reason != "window"}
        unclear = {e.user_id for key, e in seen.events.items() if key in refused and seen.standing[key]}
        latest: defaultdict[str, int] = defaultdict(int)
        for event in seen.events.values():
            if event.timestamp < latest[event.user_id] - SET_BACK_MS:
                unclear.add(event.user_id)
            latest[event.user_id] = max(latest[event.user_id], event.timestamp)
        known: defaultdict[str, Known] = defaultdict(Known)
        expected: dict[int, tuple[int, bytes, bytes]] = {}
        for event in seen.events.values():
            if event.user_id in unclear:
                continue
            reason, sample = seen.refused.get(event.event_id), sample_key(event.event_id)
            key = item_key(event.item_id), item_key(event.category_id), event.label, EventMs(event.timestamp)
            if sample in seen.samples or reason in (None, "window"):
                features = known[event.user_id].take(*key)
                expected[sample] = features.times, features.history_item, features.history_category
            elif reason == "late" and event.label:
                known[event.user_id].add(key[0], key[1], key[3])
        return expected


class NothingRare(Invariant):
    """No sample is of an item that fewer users took than they have to be."""

    name = "nothing-rare"

    def end(self) -> None:
        """Every sample that went on."""
        seen, rare = self.world.seen, self.world.seen.rare(self.world.plan.min_users)
        told = [key for key, e in seen.events.items() if e.item_id in rare and sample_key(key) in seen.samples]
        self.hold(not told, f"{', '.join(told)} went on, though few took their items")


class Convergence(Invariant):
    """Once healed, everything is as if nothing had gone wrong: pools, histories, and what devices learn from."""

    name = "convergence"

    def end(self) -> None:
        """Compare with the run in which nothing failed, if the same events came, stamped alike, and were refused."""
        other = self.world.undisturbed
        if other is None or _came(other) != _came(self.world):
            return
        differ = {row for shard in range(self.world.plan.shards) for row in self.world.rows(shard) ^ other.rows(shard)}
        # A repetition is judged anew: one that was refused may go on, and with it samples that waited for its user.
        twice = {sample_key(event_id) for event_id in self.world.seen.refused}
        if twice.isdisjoint(row[0] for row in differ):
            self.hold(not differ, f"the pools differ in {len(differ)} rows")
        self._compare_devices(other)

    def _compare_devices(self, other: "World") -> None:
        mine, theirs = self.world.devices, other.devices
        if mine is None or theirs is None:
            return
        for user, device in theirs.fleet.devices.items():
            here = mine.fleet.devices.get(user)
            self.hold(here is not None, f"{user} has no device")
            assert here is not None, "it holds"
            same = _window(here) == _window(device)
            self.hold(same, f"the window of {user} holds other samples")
            known = here.known.history.state(), here.known.newest
            self.hold(known == (device.known.history.state(), device.known.newest), f"the history of {user} differs")
            self.hold(here.model == device.model, f"{user} has {here.model}, and not {device.model}")


def _came(world: "World") -> tuple[dict[str, int], dict[str, str]]:
    return {key: event.timestamp for key, event in world.seen.events.items()}, world.seen.refused


def _window(device: Device) -> list[tuple[int, ...]]:
    rows = device.window.rows()
    return list(zip(rows.item.tolist(), rows.label.tolist(), rows.timestamp.tolist(), rows.times.tolist(), strict=True))


def _told(features: tuple[int, bytes, bytes]) -> str:
    return f"{features[0]} times and {len(features[1]) // 4} positives"


def rows_of(blocks: Iterable[SampleBlock]) -> set[tuple[int, ...]]:
    """What a pool holds: samples, whose, of which item, with which label, and when."""
    columns = ("sample", "user", "item", "label", "timestamp")
    return {row for block in blocks for row in zip(*(getattr(block, name).tolist() for name in columns), strict=True)}
