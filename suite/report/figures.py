"""Panels as SVG that takes its colours from the page and has the same bytes every time."""

import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from suite.report.panels import LINES, Panel, short_number

WIDTH, HEIGHT = 4.4, 2.7  # inches: about 420 CSS pixels wide, so that text stays readable

WIDE = 1000.0  # largest over smallest value from which on the axis is logarithmic

# Stand-ins that are replaced by the page's own colours, light or dark.
INK = "#010203"
COLOURS = [f"#0a0b{i:02x}" for i in range(LINES)]

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rl-claims",
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.formatter.useoffset": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6,
}


def draw(panel: Panel) -> str:
    """An `<svg>` element: means with pointwise 95 % intervals, and every seed as a thin line."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        for line in panel.lines:
            colour = COLOURS[line.colour]
            band = line.interval()
            if band is not None:
                axes.fill_between(line.steps, *band, color=colour, alpha=0.13, linewidth=0)
            axes.plot(line.steps, line.curves.T, color=colour, linewidth=0.6, alpha=0.45)
            axes.plot(line.steps, line.mean, color=colour, linewidth=1.8)
        # The interval of three seeds can dwarf the curves: the axis shows the seeds.
        shown = np.concatenate([line.curves.ravel() for line in panel.lines])
        shown = shown[np.isfinite(shown)]
        if shown.size:
            # A range of rounding errors around one value is not worth a whole axis.
            least = 0.01 * max(float(np.abs(shown).max()), 1e-6)
            middle, half = (shown.max() + shown.min()) / 2, (shown.max() - shown.min()) / 2
            half = 1.12 * max(half, least)
            axes.set_ylim(middle - half, middle + half)
            if shown.min() > 0 and shown.max() > WIDE * shown.min():
                axes.set_yscale("log")
                axes.set_ylim(shown.min() / 1.5, shown.max() * 1.5)
        axes.set_ylabel(panel.quantity)
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short_number(step)))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _inline(buffer.getvalue(), panel)


def _inline(text: str, panel: Panel) -> str:
    svg = text[text.index("<svg") :]
    # The metadata hold the date.
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    # What remains of ids is referred to inside the figure; the page holds many figures.
    prefix = f"{panel.id}-"
    svg = re.sub(r' id="([^"]+)"', rf' id="{prefix}\1"', svg)
    svg = re.sub(r'(url\(|xlink:href=")#', rf"\1#{prefix}", svg)
    svg = re.sub(r'\swidth="[^"]*pt"', "", svg, count=1)
    svg = re.sub(r'\sheight="[^"]*pt"', "", svg, count=1)
    svg = svg.replace(INK, "currentColor")
    for i, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--line-{i})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)
