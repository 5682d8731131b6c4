"""Benchmarks: each file is one command that prints a table and JSON; results are in docs/benchmarks.md."""
