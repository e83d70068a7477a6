"""Sessions of pytest on a project, and what came out of them."""

import pytest


def run(project: pytest.Pytester, *arguments: str) -> pytest.HookRecorder:
    return project.inline_run("-p", "suite.pytest_plugin", "-p", "no:cacheprovider", *arguments)


def calls(session: pytest.HookRecorder) -> list[pytest.TestReport]:
    reports = session.getreports("pytest_runtest_logreport")
    return [report for report in reports if report.when == "call"]


def outcomes(session: pytest.HookRecorder) -> dict[str, str]:
    """Outcome of each item that ran, by name; an expected failure is `xfailed`."""
    return {
        report.nodeid.partition("::")[2]: (
            "xfailed" if hasattr(report, "wasxfail") else report.outcome
        )
        for report in calls(session)
    }


def reasons(session: pytest.HookRecorder) -> dict[str, str]:
    return {report.nodeid.partition("::")[2]: str(report.longrepr) for report in calls(session)}


def properties(session: pytest.HookRecorder) -> dict[str, dict[str, str]]:
    """What each item tells the reports, by name."""
    return {
        report.nodeid.partition("::")[2]: dict(report.user_properties) for report in calls(session)
    }
