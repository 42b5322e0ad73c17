"""Music with captions to learn from."""
