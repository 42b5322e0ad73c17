"""How good is it? Read it in this order:

scores           measures of sound: SI-SDR, chroma, log-mel distance
reconstruction   a codec's way to codes and back, measured by number of codebooks
probes           what a clip sounds like in numbers, and classifiers that read its attributes
"""
