"""One file per verb of the `coda` command line."""
