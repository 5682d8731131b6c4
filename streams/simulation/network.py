"""The network between MQTT clients and their broker: connections that are slow, silent, held up or cut.

What travels on a connection keeps its order, as TCP keeps it; what is lost on the way is sent again and comes later,
or the connection ends. So loss shows as delay and as cut connections, and repetitions come from whoever connects anew.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from streams.simulation.dice import Die
from streams.simulation.timeline import Timeline

SILENCE_MS = 22_000  # after which an end of a connection gives it up: one and a half times the keep-alive
RESEND_MS = 200  # the first time that TCP waits for an answer; twice as long each time


class Way(StrEnum):
    """Which packets something happens to: those that go to the broker, those that come from it, or both."""

    BOTH = "both"
    UP = "up"
    DOWN = "down"

    def has(self, *, up: bool) -> bool:
        """Whether it happens to packets that go up, or come down."""
        return self in (Way.BOTH, Way.UP if up else Way.DOWN)


@dataclass
class Weather:
    """How the network is today: a mean delay in ms, and what share of packets is lost, each after one that was."""

    delay_ms: float = 20
    loss: float = 0.0
    loss_again: float = 0.0


class Wire:
    """One connection. `lost` is called for each end once it knows that the connection is gone: first for the client."""

    def __init__(self, network: "Network", name: str, client_lost: Callable[[], None], broker_lost: Callable[[], None]):
        self._network, self.name = network, name
        self._lost = (client_lost, broker_lost)
        self.open = True
        self.silent: Way | None = None  # half open: nothing arrives that way any more, and nobody says so
        self._free_ms = [0, 0]  # when the last packet of each way will have arrived
        self._held: list[tuple[bool, Callable[[], None]]] = []  # which way, and what arrives

    def send(self, *, up: bool, arrive: Callable[[], None]) -> None:
        """Send one packet: `arrive` is called when it is there, if it ever is."""
        network = self._network
        delay_ms = network.delay_ms()
        if delay_ms >= SILENCE_MS:  # sent again and again in vain
            self.fall_silent()
        at_ms = max(self._free_ms[up], network.timeline.now_ms + delay_ms)
        self._free_ms[up] = at_ms
        network.timeline.after(at_ms - network.timeline.now_ms, lambda: self._arrive(up, arrive))

    def cut(self) -> None:
        """The connection ends, and both ends know; what is under way is lost."""
        if self.open:
            self.open = False
            self._held.clear()
            for lost in self._lost:
                self._network.timeline.after(1, lost)

    def fall_silent(self, way: Way = Way.BOTH) -> None:
        """Half open: an end that hears nothing for too long finds out."""
        if self.open and not self.silent:
            self.silent = way
            self._network.timeline.after(SILENCE_MS, self._found_out)

    def _found_out(self) -> None:
        if self.open:
            self._network.note("a half-open connection was found out")
        self.cut()

    def release(self) -> None:
        """What was held up arrives now, in order."""
        held, self._held = self._held, []
        if held and self.open:
            self._network.note("a partition was released before anybody noticed")
        for up, arrive in held:
            self._arrive(up, arrive)

    def _arrive(self, up: bool, arrive: Callable[[], None]) -> None:
        if not self.open or (self.silent and self.silent.has(up=up)):
            return
        if self._network.holds(self.name, up=up):
            self._held.append((up, arrive))
        else:
            arrive()


class Network:
    """All connections. `held` are clients cut off by a partition that may end before anybody notices."""

    def __init__(self, timeline: Timeline, die: Die, weather: Weather) -> None:
        self.timeline, self.die, self.weather = timeline, die, weather
        self.held: dict[str, list[Way]] = {}  # partitions may overlap
        self.wires: dict[str, Wire] = {}  # the newest of each client
        self.note: Callable[[str], object] = lambda _: None  # is told of what is rare
        self._losing = False

    def connect(self, name: str, client_lost: Callable[[], None], broker_lost: Callable[[], None]) -> Wire:
        """A connection of the client `name`."""
        self.wires[name] = Wire(self, name, client_lost, broker_lost)
        return self.wires[name]

    def delay_ms(self) -> int:
        """How long the next packet takes."""
        delay_ms = self.die.about(self.weather.delay_ms)
        resend_ms = RESEND_MS
        while self._loses():
            delay_ms += resend_ms
            resend_ms *= 2
        return delay_ms

    def holds(self, name: str, *, up: bool) -> bool:
        """Whether nothing of this client gets through that way."""
        return any(way.has(up=up) for way in self.held.get(name, []))

    def hold(self, name: str, way: Way = Way.BOTH) -> None:
        """Hold up everything of a client; if that takes too long, its connection ends."""
        self.held.setdefault(name, []).append(way)
        wire = self.wires.get(name)
        if wire is not None:
            self.timeline.after(SILENCE_MS, lambda: wire.cut() if name in self.held else None)

    def release(self, name: str, way: Way = Way.BOTH) -> None:
        """Let what one `hold` held through, but for what another still holds."""
        self.held[name].remove(way)
        if not self.held[name]:
            del self.held[name]
        if name in self.wires:
            self.wires[name].release()

    def _loses(self) -> bool:
        """Loss comes in bursts."""
        if not self.weather.loss:
            return False
        self._losing = self.die.chance(self.weather.loss_again if self._losing else self.weather.loss)
        return self._losing
