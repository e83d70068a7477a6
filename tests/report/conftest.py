"""A small project with two studies, and runs of it that were never trained."""

from pathlib import Path

import pytest
from toy_project import AGENTS, BUDGETS, PLUGINS, TASKS, cell, claim, record

from suite.report.page import write_report
from suite.specs.project import Project, Study
from suite.stats.runs import Run
from suite.stats.verdicts import Verdict, expectations, judge


def toy_project(root: Path) -> Project:
    cells = {
        scale: tuple(cell(task, plugin, scale) for task in TASKS for plugin in PLUGINS)
        for scale in BUDGETS
    }
    null = {"name": "selection", "value": 2.5, "source": "resampled"}
    studies = {
        "first": Study(
            "first",
            "The First Paper",
            (
                claim("first-C1", "hill"),
                claim(
                    "first-C2",
                    "hill",
                    kind_of_claim="ours",
                    settled_at="paper",
                    settled_because="more steps",
                    null=null,
                ),
            ),
            {"hill": "Hill-v4"},
        ),
        "second": Study(
            "second",
            "The Second Paper",
            (claim("second-C1", "labels", kind_of_claim="extension"),),
            {"hill": "a slope"},
        ),
    }
    return Project(
        root=root,
        tasks=TASKS,
        agents={agent.name: agent for agent in AGENTS.values()},
        plugins={"pptb": PLUGINS["pptb"][0]},
        studies=studies,
        cells={"short": (), **cells},
    )


def toy_runs(project: Project) -> list[Run]:
    """All smoke runs of `hill` are done, those of `labels` failed, `paper` has not begun."""
    found = []
    for planned in project.cells["smoke"]:
        for spec in planned.runs:
            if spec.task.name == "hill":
                found.append(Run.of(record(planned, spec)))
            else:
                found.append(
                    Run(
                        spec.key(),
                        planned.id,
                        "smoke",
                        spec.seed,
                        "failed",
                        "ValueError: <odd> labels",
                        spec.model_dump(mode="json"),
                    )
                )
    return found


def toy_verdicts(project: Project, runs: list[Run]) -> list[Verdict]:
    claims = [claim for study in project.studies.values() for claim in study.claims]
    return [judge(claim, runs, expectations(project)) for claim in claims]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return toy_project(tmp_path)


@pytest.fixture
def runs(project: Project) -> list[Run]:
    return toy_runs(project)


@pytest.fixture
def verdicts(project: Project, runs: list[Run]) -> list[Verdict]:
    return toy_verdicts(project, runs)


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on the toy project; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("report")
    project = toy_project(folder)
    runs = toy_runs(project)
    write_report(project, runs, toy_verdicts(project, runs), folder)
    return folder
