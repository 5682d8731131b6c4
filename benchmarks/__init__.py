"""Benchmarks: each file is one command that prints a table and JSON; results are in docs/benchmarks.md.

All compute on one core, as the commands do (`streams.cli`): threads that BLAS spins up would count as CPU seconds.
"""

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # before numpy is imported, or it is not heard
