"""`coda train-cloud`: cloud model versions and training tasks."""
