"""The devices: a sans-I/O state machine each, trained together, linked over MQTT 5."""
