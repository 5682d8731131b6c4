"""What global models are called, and what personal models can add to."""

POPULARITY, REPEATS, ONLINE, BOOSTED = "popularity", "repeats", "online", "boosted"
ON_CLOUD = (REPEATS, REPEATS + "-refreshed")  # models that add to a cloud model
LOGGED, STALE = "logged", "stale"
MODELS = (BOOSTED, ONLINE)  # that personal models can add to
NOT_CLOUD = (LOGGED, *MODELS)  # bases that are no cloud model
