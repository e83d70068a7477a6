"""The laws on one environment; run by `suite conform --environment FAMILY ID`."""

from suite.conformance.environment_laws import (
    assert_earlier_episodes_do_not_matter,
    assert_fresh_instances_agree,
    assert_neighbours_do_not_matter,
    assert_processes_agree,
    assert_protocol_is_kept,
)
from suite.specs.models import TaskSpec


def test_the_protocol_is_kept(task: TaskSpec) -> None:
    assert_protocol_is_kept(task)


def test_fresh_instances_agree(task: TaskSpec) -> None:
    assert_fresh_instances_agree(task)


def test_earlier_episodes_do_not_matter(task: TaskSpec) -> None:
    assert_earlier_episodes_do_not_matter(task)


def test_neighbours_do_not_matter(task: TaskSpec) -> None:
    assert_neighbours_do_not_matter(task)


def test_processes_agree(task: TaskSpec) -> None:
    assert_processes_agree(task)
