"""Scheduling: the order of the fits, a time budget, the progress that is shown, and requests to stop."""
