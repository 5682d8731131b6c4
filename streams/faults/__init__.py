"""Faults on purpose: a TCP proxy, faults of processes, scenarios and the verdict on what they did."""
