"""What would run at a scale, and what it would need."""

from suite.specs.loading import Project
from suite.specs.models import Plan, Scale


def plan(project: Project, scale: Scale) -> Plan:
    """The cells of a scale, in the order in which the studies name them."""
    return Plan(scale=scale, cells=project.cells[scale])
