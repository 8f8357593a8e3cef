"""From finished fits and external files to members, and from members to the saved blend and its summaries."""
