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
    POINTS,
    Panel,
    Reference,
    ReferenceKind,
    drawn_points,
    short_number,
)

UNIT = 10
"""Units of a drawing in a point, finer than a screen shows: coordinates are whole numbers."""
WIDTH, HEIGHT = 4.4 * UNIT, 2.7 * UNIT  # about 420 CSS pixels wide, so that text stays readable

SEEDS, THIN = 10, 30
"""Most seeds of a line and of a figure that are drawn one by one: more cannot be told apart."""

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
    "grid": "fill: none; stroke: currentColor; stroke-opacity: 0.12; stroke-width: 6; "
    "stroke-linecap: square",
    "axis": "fill: none; stroke: currentColor; stroke-width: 6; stroke-linecap: square",
    "mean": "fill: none; stroke-width: 18; stroke-linecap: square",
    "seed": "fill: none; stroke-opacity: 0.45; stroke-width: 6; stroke-linecap: square",
    "middle": "font-size: 90px; text-anchor: middle; fill: currentColor",
    "end": "font-size: 90px; text-anchor: end; fill: currentColor",
}
"""Styles of the page, by class, that elements of drawings have; lines have a colour beside it."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "rl-claims",
    "font.family": "sans-serif",
    "font.size": 9 * UNIT,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6 * UNIT,
    "axes.labelpad": 4 * UNIT,
    "axes.formatter.useoffset": False,
    "xtick.bottom": False,  # lines of the grid are ticks enough
    "ytick.left": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.12,
    "grid.linewidth": 0.6 * UNIT,
    "xtick.major.pad": 3.5 * UNIT,
    "ytick.major.pad": 3.5 * UNIT,
    "figure.constrained_layout.h_pad": 0.04 * UNIT,
    "figure.constrained_layout.w_pad": 0.04 * UNIT,
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
        figure.patch.set_visible(False)
        axes.patch.set_visible(False)
        axes.grid(clip_on=False)
        each_seed = not panel.diagnostic and sum(len(line.curves) for line in panel.lines) <= THIN
        for reference in panel.references:
            _draw_reference(axes, reference)
        for line in panel.lines:
            colour = COLOURS[line.colour]
            at = drawn_points(line.steps, POINTS // 2 if panel.diagnostic else POINTS)
            band = line.interval()
            if band is not None:
                low, high = band
                _draw_band(axes, line.steps[at], low[at], panel.drawable(high[at]), colour, 0.13)
            if each_seed and len(line.curves) <= SEEDS:
                seeds = panel.drawable(line.curves[:, at].T)
                for drawn in axes.plot(line.steps[at], seeds, color=colour, linewidth=0.6 * UNIT):
                    drawn.set(alpha=0.45, clip_on=False)
            mean = panel.drawable(line.mean[at])
            (drawn,) = axes.plot(line.steps[at], mean, color=colour, linewidth=1.8 * UNIT)
            drawn.set_clip_on(False)
        _limit(axes, panel)
        axes.set_ylabel(panel.quantity)
        axes.set_xlabel(panel.over)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: short_number(step)))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    return _inline(buffer.getvalue(), panel)


def _draw_reference(axes: Axes, reference: Reference) -> None:
    colour = INK if reference.colour is None else COLOURS[reference.colour]
    if reference.low is not None and reference.high is not None:
        _draw_band(axes, reference.steps, reference.low, reference.high, colour, 0.08)
    at = drawn_points(reference.steps)
    (drawn,) = axes.plot(
        reference.steps[at], reference.values[at], color=colour, linewidth=1.1 * UNIT
    )
    if DASHES[reference.kind]:
        drawn.set_dashes(DASHES[reference.kind])


def _draw_band(
    axes: Axes, at: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str, alpha: float
) -> None:
    band = axes.fill_between(at, low, high, color=colour, alpha=alpha, linewidth=0)
    # With as many addresses it is written as a path, which is shorter than a marker.
    band.set_urls([None, None])


def _limit(axes: Axes, panel: Panel) -> None:
    """The interval of three seeds can dwarf the curves: the axis shows seeds and references, and
    what their bands exceed is cut."""
    shown = np.concatenate(
        # Means too: where some seeds are at 0, theirs is below all that the axis can show.
        [values.ravel() for line in panel.lines for values in (line.curves, line.mean)]
        + [reference.values for reference in panel.references]
    )
    shown = panel.drawable(shown)
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
    svg = re.sub(r'<g id="[^"]*"/>', "", svg)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)
    svg = _without_bare_groups(svg)
    svg = re.sub(r' (?:xmlns(?::xlink)?|version)="[^"]*"', "", svg).replace("xlink:", "")
    # What remains of ids is referred to inside the figure; the page holds many figures.
    prefix = hashlib.sha256(panel.id.encode()).hexdigest()[:8]
    for number, name in enumerate(re.findall(r' id="([^"]+)"', svg)):
        svg = re.sub(rf'(?<=[#"]){name}(?=[)"])', f"d{prefix}-{number}", svg)
    svg = re.sub(r'\swidth="[^"]*pt"', "", svg, count=1)
    svg = re.sub(r'\sheight="[^"]*pt"', "", svg, count=1)
    svg = re.sub(r'(?<= d=")[^"]*', lambda found: _short_path(found[0]), svg)
    svg = re.sub(r'(?<= [xy]=")[^"]*|(?<= width=")[^"]*|(?<= height=")[^"]*', _whole, svg)
    svg = re.sub(r" font-family: [^;]*;| stroke-linejoin: [a-z]*;|\n *", "", svg)
    svg = re.sub(r' transform="rotate\(-0 [^"]*"', "", svg)
    svg = re.sub(r"rotate\([^)]*", lambda turn: re.sub(r"\d+\.\d+", _whole, turn[0]), svg)
    svg = svg.replace(INK, "currentColor")
    svg = re.sub(
        rf'style="fill: none; stroke: ({"|".join(COLOURS)});',
        r'stroke="\1" style="fill: none;',
        svg,
    )
    for name, style in RULES.items():
        svg = svg.replace(f'style="{style}"', f'class="{name}"')
    for i, colour in enumerate(COLOURS):
        svg = svg.replace(colour, f"var(--line-{i})")
    # The seeds of a line are one path.
    svg = re.sub(r'" (stroke="[^"]*" class="seed")/><path d="(?=[^"]*" \1/>)', "", svg)
    return _one_grid(svg).replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _without_bare_groups(svg: str) -> str:
    """The same without groups that have no attributes: they say nothing."""
    opened: list[str] = []

    def kept(tag: re.Match[str]) -> str:
        if tag[0] != "</g>":
            opened.append(tag[0])
            return "" if tag[0] == "<g>" else tag[0]
        return "" if opened.pop() == "<g>" else "</g>"

    return re.sub(r"<g(?: [^>]*)?(?<!/)>|</g>", kept, svg)


def _one_grid(svg: str) -> str:
    """The same with all lines of the grid in one path."""
    each = re.compile(r'<path d="([^"]*)" class="grid"/>')
    paths = each.findall(svg)
    first, rest = svg.split(f'<path d="{paths[0]}" class="grid"/>', 1)
    return f'{first}<path d="{"".join(paths)}" class="grid"/>{each.sub("", rest)}'


def _short_path(path: str) -> str:
    """The same lines by relative moves in whole units.

    Rounded before it is subtracted, so that no error adds up.
    """
    if not re.fullmatch(r"[MLz\d.\s-]*", path):
        return path  # a curve
    short = ""
    at = (0, 0)
    for command, x, y in re.findall(r"([MLz])\s*(?:(-?[\d.]+)\s+(-?[\d.]+))?", path):
        if command == "z":
            short += "z"
            continue
        to = (round(float(x)), round(float(y)))
        short += f"M{to[0]} {to[1]}l" if command == "M" else f"{to[0] - at[0]} {to[1] - at[1]} "
        at = to
    return re.sub(r" (?=[-Mz]|$)|l(?=[Mz]|$)", "", short)


def _whole(number: re.Match[str]) -> str:
    return str(round(float(number[0])))
