"""The drawings of lesson 06: matrices of numbers, attention maps, and which cells a head listens to."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from .picture import Picture, figure_picture, new_figure, svg_picture
from .svg import GREY, INK, LIT, PALE, PAPER, SOFT, label

SHADES = "Greys"  # 0 is white; the darker, the more: the same in colour, in grey and in print


def grids(tables: dict[str, Sequence[Sequence]], cell: int = 34, left: float = 12) -> Picture:
    """Small tables of whole numbers next to each other, each below its name; numbers up to 9 share a tint by tens.

    Args:
        tables: name to rows of integers or short texts.
        cell: width of a cell in pixels.
    """
    x, tallest, body = left, 0, ""
    for name, rows in tables.items():
        width = cell * len(rows[0])
        span = max(width, 7.2 * len(name))
        body += label(x + span / 2, 14, name, 12, weight="bold")
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                tint = PALE if isinstance(value, int) and value // 10 % 2 else PAPER
                place = x + (span - width) / 2 + j * cell
                body += (
                    f'<rect x="{place:g}" y="{28 + 28 * i}" width="{cell}" height="28" fill="{tint}" stroke="{GREY}"/>'
                )
                body += label(place + cell / 2, 42 + 28 * i, str(value))
        x, tallest = x + span + 28, max(tallest, len(rows))
    return svg_picture(body, round(x - 28 + left), 38 + 28 * tallest, "tables: " + ", ".join(tables))


def position_tables(tables: dict[str, Tensor]) -> Picture:
    """Tables of positions [S, D] next to each other: one row a position, one column a dimension."""
    figure, axes = new_figure(8.4, 3.0, len(tables), squeeze=False)
    for one, (name, table) in zip(axes[0], tables.items(), strict=True):
        image = one.imshow(table.cpu().numpy(), aspect="auto", cmap="cividis", vmin=-1, vmax=1, interpolation="nearest")
        one.set_title(name, fontsize=10)
        one.set_xlabel(f"dimension, 0 to {table.shape[1] - 1}")
    axes[0][0].set_ylabel("position")
    figure.colorbar(image, ax=axes[0].tolist(), label="value", pad=0.01)
    return figure_picture(figure, f"tables of positions: {', '.join(tables)}")


def codebook_bars(groups: dict[str, Sequence[float]], up: str) -> Picture:
    """One group of bars for each name, one bar a codebook, each with its value above it."""
    figure, axes = new_figure(8.4, 2.9)
    K, hatches = len(next(iter(groups.values()))), ("", "//", "xx", "..")
    for k in range(K):
        heights = [values[k] for values in groups.values()]
        places = [i + (k - (K - 1) / 2) * 0.8 / K for i in range(len(groups))]
        tone = (LIT, SOFT, "#d9d9de", PAPER)[k % 4]
        bars = axes.bar(
            places, heights, 0.8 / K, label=f"codebook {k}", color=tone, hatch=hatches[k % 4], edgecolor=INK
        )
        axes.bar_label(bars, fmt="%.2f", fontsize=8)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylabel(up)
    axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"{up}, by codebook: {', '.join(groups)}")


def attention_grid(maps: Tensor) -> Picture:
    """Self-attention [layers, H, S, S] of all layers and heads: a row is a step, dark is what it looks at."""
    layers, H, S, _ = maps.shape
    figure, axes = new_figure(8.4, 0.5 + 1.45 * H, layers, H, sharex=True, sharey=True, squeeze=False)
    for i in range(layers):
        for h in range(H):
            # The square root: most of the weights are small, and would all be white.
            axes[h][i].imshow(maps[i, h].sqrt().cpu().numpy(), cmap=SHADES, vmin=0, vmax=1, interpolation="nearest")
            axes[h][i].tick_params(labelsize=7)
        axes[0][i].set_title(f"layer {i}", fontsize=9)
    for h in range(H):
        axes[h][0].set_ylabel(f"head {h}\nstep", fontsize=9)
    figure.supxlabel("column that is looked at", fontsize=9)
    return figure_picture(figure, f"self-attention of {layers} layers and {H} heads over {S} columns")


def influence_grid(effect: Tensor) -> Picture:
    """How much each cell before a step moves the four answers.

    Args:
        effect: [K heads, K source codebooks, lags] in nats; lag 0 is the column that the step has just read.
            The cells of the frame that the head is writing are outlined: under the delay pattern lag k - 1 - source.
    """
    K, _, lags = effect.shape
    figure, axes = new_figure(8.4, 2.3, K, sharey=True)
    limit = float(effect.max())
    for k, one in enumerate(axes):
        image = one.imshow(effect[k].flip(1).cpu().numpy(), cmap=SHADES, vmin=0, vmax=limit, aspect="auto")
        for source in range(k):
            place = lags - 1 - (k - 1 - source)
            one.add_patch(_outline(place, source))
        one.set_title(f"answer for codebook {k}", fontsize=9)
        one.set_xticks(range(lags), [str(lag) for lag in reversed(range(lags))], fontsize=7)
        one.set_yticks(range(K), [f"codebook {j}" for j in range(K)], fontsize=8)
    figure.supxlabel("columns back", fontsize=9)
    figure.colorbar(image, ax=axes.tolist(), label="nats", pad=0.01)
    return figure_picture(figure, f"influence of the cells of the last {lags} columns on the answers of {K} heads")


def _outline(column: int, row: int):
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#c2571a", linewidth=2.5)
