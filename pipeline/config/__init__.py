"""The config: one strict YAML file. Every problem is reported at once, each with its path."""
