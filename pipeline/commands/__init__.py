"""One module a command. Each opens the run, calls the other rooms in order, writes, and prints."""
