"""What global models are called, and what personal models can add to."""

from typing import Final, Literal

Base = Literal["logged", "boosted", "online", "stale"]  # what devices can add to live
POPULARITY, REPEATS, ONLINE, BOOSTED = "popularity", "repeats", "online", "boosted"
ON_CLOUD = (REPEATS, REPEATS + "-refreshed")  # models that add to a cloud model
LOGGED = "logged"
STALE: Final = "stale"
MODELS = (BOOSTED, ONLINE)  # that personal models can add to
NOT_CLOUD = (LOGGED, *MODELS)  # bases that are no cloud model
