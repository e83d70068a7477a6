"""Studies as pytest items: a cell passes when it is trained, a claim when it is supported.

`tasks/studies/*.yaml` are collected as files. A claim fails when it is contradicted and is skipped,
with its reason, when it is inconclusive or not run. Where verdicts are recorded (`suite.expected`),
a contradiction that is recorded is an expected failure, and a claim fails when its verdict changed.
Nothing trains without `--train`.
"""

# Loaded in every pytest session of this environment: what takes time is imported where it is used.
from __future__ import annotations

import re
import warnings
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from suite.expected import Comparison, Expected
    from suite.judging import Judging
    from suite.specs.claims import ClaimSpec
    from suite.specs.source import Node
    from suite.stats.verdicts import Verdict

SCALES = ("smoke", "short", "paper")
_PROJECTS = pytest.StashKey[dict[Path, tuple["Judging", "Expected | None"]]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("rl-claims", "claims of papers (rl-claims)")
    group.addoption(
        "--scale",
        choices=SCALES,
        help="use runs of this scale only (default: the largest that has enough of them)",
    )
    group.addoption("--seeds", type=_count, help="seeds of every cell (default: as planned)")
    group.addoption(
        "--train", action="store_true", help="train what is missing, at smoke without --scale"
    )
    group.addoption(
        "--until-conclusive",
        action="store_true",
        help="with --train: add seeds to an inconclusive claim, by a sequential rule",
    )
    group.addoption(
        "--seed-cap",
        type=_count,
        help="seeds of a cell at most with --until-conclusive (default: 4 times the planned ones)",
    )
    group.addoption(
        "--strict-claims",
        action="store_true",
        help="fail every contradicted claim, whatever verdicts are recorded",
    )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text} is no whole number from 1 on")
    return int(text)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell: a cell of a study; passes when it is trained")
    config.addinivalue_line("markers", "claim: a claim of a study; passes when it is supported")
    config.stash[_PROJECTS] = {}
    option = config.option
    if option.until_conclusive and not option.train:
        raise pytest.UsageError("--until-conclusive adds seeds and needs --train")
    if option.seed_cap is not None and not option.until_conclusive:
        raise pytest.UsageError("--seed-cap is the limit of --until-conclusive, which is not given")


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> Study | None:
    if file_path.suffix != ".yaml" or file_path.parts[-3:-1] != ("tasks", "studies"):
        return None
    if not re.search(r"^study:", file_path.read_text(encoding="utf-8", errors="replace"), re.M):
        return None
    return Study.from_parent(parent, path=file_path)


class Study(pytest.File):
    """A study of the project whose folder holds `tasks/`; its items are its cells and claims."""

    def collect(self) -> Iterator[pytest.Item]:
        from suite.extensions import ExtensionError
        from suite.specs.source import SpecError, read_yaml

        try:
            judging, expected = self._project()
            document = read_yaml(self.path, self.name)
        except (SpecError, ExtensionError) as error:
            raise self.CollectError(str(error)) from error
        name = document.value["study"].value
        cells = [cell for cells in judging.project.cells.values() for cell in cells]
        for cell in dict.fromkeys(cell.id for cell in cells if name in cell.studies):
            yield Cell.from_parent(self, name=cell, judging=judging, line=_line(document, cell))
        places = document.value["claims"].value if "claims" in document.value else []
        for claim, node in zip(judging.project.studies[name].claims, places, strict=True):
            yield Claim.from_parent(
                self, name=claim.id, judging=judging, expected=expected, claim=claim, node=node
            )

    def _project(self) -> tuple[Judging, Expected | None]:
        """The project of this file and its recorded verdicts, read once for all its studies."""
        from suite.expected import read
        from suite.judging import Judging

        root, option = self.path.parents[2], self.config.option
        projects = self.config.stash[_PROJECTS]
        if root not in projects:
            judging = Judging(
                root,
                scale=option.scale,
                seeds=option.seeds,
                train=option.train,
                until_conclusive=option.until_conclusive,
                seed_cap=option.seed_cap,
            )
            expected = None if option.strict_claims else read(root)
            _warn_of_dropped(root, judging, expected or {})
            projects[root] = judging, expected
        return projects[root]


def _warn_of_dropped(root: Path, judging: Judging, expected: Expected) -> None:
    """A warning for each recorded claim that no study has: no item could name it."""
    from suite.expected import PATH, RECORD

    present = {claim.id for study in judging.project.studies.values() for claim in study.claims}
    for claim in [claim for claim in expected if claim not in present]:
        message = f"claim {claim} is recorded and in no study any more; `{RECORD}` drops it"
        line = expected[claim].line
        warnings.warn_explicit(message, pytest.PytestWarning, str(root / PATH), line)


def _line(study: Node, cell: str) -> int:
    """Line of the first group of a study that has a cell."""
    from suite.specs.models import cell_id

    for group in study.value["cells"].value:
        names = group.plain()
        ids = (
            cell_id(task, agent, tuple(plugins))
            for task in names["tasks"]
            for agent in names["agents"]
            for plugins in names["plugins"]
        )
        if cell in ids:
            return int(group.line)
    raise ValueError(f"{study.path} has no cell {cell}")


class _Judged(pytest.Item):
    """An item of a study: where it stands, and what it tells the reports."""

    def __init__(self, judging: Judging, line: int, **rest: Any) -> None:
        super().__init__(**rest)
        self.judging = judging
        self.line = line

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self.line - 1, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from suite.store.atomic import StoreError

        if isinstance(excinfo.value, StoreError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def tell(self, **properties: object) -> None:
        """Properties for JUnit XML and for the verdict table; None is left out."""
        self.user_properties += [(k, str(v)) for k, v in properties.items() if v is not None]


class Cell(_Judged):
    """Passes when all planned seeds are trained, fails when one failed, diverged or is corrupt."""

    def __init__(self, **rest: Any) -> None:
        super().__init__(**rest)
        self.add_marker("cell")

    def runtest(self) -> None:
        found = self.judging.cell(self.name)
        self.tell(cell=self.name, state=found.state, scale=found.scale, reason=found.reason)
        if found.state == "failed":
            pytest.fail(f"{found.reason}\n{found.traceback}".strip(), pytrace=False)
        if found.state == "not run":
            pytest.skip(f"not run: {found.reason}")


class Claim(_Judged):
    """Passes when supported, fails when contradicted, else is skipped with the reason.

    With recorded verdicts it fails when one changed, and is expected to fail when contradicted as
    recorded.
    """

    def __init__(self, claim: ClaimSpec, expected: Expected | None, node: Node, **rest: Any):
        super().__init__(line=node.line, **rest)
        self.claim = claim
        self.expected = expected
        self.add_marker("claim")

    def runtest(self) -> None:
        from suite.expected import RECORD

        verdict = self.judging.verdict(self.claim)
        compared = self._compared(verdict)
        kind, differing = (compared.kind, compared.differing) if compared else ("new", "")
        self.tell(
            claim=verdict.claim,
            verdict=verdict.state,
            scale=verdict.scale,
            observed=verdict.observed,
            low=verdict.low,
            high=verdict.high,
            reason=verdict.reason,
            expected=compared and compared.recorded,
            compared=compared and compared.kind,
            differing=differing or None,
        )
        record = f"If this is the finding, record it: {RECORD}"
        if kind == "changed":
            told = _told(self.claim, verdict)
            pytest.fail(f"changed at {differing}\n{told}\n{record}", pytrace=False)
        if verdict.state == "contradicted" and kind != "not compared":
            if kind == "expected":
                pytest.xfail(f"contradicted at {verdict.scale}, as recorded: {verdict.reason}")
            pytest.fail(f"{_told(self.claim, verdict)}\n{record}", pytrace=False)
        if verdict.state != "supported" or kind == "not compared":
            reason = f"{verdict.reason}; {differing}" if differing else verdict.reason
            pytest.skip(f"{verdict.state}: {reason}")

    def _compared(self, verdict: Verdict) -> Comparison | None:
        """The verdict beside the recorded one, at the scales that this session counts."""
        from suite.expected import compare

        if self.expected is None:
            return None
        judging, recorded = self.judging, self.expected.get(self.claim.id)
        return compare(
            recorded.entries if recorded else None,
            verdict,
            lambda scale: judging.at_scale(self.claim, scale),
            judging.scale,
            limited=judging.seeds is not None,
        )


def _told(claim: ClaimSpec, verdict: Verdict) -> str:
    """A verdict in full: what is claimed, when it would be contradicted, and the runs behind it."""
    from suite.stats.wording import contradicted_if

    lines = [
        f"{verdict.state} at {verdict.scale or 'no scale'}: {verdict.reason}",
        f"claim: {claim.says} ({claim.source})",
        f"reported: {claim.reported}",
        f"contradicted if: {contradicted_if(claim)}",
        f"statistic: {verdict.statistic}",
    ]
    for cell in verdict.evidence:
        runs = ", ".join(f"{s}: {key}" for s, key in zip(cell.seeds, cell.keys, strict=True))
        lines.append(f"{cell.cell}: mean {cell.mean}, runs by seed {runs}")
    return "\n".join(lines)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if isinstance(item, _Judged) and report.skipped and isinstance(report.longrepr, tuple):
        # The reason stands in the study, not where this file skips.
        report.longrepr = (str(item.path), item.line, report.longrepr[2])
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    from suite.verdict_table import table

    yield  # the table closes the report
    lines = table(report for reports in terminalreporter.stats.values() for report in reports)
    if lines:
        terminalreporter.section("verdicts")
    for line in lines:
        terminalreporter.write_line(line)
