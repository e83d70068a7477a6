"""The verdicts on all claims of a project's studies, from the runs that are there."""

from collections.abc import Sequence

from suite.specs.models import SCALES, Scale
from suite.specs.project import Project
from suite.stats.correction import corrected
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict, expectations, judge


def judge_all(project: Project, runs: Sequence[Run]) -> list[Verdict]:
    """The verdicts on all claims, study by study, corrected for the number of claims of each."""
    expected = expectations(project)
    return [
        verdict
        for study in project.studies.values()
        for verdict in corrected(
            [judge(claim, runs, expected, study.environments) for claim in study.claims]
        )
    ]


def judge_by_scale(project: Project, runs: Sequence[Run]) -> dict[str, dict[Scale, Verdict]]:
    """What the runs of each scale alone say about every claim, by id; without its power."""
    expected = expectations(project)
    here = {scale: [run for run in runs if run.scale == scale] for scale in SCALES}
    found: dict[str, dict[Scale, Verdict]] = {}
    for study in project.studies.values():
        for claim in study.claims:
            verdicts = (
                judge(claim, here[scale], expected, study.environments, power=False)
                for scale in SCALES
            )
            found[claim.id] = {one.scale: one for one in verdicts if one.scale is not None}
    return found
