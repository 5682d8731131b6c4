"""The whole system in one process, by a virtual clock, with everything drawn from one seed: `coda simulate`."""
