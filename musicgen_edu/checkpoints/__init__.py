"""Checkpoints: the published format read and written, audiocraft's files, our own format, and the hub."""
