"""What a run folder says, as one page."""
