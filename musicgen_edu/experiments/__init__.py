"""What made the committed models and figures: each runs by `python -m musicgen_edu.experiments.NAME`."""
