"""`coda canary`: a device that asks once a second whether all of it works."""
