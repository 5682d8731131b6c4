"""`coda devices`: who may speak to the MQTT broker, and on which topics."""
