"""Everything that crosses a process boundary: messages, decoders, keys, identities; neither learning nor brokers."""
