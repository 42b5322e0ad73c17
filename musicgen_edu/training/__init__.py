"""Training: the codec, the language model, and `make tiny`, which trains the model that this package ships."""
