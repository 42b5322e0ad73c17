"""What made the committed models and figures: each runs by `python -m musicgen_edu.experiments.NAME`.

tiny               trains the shipped model, and measures it
codec_report       how well a codec reconstructs, by number of codebooks
patterns           the interleaving patterns, trained on equal terms (lesson 07)
guidance           what guidance does to the shipped model (lesson 08)
musiccaps_recipe   a student project that trained on MusicCaps, retold
pages              the markdown tables that they write
"""
