"""Which fit comes next, how long the rest takes, what the terminal shows, and how a run is asked to stop."""
