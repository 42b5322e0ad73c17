"""The shipped model: `train` makes it, `report` measures it; `python -m musicgen_edu.experiments.tiny` runs both."""
