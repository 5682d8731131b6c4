"""Metrics, lag and freshness, and how a person sees them."""
