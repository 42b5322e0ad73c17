"""The command line, `musicgen-edu`."""
