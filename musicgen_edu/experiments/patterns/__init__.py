"""The interleaving patterns trained on equal terms."""
