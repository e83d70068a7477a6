"""Looking again after more seeds without raising the error rate: a fixed plan of looks.

A claim is looked at when all planned seeds are there, and again whenever their number has doubled:
at 1, 2, 4, 8, ... times the planned seeds. Look k has 2/3, 2/9, 2/27, ... of the whole error rate.
All shares together are the whole, so every interval that a claim will ever be judged by holds at
the same time with 95 % (Boole's inequality), whatever the looks have in common, however many there
are, and whoever stops when. Neither the numbers of seeds nor the shares depend on anything that can
be chosen while looking: between two looks the verdict is that of the earlier one.

The price is in `docs/statistics.md`. A confidence sequence (Howard et al., Ann. Statist. 2021)
could be looked at after every seed, but decides nothing with the few seeds that runs of hours
allow.
"""

from suite.stats.intervals import CONFIDENCE

FIRST = 2 / 3
"""Share of the error rate that the first look has."""

CAP = 4
"""Seeds at most, in multiples of the planned ones, when they are added until a claim is settled."""


def confidence(look: int) -> float:
    """Two-sided confidence of the intervals at a look, counted from 0."""
    return 1 - (1 - CONFIDENCE) * FIRST * (1 - FIRST) ** look


def seeds(planned: int, look: int) -> int:
    """Seeds per cell at a look, counted from 0."""
    return planned << look
