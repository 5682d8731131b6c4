"""Who may publish and read what, as an access list of mosquitto: one rule for all devices, whatever their number."""

from device_sim import topics
from device_sim.link import LEAVES, SHARED
from device_sim.mqtt_credentials import FLEET, TUNNEL

_DEVICE = "coda/devices/%u"  # the name under which a client is connected: `device_sim.mqtt_credentials.device`
_FOR_ALL = (*SHARED, topics.PACE)
_UP = [topic.rpartition("/")[2] for topic in topics.UP]


def access_list() -> str:
    """The file's text: what stands under a `user` holds for that one alone, a `pattern` for every client."""
    own = [f"pattern write {_DEVICE}/{leaf}" for leaf in _UP]
    own += [f"pattern read {_DEVICE}/{leaf}" for leaf in LEAVES]
    own += [f"pattern read {topic}" for topic in _FOR_ALL]
    tunnel = [f"topic read {topic}" for topic in topics.UP]
    tunnel += [f"topic write coda/devices/+/{leaf}" for leaf in LEAVES]
    tunnel += [f"topic write {topic}" for topic in _FOR_ALL]
    tunnel.append(f"topic readwrite {topics.claims('tunnel', '')}+")
    fleet = [f"topic readwrite {topics.claims('fleet', '')}+"]
    return "\n".join([f"user {TUNNEL}", *tunnel, "", f"user {FLEET}", *fleet, "", *own, ""])
