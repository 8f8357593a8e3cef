"""The run directory: atomic files, checksums, locks, and where everything lies."""
