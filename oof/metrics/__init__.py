"""Metrics: the registry, the functions behind it, thresholds, and custom metrics."""
