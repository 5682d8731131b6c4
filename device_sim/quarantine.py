"""Devices of whose data the code failed: they are let go, and the others go on. Of many, the code is to blame."""

import structlog

from wire.errors import CodaError

LEAST, SHARE = 3, 0.05  # of the devices may fail; more of them do not all hold something odd

log = structlog.get_logger(__name__)


class FleetFailed(CodaError):
    """A mistake of ours: what the fleet is worth after it nobody knows, and its last snapshot counts."""


class Quarantine:
    """Users without a device until the next start."""

    def __init__(self) -> None:
        self._users: set[str] = set()

    def __contains__(self, user_id: str) -> bool:
        return user_id in self._users

    def take_in(self, user_id: str, at: str, error: Exception, devices: int) -> None:
        """One more, of so many `devices`; `at` says what it failed at. Raises `FleetFailed` when it is too many."""
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        log.error("a device failed: it is let go until the next start", user=user_id, at=at, error=what)
        self._users.add(user_id)
        if len(self._users) > LEAST + SHARE * devices:
            raise FleetFailed(
                f"{len(self._users)} of {devices} devices failed, the last one with {what}: report it; "
                "started again, the fleet goes on from its last snapshot"
            )
