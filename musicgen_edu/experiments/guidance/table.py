"""The results of the guidance experiment as a page in Markdown."""
# ruff: noqa: E501

from __future__ import annotations

from ..pages import table

COLUMNS = {
    "timbre": "timbre",
    "tempo": "tempo",
    "tonic": "tonic",
    "mode": "mode",
    "drums": "drums",
    "mean": "mean",
    "apart": "apart",
    "entropy": "entropy",
    "frechet": "Fréchet",
    "nearest": "nearest",
    "over": "over",
}
HEAD = """# What guidance does to the shipped model

By `python -m musicgen_edu.experiments.guidance --write`. {captions} captions that name every attribute but, for half of them, the tonic, two clips of {seconds:g} s each,
top-k 250, temperature 1. The captions were not used in training. After ± or in brackets: 95 %.

**Adherence.** The share of clips that have what the caption promises, read off the sound by the classifiers of `assets/tiny/README.md`, with
Wilson's binomial interval (counting captions, not clips: the two clips of a caption are not independent). *mean* is the mean of the five shares.
**Diversity.** *apart*: log-mel distance (mean L1) between the two clips of a caption. It grows with noise, too, so read it beside the next. *entropy*: of the codes of codebook 0 over all clips, in bits.
**Distortion.** In the space of the 32 largest principal components of the features of 600 real clips (all real clips go through the codec): *Fréchet*, the squared Fréchet distance between
all clips of a setting and real clips of the same pieces (its floor, other real clips of these pieces, stands in the first row), and *nearest*, the mean distance of a clip to the
nearest of the 600. *over*: the share of clips with a sample beyond full scale.
Intervals of *mean*, diversity and distortion are ±1.96 standard deviations of a bootstrap over captions.

"""


def cell(interval: list[float], share: bool) -> str:
    """A figure with its interval: shares as an interval, the others with ±."""
    value, low, high = interval
    return f"{value:.2f} ({low:.2f} to {high:.2f})" if share else f"{value:.2f} ± {high - value:.2f}"


def row(title: str, figures: dict[str, list[float]]) -> list[str]:
    """One line of the table."""
    shares = ("timbre", "tempo", "tonic", "mode", "drums", "over")
    return [title, *(cell(figures[name], name in shares) for name in COLUMNS)]


def title(setting: dict) -> str:
    """A setting in words."""
    where = "scale" if setting["space"] == "logits" else "probabilities, gamma"
    return f"{where} {setting['scale']:g}" + (", contrary caption as negative prompt" if setting["negative"] else "")


def markdown(result: dict) -> str:
    """The page; what has not been measured yet is left out."""
    rows = [row(title(setting), setting["figures"]) for setting in result["settings"]]
    if result["ceiling"]:
        rows.insert(0, row("real clips of the same pieces, through the codec", result["ceiling"]["figures"]))
    text = HEAD.format(**result) + table(["", *COLUMNS.values()], rows) + "\n"
    if result["drums"]:
        drums = [[one["negative"] or "none", cell(one["share"], True)] for one in result["drums"]]
        text += "\nCaptions that say nothing of drums, guidance 3: the share of clips with drums.\n\n"
        text += table(["negative prompt", "clips with drums"], drums) + "\n"
    return text
