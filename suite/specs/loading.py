"""From the YAML under `tasks/` to a project whose every cell is resolved and checked.

All that can be known to be wrong before training is found here and raised together as one
`SpecError`, with file and line.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from suite.specs.cells import Cells
from suite.specs.checking import Checker
from suite.specs.claims import ClaimSpec
from suite.specs.figures import PaperFigure
from suite.specs.figures import check as check_figure
from suite.specs.findings import check as check_findings
from suite.specs.models import SCALES, StudySpec
from suite.specs.presets import Presets
from suite.specs.project import PresetFile, Project, Study
from suite.specs.source import Node, Problem, SpecError, find, known, read_yaml
from suite.specs.used import used_paths

_CLAIM_KINDS: dict[str, Any] = {
    get_args(claim.model_fields["kind"].annotation)[0]: claim
    for claim in get_args(get_args(ClaimSpec)[0])
}


def load_project(root: Path) -> Project:
    """Read `root/tasks/*.yaml` (presets), `root/tasks/studies/*.yaml`, and what they use.

    Raises SpecError with all problems found.
    """
    preset_files = sorted((root / "tasks").glob("*.yaml"))
    study_files = sorted((root / "tasks" / "studies").glob("*.yaml"))
    if not preset_files and not study_files:
        todo = "run this in the project's folder"
        raise SpecError([Problem("tasks", 1, f"no spec files: {root}", "tasks/*.yaml", todo)])
    checker = Checker()
    preset_nodes = _read(checker, root, preset_files)
    study_nodes = _read(checker, root, study_files)
    used = used_paths(checker, [*preset_nodes, *study_nodes])
    used_nodes = _read(checker, root, used.values())
    # A file that can't be read or found would make every name in it unknown.
    checker.stop_if_wrong()
    # What is used comes first, so that a name of the project's that is taken is told at its line.
    presets = Presets(checker, [*used_nodes, *preset_nodes])
    cells = Cells(checker, presets)
    studies: dict[str, tuple[StudySpec, Node]] = {}
    for node in study_nodes:
        _add_study(checker, cells, studies, node)
    nodes = {name: node for name, (_, node) in studies.items()}
    claims = _claims(checker, cells, nodes)
    _check_findings(checker, nodes, claims)
    figures = _figures(checker, cells, nodes, claims)
    checker.stop_if_wrong()
    return Project(
        root=root,
        tasks=presets.tasks,
        agents=presets.agents,
        plugins=presets.plugins,
        studies={
            name: Study(
                name=name,
                paper=study.paper,
                claims=tuple(claims[name]),
                environments=study.environments,
                findings=study.findings,
                figures=tuple(figures[name]),
                not_redrawn=study.not_redrawn,
            )
            for name, (study, _) in studies.items()
        },
        cells={scale: tuple(cells.cells[scale].values()) for scale in SCALES},
        used=tuple(
            PresetFile(name, {section: tuple(one.value) for section, one in node.value.items()})
            for name, node in zip(used, used_nodes, strict=True)
        ),
    )


def _read(checker: Checker, root: Path, files: Iterable[Path]) -> list[Node]:
    """The files that can be read; what is wrong with the others is kept as problems."""
    nodes = []
    for file in files:
        path = file.relative_to(root) if file.is_relative_to(root) else file
        try:
            nodes.append(read_yaml(file, path.as_posix()))
        except SpecError as error:
            checker.problems.extend(error.problems)
    return nodes


def _add_study(
    checker: Checker, cells: Cells, studies: dict[str, tuple[StudySpec, Node]], node: Node
) -> None:
    """A study file with the cells of all its scales; its claims and figures come later."""
    study = checker.model(StudySpec, node, "the study")
    if study is None:
        return
    if study.study in studies:
        checker.wrong(
            node.at(("study",)),
            f"duplicate study {study.study!r}, first in {studies[study.study][1].path}",
            "each name once",
            "rename one of them",
        )
        return
    studies[study.study] = (study, node)
    for group in node.value["cells"].value:
        cells.add_group(study.study, group)
    _check_environments(checker, cells, study, node)


def _check_environments(checker: Checker, cells: Cells, study: StudySpec, node: Node) -> None:
    """Each is the paper's counterpart of a task that the study's cells have."""
    if checker.problems:
        return  # tasks of cells that were refused would show up as unknown
    used = {
        cell.runs[0].task.name
        for scale in SCALES
        for cell in cells.cells[scale].values()
        if study.study in cell.studies
    }
    for task in study.environments:
        if task not in used:
            checker.wrong(
                node.at(("environments", task)),
                f"environments names a task that no cell of study {study.study!r} has: {task!r}",
                *known(used, task),
            )


def _claims(
    checker: Checker, cells: Cells, studies: Mapping[str, Node]
) -> dict[str, list[ClaimSpec]]:
    """The claims of each study, checked against the cells of all studies."""
    ids = {cell for scale in SCALES for cell in cells.cells[scale]}
    searched = {
        name: cell.first_seed
        for scale in SCALES
        for name, cell in cells.cells[scale].items()
        if cell.first_seed
    }
    # Cells that were refused would show up as unknown.
    complete = not checker.problems
    first: dict[str, Node] = {}
    claims: dict[str, list[ClaimSpec]] = {}
    for study, root in studies.items():
        claims[study] = []
        for node in root.value["claims"].value if "claims" in root.value else []:
            kind = node.value["kind"].value if "kind" in node.value else None
            if not isinstance(kind, str) or kind not in _CLAIM_KINDS:
                place = node.at(("kind",))
                checker.wrong(place, f"unknown claim kind {kind!r}", *known(_CLAIM_KINDS, kind))
                continue
            claim: ClaimSpec | None = checker.model(_CLAIM_KINDS[kind], node, "the claim")
            if claim is None:
                continue
            claims[study].append(claim)
            same = first.setdefault(claim.id, node)
            if same is not node:
                checker.wrong(
                    node.at(("id",)),
                    f"duplicate claim {claim.id!r}, first at {same.path}:{same.line}",
                    "each id once",
                    "rename one of them",
                )
            for cell in claim.named() if complete else ():
                if cell not in ids:
                    checker.wrong(
                        next(find(node, cell), node),
                        f"claim {claim.id!r} names a cell that does not exist: {cell!r}",
                        *known(ids, cell),
                    )
                elif cell in searched:
                    checker.wrong(
                        next(find(node, cell), node),
                        f"claim {claim.id!r} names a cell whose seeds start at "
                        f"{searched[cell]}: {cell!r}",
                        "cells with seeds from 0 on",
                        "seeds on which settings were chosen say too much for them; give the cell "
                        "that is reported a preset of its own",
                    )
    return claims


def _check_findings(
    checker: Checker, studies: Mapping[str, Node], claims: Mapping[str, Sequence[ClaimSpec]]
) -> None:
    if checker.problems:
        return  # claims that were refused would show up as unknown
    for study, root in studies.items():
        if "findings" in root.value:
            check_findings(checker, root.value["findings"].value, [x.id for x in claims[study]])


def _figures(
    checker: Checker,
    cells: Cells,
    studies: Mapping[str, Node],
    claims: Mapping[str, Sequence[ClaimSpec]],
) -> dict[str, list[PaperFigure]]:
    """The figures of each study, checked against the cells and claims of all studies."""
    stated = {claim.id: claim for found in claims.values() for claim in found}
    # Cells and claims that were refused would show up as unknown.
    complete = not checker.problems
    figures: dict[str, list[PaperFigure]] = {}
    for study, root in studies.items():
        figures[study] = []
        for node in root.value["figures"].value if "figures" in root.value else []:
            figure = checker.model(PaperFigure, node, "the figure")
            if figure is None:
                continue
            figures[study].append(figure)
            if complete:
                check_figure(checker, figure, node, cells.cells, stated)
    return figures
