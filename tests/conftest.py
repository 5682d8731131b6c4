"""What holds for all tests."""

from hypothesis import settings

# No test is timed: an example that takes .5 s on a busy machine is not wrong.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
