"""Simulated people and their phones: who is there when, who has a link, who finishes what it begins, and how fast."""
