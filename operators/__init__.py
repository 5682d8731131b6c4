"""The cloud dataflow's steps: pure logic first, a thin Bytewax wrapper around it."""
