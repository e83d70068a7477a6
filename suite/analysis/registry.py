"""The analyses by kind.

Other packages register theirs by entry points of the group `rl_claims.analyses`.
"""

import json
from collections.abc import MutableMapping
from typing import Any

from suite.analysis.gradient_subspaces import GradientSubspaces
from suite.analysis.path_curvature import PathCurvature
from suite.analysis.plasticity import Plasticity
from suite.analysis.policy_path import PolicyPath
from suite.analysis.propagation import Propagation
from suite.analysis.protocol import Analysis, Diagnostic
from suite.analysis.reconstruction import Reconstruction
from suite.analysis.twin_gap import TwinGap
from suite.analysis.updates import Updates
from suite.analysis.visits import Visits
from suite.analysis.weight_norms import WeightNorms
from suite.extensions import ANALYSES_GROUP, Extended, unversioned
from suite.recordings.protocol import LookSettings
from suite.recordings.registry import RECORDINGS
from suite.specs.models import AnalysisSpec, RecordingSpec


def unusable(name: str, value: Any) -> str:
    """Why an object can't be the analysis of this name; "" if it can."""
    lacking = [part for part in ("recordings", "analyse") if not hasattr(value, part)]
    if lacking:
        return f"{value!r} has no {', '.join(lacking)}"
    settings = getattr(value, "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, LookSettings)):
        return "its Settings is no subclass of suite.recordings.protocol.LookSettings"
    if not all(isinstance(shown, Diagnostic) for shown in diagnostics(value)):
        return "its DIAGNOSTICS are not all suite.analysis.protocol.Diagnostic"
    return unversioned(value)


def diagnostics(kind: type[Analysis]) -> tuple[Diagnostic, ...]:
    """What the report draws of an analysis with every task."""
    return getattr(kind, "DIAGNOSTICS", ())


ANALYSES: MutableMapping[str, type[Analysis]] = Extended(
    {
        "weight_norms": WeightNorms,
        "policy_path": PolicyPath,
        "plasticity": Plasticity,
        "propagation": Propagation,
        "gradient_subspaces": GradientSubspaces,
        "path_curvature": PathCurvature,
        "reconstruction": Reconstruction,
        "twin_gap": TwinGap,
        "visits": Visits,
        "updates": Updates,
    },
    ANALYSES_GROUP,
    unusable,
)


def build_analysis(spec: AnalysisSpec) -> Analysis:
    """The analysis that a spec names."""
    kind = ANALYSES[spec.kind]
    return kind(kind.Settings.model_validate_json(json.dumps(spec.settings)))


def recordings_of(spec: AnalysisSpec) -> tuple[RecordingSpec, ...]:
    """The recordings that an analysis reads, resolved."""
    return tuple(recording(kind, given) for kind, given in build_analysis(spec).recordings())


def recording(kind: str, settings: dict[str, Any]) -> RecordingSpec:
    """A recording with every default filled in, and its version.

    Raises KeyError for an unknown kind and pydantic.ValidationError for bad settings.
    """
    found = RECORDINGS[kind]
    whole = found.Settings.model_validate(settings).model_dump(mode="json")
    return RecordingSpec(kind=kind, settings=whole, version=found.VERSION)
