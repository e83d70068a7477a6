"""Panels as SVG that takes its colours from the page and has the same bytes every time."""

import hashlib
import io
import re
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from suite.report.panels import (
    LINES,
    Panel,
    Reference,
    ReferenceKind,
    drawn_points,
    short_number,
)

WIDTH, HEIGHT = 4.4, 2.7  # inches: about 420 CSS pixels wide, so that text stays readable

SEEDS = 10  # most seeds drawn one by one: more cannot be told apart

# Stand-ins that are replaced by the page's own colours, light or dark.
INK = "#010203"
COLOURS = [f"#0a0b{i:02x}" for i in range(LINES)]

DASHES: dict[ReferenceKind, tuple[float, ...]] = {
    "null": (4, 3),
    "bound": (1, 2),
    "ceiling": (),
    "comparison": (8, 2, 1.5, 2),
}
"""Points on and off; none is a whole line."""

RULES = {
    "grid": "fill: none; stroke: currentColor; stroke-opacity: 0.12; stroke-width: 0.6; "
    "stroke-linecap: square",
    "axis": "fill: none; stroke: currentColor; stroke-width: 0.6; stroke-linecap: square",
    "tick": "fill: currentColor; stroke: currentColor; stroke-width: 0.8",
    "tick-minor": "fill: currentColor; stroke: currentColor; stroke-width: 0.6",
    "middle": "font-size: 9px; text-anchor: middle; fill: currentColor",
    "end": "font-size: 9px; text-anchor: end; fill: currentColor",
}
"""Styles of the page, by class, that elements of every drawing have."""

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
    """An `<svg>` element: means with pointwise 95 % intervals, and seeds as thin lines.

    References are in the colour of their line, else of the text: nulls dashed, bounds dotted,
    ceilings whole, comparisons dashed and dotted.
    """
    with mpl.rc_context():
        mpl.rcdefaults()  # not the settings of whoever calls
        mpl.rcParams.update(STYLE)
        figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        for reference in panel.references:
            _draw_reference(axes, reference)
        for line in panel.lines:
            colour = COLOURS[line.colour]
            at = drawn_points(line.steps)
            band = line.interval()
            if band is not None:
                low, high = band
                axes.fill_between(
                    line.steps[at], low[at], high[at], color=colour, alpha=0.13, linewidth=0
                )
            if panel.each_seed and len(line.curves) <= SEEDS:
                seeds = line.curves[:, at].T
                axes.plot(line.steps[at], seeds, color=colour, linewidth=0.6, alpha=0.45)
            axes.plot(line.steps[at], line.mean[at], color=colour, linewidth=1.8)
        _limit(axes, panel)
        axes.set_ylabel(panel.quantity)
        axes.set_xlabel(panel.over)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short_number(step)))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True)
    return _inline(buffer.getvalue(), panel)


def _draw_reference(axes: Axes, reference: Reference) -> None:
    colour = INK if reference.colour is None else COLOURS[reference.colour]
    if reference.low is not None and reference.high is not None:
        axes.fill_between(
            reference.steps, reference.low, reference.high, color=colour, alpha=0.08, linewidth=0
        )
    at = drawn_points(reference.steps)
    (drawn,) = axes.plot(reference.steps[at], reference.values[at], color=colour, linewidth=1.1)
    if DASHES[reference.kind]:
        drawn.set_dashes(DASHES[reference.kind])


def _limit(axes: Axes, panel: Panel) -> None:
    """The interval of three seeds can dwarf the curves: the axis shows seeds and references, and
    what their bands exceed is cut."""
    shown = np.concatenate(
        [line.curves.ravel() for line in panel.lines] + [r.values for r in panel.references]
    )
    shown = shown[np.isfinite(shown)]
    if not shown.size:
        return
    # A range of rounding errors around one value is not worth a whole axis.
    least = 0.01 * max(float(np.abs(shown).max()), 1e-6)
    middle, half = (shown.max() + shown.min()) / 2, (shown.max() - shown.min()) / 2
    half = 1.12 * max(half, least)
    axes.set_ylim(middle - half, middle + half)
    if panel.logarithmic:
        axes.set_yscale("log")
        axes.set_ylim(shown.min() / 1.5, shown.max() * 1.5)


def _inline(text: str, panel: Panel) -> str:
    svg = text[text.index("<svg") :]
    # The metadata hold the date; the page has the style of all drawings.
    svg = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    if "<g " not in svg:  # a group without attributes says nothing
        svg = re.sub("</?g>", "", svg)
    svg = svg.replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace("xlink:", "")
    # What remains of ids is referred to inside the figure; the page holds many figures.
    prefix = hashlib.sha256(panel.id.encode()).hexdigest()[:8]
    for number, name in enumerate(re.findall(r' id="([^"]+)"', svg)):
        svg = re.sub(rf'(?<=[#"]){name}(?=[)"])', f"d{prefix}-{number}", svg)
    svg = re.sub(r'\swidth="[^"]*pt"', "", svg, count=1)
    svg = re.sub(r'\sheight="[^"]*pt"', "", svg, count=1)
    # A tenth of a point is finer than a screen shows.
    svg = re.sub(r' (?:d|x|y)="[^"]*"', _rounded, svg)
    svg = re.sub(r" font-family: [^;]*;| stroke-linejoin: [a-z]*;|\n *", "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = svg.replace(INK, "currentColor")
    for name, style in RULES.items():
        svg = svg.replace(f'style="{style}"', f'class="{name}"')
    for i, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--line-{i})")
    return svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _rounded(attribute: re.Match[str]) -> str:
    short = re.sub(r"-?\d+\.\d+", lambda found: f"{float(found[0]):.1f}", attribute[0])
    return re.sub(r"\s*([MLCQz])\s*", r"\1", short.replace(".0 ", " "))
