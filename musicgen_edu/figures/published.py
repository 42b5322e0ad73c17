"""The drawings of lesson 09: a file of weights from end to end, names on both sides, errors stage by stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .picture import Picture, figure_picture, new_figure, svg_picture
from .svg import GREY, INK, LIT, RULE, SOFT, label, words_at

PARTS = {  # what the names of a published file begin with: what it is called, and its colour
    "text_encoder.": ("text encoder", "#c9a96a"),
    "audio_encoder.encoder.": ("codec: encoder", "#9fc3a5"),
    "audio_encoder.decoder.": ("codec: decoder", "#6d9f76"),
    "audio_encoder.quantizer.": ("codec: codebooks", "#46724e"),
    "enc_to_dec_proj.": ("projection of the text", "#b4531a"),
    "decoder.model.decoder.layers.": ("layers", LIT),
    "decoder.model.decoder.": ("tables of codes, last norm", SOFT),
    "decoder.lm_heads.": ("heads", INK),
}
LINES = (("#a9b8d6", "-", 6), (LIT, "-", 1.8), ("#b4531a", "--", 1.8), (INK, ":", 1.8), (GREY, "-.", 1.8))
FLOOR = 1e-9
MONOSPACE = ' font-family="monospace"'


def part_of(name: str) -> str:
    """The part of a MusicGen that a tensor of the published file belongs to.

    Raises:
        ValueError: no part's names begin like this.
    """
    for prefix, (part, _) in PARTS.items():
        if name.startswith(prefix):
            return part
    raise ValueError(f"{name} belongs to no part of a MusicGen: names begin with one of {', '.join(PARTS)}")


def part_sizes(places: Mapping[str, tuple[int, int]]) -> dict[str, int]:
    """Bytes of each part that a file has; places are name to (first byte, end)."""
    sizes: dict[str, int] = {}
    for name, (begin, end) in places.items():
        sizes[part_of(name)] = sizes.get(part_of(name), 0) + end - begin
    return sizes


def file_map(places: Mapping[str, tuple[int, int]]) -> Picture:
    """A file from its first byte to its last: a box for each tensor in the colour of its part, and the parts' sizes.

    Args:
        places: name of a tensor to (first byte, end).
    """
    width, top = 940, 34
    total, colours = max(end for _, end in places.values()), dict(PARTS.values())
    shapes = [label(470, 22, f"the bytes of {len(places)} tensors, {total / 1e6:,.1f} MB in all", 13)]
    for name, (begin, end) in places.items():
        x, w = 10 + (width - 20) * begin / total, (width - 20) * (end - begin) / total
        shapes.append(
            f'<rect x="{x:.2f}" y="{top}" width="{w:.2f}" height="52" fill="{colours[part_of(name)]}" stroke="#ffffff" '
            f'stroke-width="{min(0.6, w / 4):.2f}"/>'
        )
    sizes = sorted(part_sizes(places).items(), key=lambda one: -one[1])
    for i, (part, size) in enumerate(sizes):
        x, y = 24 + 310 * (i % 3), top + 76 + 24 * (i // 3)
        shapes.append(f'<rect x="{x}" y="{y - 11}" width="14" height="14" fill="{colours[part]}"/>')
        shapes.append(words_at(x + 22, y - 4, f"{part}: {size / 1e6:,.2f} MB, {size / total:.1%}"))
    told = "; ".join(f"{part} {size / total:.0%}" for part, size in sizes)
    return svg_picture("".join(shapes), width, top + 90 + 24 * ((len(sizes) + 2) // 3), f"shares of the file: {told}")


def name_map(sources: Mapping[str, Sequence[str]], left: str, right: str) -> Picture:
    """Which tensors of one program become which of another: a line for each.

    Args:
        sources: name on the right to names on the left.
        left, right: titles.
    """
    row, top, at = 22, 46, 0
    shapes = [words_at(20, 20, left, 13, weight="bold"), words_at(578, 20, right, 13, weight="bold")]
    for target, group in sources.items():
        middle = top + row * (at + (len(group) - 1) / 2)
        shapes.append(words_at(578, middle, target, more=MONOSPACE))
        stroke = (LIT, 2) if len(group) > 1 else (GREY, 1.2)
        for name in group:
            y = top + row * at
            shapes.append(words_at(20, y, name, more=MONOSPACE))
            shapes.append(
                f'<path d="M 410 {y} C 490 {y} 490 {middle:.1f} 566 {middle:.1f}" fill="none" stroke="{stroke[0]}" '
                f'stroke-width="{stroke[1]}"/>'
            )
            at += 1
    return svg_picture("".join(shapes), 940, top + row * at, f"{at} names, {left}, become {len(sources)}, {right}")


def stage_errors(panels: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Picture:
    """Errors stage by stage on a logarithmic scale, in panels; what is exactly 0 is a cross on the floor.

    Args:
        panels: title to lines, a line's name to its errors by stage. Lines of a panel have the same stages; the first
            one is wide, and the others are drawn over it.
    """
    if not panels or not all(panels.values()):
        raise ValueError("there must be at least one panel, and at least one line in each")
    figure, rows = new_figure(8.4, 0.6 + 2.9 * len(panels), rows=len(panels), sharey=True, squeeze=False)
    for axis, (title, lines) in zip(rows[:, 0], panels.items(), strict=True):
        stages = list(next(iter(lines.values())))
        for i, (name, errors) in enumerate(lines.items()):
            if list(errors) != stages:
                raise ValueError(f"{title}: {name} has the stages {', '.join(errors)}, expected {', '.join(stages)}")
            colour, dash, width = LINES[i % len(LINES)]
            values = [max(error, FLOOR) for error in errors.values()]
            axis.plot(range(len(stages)), values, dash, color=colour, linewidth=width, label=name, zorder=2 + i)
            none = [at for at, error in enumerate(errors.values()) if error <= FLOOR]
            axis.plot(none, [FLOOR] * len(none), "x", color=colour if i else INK, markersize=6, zorder=2 + i)
        axis.set_yscale("log")
        axis.set_ylim(FLOOR / 2, 20)
        axis.set_yticks([1e-9, 1e-6, 1e-3, 1], ["0", "$10^{-6}$", "$10^{-3}$", "1"])
        turn = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"}
        axis.set_xticks(range(len(stages)), stages, fontsize=8 if len(stages) < 20 else 6.5, **turn)
        axis.set_title(title, fontsize=10, loc="left")
        axis.grid(axis="y", color=RULE, linewidth=0.8)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=8.5, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.supylabel("largest error / largest value", fontsize=9)
    told = "; ".join(f"{title}: {', '.join(lines)}" for title, lines in panels.items())
    return figure_picture(figure, f"errors stage by stage: {told}")


def step_bounds(bytes_read: Mapping[str, float], here: float, real_time: float = 0.02) -> Picture:
    """The shortest time of a step against memory bandwidth, on logarithmic scales, the slowest first.

    Args:
        bytes_read: name of a model to the bytes that a step must read.
        here: bytes/s of this computer, an upright.
        real_time: seconds of music in a step, a level line.
    """
    figure, axes = new_figure(8.4, 3.4)
    bandwidths = [5e9, 4e12]
    for i, (name, size) in enumerate(sorted(bytes_read.items(), key=lambda one: -one[1])):  # the legend as they lie
        colour, dash = ((LIT, "-"), (LIT, "--"), (LIT, ":"), ("#b4531a", "-."), (INK, "-"))[i % 5]
        axes.plot(
            [one / 1e9 for one in bandwidths], [1000 * size / one for one in bandwidths], dash, color=colour, label=name
        )
    axes.axhline(1000 * real_time, color=INK, linewidth=0.8)
    axes.text(bandwidths[1] / 1e9, 1100 * real_time, "as fast as it plays", fontsize=8, ha="right")
    axes.axvline(here / 1e9, color=GREY, linewidth=1, linestyle=":")
    above = axes.get_xaxis_transform()
    axes.text(here / 1e9, 1.01, "this computer, now", fontsize=8, ha="center", va="bottom", transform=above)
    axes.set(xscale="log", yscale="log", xlabel="memory bandwidth, GB/s", ylabel="ms a step, at least")
    axes.set_xticks([10, 100, 1000], ["10", "100", "1000"])
    axes.set_yticks([1, 10, 100, 1000], ["1", "10", "100", "1000"])
    axes.grid(color=RULE, linewidth=0.8)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"shortest step against memory bandwidth: {', '.join(bytes_read)}")
