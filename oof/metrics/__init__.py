"""Metrics: the registry, the functions behind it, thresholds, and a user's own metric."""
