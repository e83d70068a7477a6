"""The recordings by kind."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from suite.recordings.batch import BatchRecording
from suite.recordings.checkpoints import CheckpointsRecording
from suite.recordings.losses import LossesRecording
from suite.recordings.norms import NormsRecording
from suite.recordings.path import PathRecording
from suite.recordings.protocol import RecordedAgent, Recording
from suite.recordings.sums import SumsRecording
from suite.recordings.updates import UpdatesRecording
from suite.specs.models import RecordingSpec

RECORDINGS: dict[str, type[Recording]] = {
    "path": PathRecording,
    "norms": NormsRecording,
    "checkpoints": CheckpointsRecording,
    "sums": SumsRecording,
    "losses": LossesRecording,
    "updates": UpdatesRecording,
    "batch": BatchRecording,
}


def build_recordings(
    specs: Iterable[RecordingSpec], agent: RecordedAgent, folders: Sequence[Path]
) -> dict[str, Recording]:
    """The recordings by name, each with its own folder in that of every seed."""
    recordings = {}
    for spec in specs:
        kind = RECORDINGS[spec.kind]
        settings = kind.Settings.model_validate_json(json.dumps(spec.settings))
        own = [folder / spec.name for folder in folders]
        recordings[spec.name] = kind(settings, agent, own)
    return recordings
