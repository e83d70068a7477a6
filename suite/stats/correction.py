"""Correction for many claims: Holm's step-down over the claims of one study."""

from collections.abc import Sequence

from suite.stats.verdicts import Verdict


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm, Scand. J. Statist. 1979): each claim whose value
    is below a level is among those of which, all together, one is false in at most that share."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    largest = 0.0
    for place, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p_values) - place) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def corrected(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """The verdicts of one study, in the order given, with `survives_correction` for those that are
    supported and have a p-value.

    Every claim of the study that was compared counts, whatever its verdict. A claim survives when
    its adjusted p-value is below the error rate of its own intervals.
    """
    tested = [verdict for verdict in verdicts if verdict.p_value is not None]
    adjusted = holm([v.p_value for v in tested if v.p_value is not None])
    surviving = {
        verdict.claim: value <= 1 - verdict.confidence
        for verdict, value in zip(tested, adjusted, strict=True)
        if verdict.state == "supported"
    }
    return [
        verdict.model_copy(update={"survives_correction": surviving.get(verdict.claim)})
        for verdict in verdicts
    ]
