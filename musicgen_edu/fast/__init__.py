"""The model's step once more, quicker: it knows the model, and the model does not know it."""
