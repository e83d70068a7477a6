"""What a task may pass to its environment: a strict model for each family or constructor."""

import functools
import operator
import warnings
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, create_model

from suite.envs.described import Parameter, parameters
from suite.envs.protocol import UnknownEnvironmentError
from suite.specs.models import Spec, TaskSpec


class NoArguments(Spec):
    """Of an environment that takes none."""


class Pixels(Spec):
    """What is seen of a task through a camera."""

    renderer: Literal["raycast", "gl"] = "raycast"
    height: int = Field(default=100, ge=8, le=480, description="pixels")
    width: int = Field(default=100, ge=8, le=640, description="pixels")
    camera: int = Field(default=0, ge=-1, description="of the model; -1: MuJoCo's free camera")
    frame_stack: int = Field(default=3, ge=1, le=64, description="newest frames in an observation")
    supersampling: int = Field(
        default=1, ge=1, le=8, description="a pixel is the mean of so many by so many"
    )


class RandomLabels(Spec):
    """The continual random-label task: Gaussian inputs whose labels are redrawn for every task."""

    inputs: int = Field(ge=1, description="number of inputs")
    dimensions: int = Field(ge=1, description="of an input")
    classes: int = Field(ge=2, le=2**20, description="outputs of the network")
    batch_size: int = Field(ge=1)
    steps_per_task: int = Field(ge=1, description="optimiser steps between relabelings")


class Digits(Spec):
    """scikit-learn's 8 x 8 images of handwritten digits (1797 of them), ten classes."""

    labels: Literal["random", "true"] = Field(description="random: drawn anew for every task")
    inputs: int = Field(ge=1, le=1797, description="images to learn; the others test true labels")
    batch_size: int = Field(ge=1)
    steps_per_task: int = Field(ge=1, description="optimiser steps between relabelings")


class MinAtarArguments(Spec):
    """What `suite.envs.minatar.MinAtar` takes, and of a `sequence` its games and how long a visit
    is."""

    games: list[str] | None = Field(default=None, min_length=1)
    steps_per_visit: int | None = Field(default=None, ge=1, description="training steps")
    sticky_action_prob: float | None = Field(default=None, ge=0, le=1)
    difficulty_ramping: bool | None = None
    idle_cutoff: int | None = Field(default=None, ge=1)


FIXED: dict[str, type[Spec]] = {
    "dmc": NoArguments,
    "dmc_pixels": Pixels,
    "minatar": MinAtarArguments,
    "classic": NoArguments,
}
SYNTHETIC: dict[str, type[Spec]] = {
    "random_labels": RandomLabels,
    "digits": Digits,
    "dead_unit_walk": NoArguments,
}

# What the signatures of MuJoCo's environments do not say.
_LIMITS: dict[str, Any] = {
    "reset_noise_scale": Field(gt=0),
    "frame_skip": Field(ge=1),
    "xml_file": Field(min_length=1),
}

_TYPES: dict[str, Any] = {
    "flag": bool,
    "whole": int,
    "number": float,
    "text": str,
    "list": list[Any],
    "null": type(None),
    "any": Any,
}


class _Others(Spec):
    """Of a constructor that takes arguments which its signature does not name."""

    model_config = ConfigDict(extra="allow")


def arguments_model(task: TaskSpec) -> type[Spec]:
    """The model of the arguments of a task's environment.

    Raises ValueError when there is no such environment.
    """
    if task.family == "synthetic":
        if task.environment not in SYNTHETIC:
            raise UnknownEnvironmentError("synthetic", task.environment, SYNTHETIC)
        return SYNTHETIC[task.environment]
    if task.family in FIXED:
        return FIXED[task.family]
    found = parameters(task)
    limits = _LIMITS if task.family == "mujoco" else {}
    fields: dict[str, Any] = {}
    for name, one in found.names.items():
        kind = Annotated[_type(one), limits[name]] if name in limits else _type(one)
        fields[name] = (kind, ... if one.required else None)
    base = _Others if found.others else Spec
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names such as `copy`, which the models have too
        return create_model(f"{task.environment} arguments", __base__=base, **fields)


def resolved(model: type[Spec], arguments: Spec) -> dict[str, Any]:
    """The arguments to build a task with: those given, and the defaults of the suite's models."""
    own = model in FIXED.values() or model in SYNTHETIC.values()
    if own:
        return arguments.model_dump(mode="json", exclude_none=True)
    return arguments.model_dump(mode="json", exclude_unset=True)


def _type(one: Parameter) -> Any:
    kinds = [
        tuple[tuple(map(_type, one.items))] if kind == "list" and one.items else _TYPES[kind]  # type: ignore[misc]
        for kind in one.kinds
    ]
    return functools.reduce(operator.or_, kinds)
