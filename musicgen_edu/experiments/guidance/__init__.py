"""What guidance does, measured on the shipped model."""
