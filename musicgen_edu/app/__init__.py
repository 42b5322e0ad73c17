"""The page of `musicgen-edu app`."""
