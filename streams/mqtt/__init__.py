"""MQTT 5: where the broker is, an embedded one, and a client that knows what was acknowledged."""
