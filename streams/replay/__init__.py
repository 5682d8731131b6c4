"""`coda replay`: an event log sent again, at any speed."""
