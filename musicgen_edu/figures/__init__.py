"""What the lessons show: pictures with a description for those who cannot see them, and players.

svg            the colours of the course; shapes as SVG text
picture        an image with its description; matplotlib figures
system         the picture of the whole system, from prompt to audio
players        players, spectrograms
codes          words of a prompt, codes, sequences, probabilities of tokens

Then one file for each lesson that draws more: residual_quantization (03), encodec (04), decoder (06), training (07),
sampling (08), published (09), streaming (10).
"""

from .codes import code_image, sequence_table, text_states, token_chips, token_probabilities
from .picture import Picture, figure_picture, new_figure, svg_picture
from .players import player, side_by_side, waveform_and_spectrogram
from .svg import GREY, INK, LIT, PALE, PAPER
from .system import BOXES, pipeline

__all__ = [
    "BOXES",
    "GREY",
    "INK",
    "LIT",
    "PALE",
    "PAPER",
    "Picture",
    "code_image",
    "figure_picture",
    "new_figure",
    "pipeline",
    "player",
    "sequence_table",
    "side_by_side",
    "svg_picture",
    "text_states",
    "token_chips",
    "token_probabilities",
    "waveform_and_spectrogram",
]
