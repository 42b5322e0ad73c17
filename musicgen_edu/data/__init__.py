"""Music with captions to learn from. Read it in this order:

pieces        what a procedural piece is, and its notes
synthesis     notes to sound
captions      a piece in words, never twice the same
procedural    the three together: a clip from a seed
audio_folder  random segments of a folder of sound files
captioned     a table of sound files and captions
musiccaps     the table of MusicCaps, and the clips that are there
"""
