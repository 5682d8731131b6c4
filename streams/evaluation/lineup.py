"""The names of arms, and which of them are global: one model for everybody."""

from wire.task import ARMS

SCORE = ".score"  # ends the names of columns by which arms rank where that is not by their probabilities
REFRESHED = "-refreshed"  # ends the names of arms on the refreshed cloud model
REFRESHED_CLOUD = "cloud" + REFRESHED
POPULARITY, REPEATS, ONLINE = "popularity", "repeats", "online"
RIVALS = (POPULARITY, REPEATS, REPEATS + REFRESHED, ONLINE)  # what `streams.evaluation.rivals` predicts with
GLOBAL = ("cloud", REFRESHED_CLOUD, *RIVALS)
ALL = (*ARMS, *GLOBAL[1:], *(arm + REFRESHED for arm in ARMS[1:]))  # in the order of reports
