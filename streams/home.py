"""Which Kafka something belongs to: the cluster's id, and the ids of topics, since a name may be given twice."""

from pathlib import Path

import msgspec

from wire.durable import make_folder, write_durably
from wire.errors import InputError

FILE = "kafka.json"


class Home(msgspec.Struct, frozen=True):
    """One Kafka and some of its topics, by id; the embedded one has an id of each start, and none of topics."""

    cluster: str
    topics: dict[str, str]

    def difference(self, other: "Home") -> str:
        """In what `other` is not this, in words; "" when it is the same."""
        if self.cluster != other.cluster:
            return f"another Kafka (cluster {self.cluster}, not {other.cluster})"
        renewed = [t for t, name in self.topics.items() if other.topics.get(t, name) != name]
        return f"a topic {renewed[0]} that was deleted; the one of today was made later" if renewed else ""


def settle(folder: Path, home: Home, remedy: str) -> None:
    """Note in `folder` that what it holds comes from `home`; raises `InputError` when it comes from elsewhere.

    Also raises `StorageError`.
    """
    file = folder / FILE
    try:
        known = msgspec.json.decode(file.read_bytes(), type=Home)
    except FileNotFoundError:
        known = home
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{file} does not say which Kafka {folder} belongs to ({error}): {remedy}") from error
    if difference := known.difference(home):
        raise InputError(f"{folder} belongs to {difference}: {remedy}")
    make_folder(folder)
    write_durably(file, msgspec.json.encode(Home(home.cluster, {**known.topics, **home.topics})))
