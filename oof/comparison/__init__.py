"""Comparison of members: paired gains, seed noise, the control with as many seeds, and diversity of errors."""
