"""The command line, `musicgen-edu`. Read it in this order:

output         what a command leaves: a clip, a line
options        options that are fields of a dataclass, bounds of numbers, number format and device
main           the commands, and what a mistake ends in
generate       a text to a sound file
app            the page
train_codec    a codec on sound files
train_lm       a text-to-music model on captioned clips
"""

from .main import main

__all__ = ["main"]
