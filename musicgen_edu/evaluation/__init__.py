"""How good is it? Read it in this order:

scores           measures of sound: SI-SDR, chroma, log-mel distance
reconstruction   a codec's way to codes and back, measured by number of codebooks
probes           what a clip sounds like in numbers, and classifiers that read its attributes
"""

from .probes import AttributeProbe, clip_features
from .scores import chroma_cosine, log_mel_distance, si_sdr

__all__ = ["AttributeProbe", "chroma_cosine", "clip_features", "log_mel_distance", "si_sdr"]
