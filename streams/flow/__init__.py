"""`coda flow`: the dataflow, its source and sinks, and the processes it runs in."""
