"""What environments are like, learned by building each once and kept on disk.

So that specs are checked and planned without importing simulators. What is kept belongs to the
versions of the packages that it comes from. The suite's own tasks come with `described.json`, so
that a first start is fast too; `python -m suite.envs.described` writes it again, in a checkout.
"""

import functools
import hashlib
import inspect
import json
import os
import sys
import types
import typing
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal, TypeVar, Union

from pydantic import ValidationError

from suite import cache, extensions
from suite.envs.families import FAMILIES, Own
from suite.envs.make import make_environment
from suite.envs.opengl import import_mujoco
from suite.envs.protocol import Environment, ObservationDtype
from suite.specs.models import Spec, TaskSpec, canonical
from suite.store.atomic import StoreError, replace_bytes

SHIPPED = Path(__file__).with_name("described.json")
_FORMAT = 1  # of what is kept


class Spaces(Spec):
    """Observations and actions of an environment, as its adapter declares them."""

    observation_shape: tuple[int, ...]
    observation_dtype: ObservationDtype
    actions: Literal["continuous", "discrete"]
    action_size: int
    low: float
    high: float


class Parameter(Spec):
    """An argument of a constructor; `kind` is what JSON can tell of its type.

    flag, whole, number, text, any, or a list with the kinds of its items in `items`; no `items`:
    a list of anything. Of several `kinds` any will do.
    """

    kinds: tuple[Literal["flag", "whole", "number", "text", "list", "null", "any"], ...]
    items: tuple["Parameter", ...] = ()
    required: bool = False


class Parameters(Spec):
    """Arguments that the constructor of an environment takes by name; `others`: any besides."""

    names: dict[str, Parameter]
    others: bool


Found = TypeVar("Found", Spaces, Parameters)


def spaces(task: TaskSpec) -> Spaces:
    """Observations and actions of a task with its arguments.

    Raises ValueError when the environment cannot be built or does not keep the adapter protocol.
    """
    return _known_spaces(task.family, task.environment, canonical(task.arguments))


def parameters(task: TaskSpec) -> Parameters:
    """Arguments that a task's environment takes; `arguments` of the task are not looked at.

    Raises ValueError when there is no such environment, UnknownEnvironmentError if its family can
    name those that there are.
    """
    return _known_parameters(task.family, task.environment)


@functools.cache
def _known_spaces(family: str, environment: str, arguments: str) -> Spaces:
    task = _task(family, environment).model_copy(update={"arguments": json.loads(arguments)})
    files = [_stamp(Path(value)) for value in task.arguments.values() if _is_file(value)]
    of = {"arguments": task.arguments, "files": files, **_identity(task)}
    return _kept(of, Spaces, lambda: _spaces(task))


@functools.cache
def _known_parameters(family: str, environment: str) -> Parameters:
    task = _task(family, environment)
    return _kept(_identity(task), Parameters, lambda: _parameters(task))


def _task(family: str, environment: str) -> TaskSpec:
    return TaskSpec(name="described", family=family, environment=environment)


def _spaces(task: TaskSpec) -> Spaces:
    environment = _built(task)
    action = environment.action
    try:
        return Spaces(
            observation_shape=tuple(environment.observation_shape),
            observation_dtype=environment.observation_dtype,
            actions=action.kind,  # type: ignore[arg-type]  # checked here
            action_size=action.size,
            low=float(action.low),
            high=float(action.high),
        )
    except (ValidationError, AttributeError, TypeError) as error:
        raise ValueError(
            f"{task.family} environment {task.environment!r} does not keep the adapter protocol"
            f" (suite.envs.protocol): {' '.join(str(error).split())}"
        ) from error


def _built(task: TaskSpec) -> Environment:
    try:
        return make_environment(task)
    except ValueError:
        raise
    except Exception as error:  # an adapter of anyone's may raise anything
        raise ValueError(
            f"{task.family} environment {task.environment!r} with arguments {task.arguments} cannot"
            f" be built: {type(error).__name__}: {error}"
        ) from error


def _parameters(task: TaskSpec) -> Parameters:
    own = isinstance(FAMILIES[task.family], Own)
    if task.family == "mujoco":
        import_mujoco()
        from suite.envs.mujoco import constructor

        made = constructor(task.environment)
    elif task.family == "gymnasium":
        from suite.envs.registered import constructor

        made = constructor(task.environment)
    else:
        made = FAMILIES[task.family]
    try:
        signature = inspect.signature(made, eval_str=True)
    except Exception:  # annotations of anyone's, which may be there for type checkers only
        signature = inspect.signature(made)
    found = list(signature.parameters.values())
    found = found if own else found[1:]  # the task
    return Parameters(
        names={
            one.name: _parameter(one)
            for one in found
            if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        },
        # MuJoCo's environments pass further ones on to their base, which has none for specs.
        others=task.family != "mujoco" and any(one.kind == one.VAR_KEYWORD for one in found),
    )


_KINDS: dict[Any, str] = {
    bool: "flag",
    int: "whole",
    float: "number",
    str: "text",
    type(None): "null",
    list: "list",
    tuple: "list",
}


def _parameter(one: inspect.Parameter) -> Parameter:
    required = one.default is one.empty
    told = one.annotation
    if told is one.empty:
        # A whole default of an argument without annotation may stand for any number.
        told = Any if required or one.default is None else type(one.default)
        told = float | int if told is int else told
    return _typed(told).model_copy(update={"required": required})


def _typed(told: Any) -> Parameter:
    """What JSON can tell of an annotation."""
    origin, inside = typing.get_origin(told), typing.get_args(told)
    if origin in (Union, types.UnionType):
        parts = [_typed(part) for part in inside]
        kinds = tuple(dict.fromkeys(kind for part in parts for kind in part.kinds))
        items = next((part.items for part in parts if part.items), ())
        return Parameter(kinds=("any",) if "any" in kinds else kinds, items=items)
    if origin is tuple and inside and inside[-1] is not Ellipsis:
        return Parameter(kinds=("list",), items=tuple(_typed(part) for part in inside))
    kind = _KINDS.get(origin or told, "any")
    return Parameter.model_validate({"kinds": (kind,)})


def _identity(task: TaskSpec) -> dict[str, Any]:
    """The environment, and the versions of what decides how it is."""
    family = FAMILIES[task.family]
    if isinstance(family, Own):
        packages = {name: _installed(name) for name in family.packages}
    else:
        packages = {**extensions.versions(), "module": _module_stamp(family.__module__)}
    if task.family == "gymnasium":
        for point in entry_points(group="gymnasium.envs"):
            if point.dist:
                packages[point.dist.name] = point.dist.version
        module, colon, _ = task.environment.partition(":")
        if colon:
            packages[module] = _installed(module.partition(".")[0])
            packages["module"] = _module_stamp(module)
    return {
        "family": task.family,
        "version": family.VERSION,
        "environment": task.environment,
        "packages": packages,
    }


@functools.cache
def _installed(package: str) -> str | None:
    try:
        return version(package)
    except (PackageNotFoundError, ValueError):
        return None


def _module_stamp(name: str) -> str | None:
    """A module's file, which may be edited without a new version."""
    try:
        known = sys.modules[name].__spec__ if name in sys.modules else find_spec(name)
    except (ImportError, ValueError):
        return None
    return _stamp(Path(known.origin)) if known and known.origin else None


def _stamp(path: Path) -> str | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return f"{path} {status.st_mtime_ns} {status.st_size}"


def _is_file(value: Any) -> bool:
    try:
        return isinstance(value, str) and Path(value).is_file()
    except (OSError, ValueError):  # too long for a name, or with a zero byte
        return False


def _kept(of: Mapping[str, Any], model: type[Found], find: Callable[[], Found]) -> Found:
    """What is known of an environment: from the package, from the disk, or found now.

    Writers of one file write the same; each file is renamed into its place as a whole. What cannot
    be read is found again.
    """
    key = hashlib.sha256(
        canonical({"format": _FORMAT, "what": model.__name__, **of}).encode()
    ).hexdigest()[:24]
    if key in _shipped():
        return model.model_validate_json(json.dumps(_shipped()[key]))
    path = cache.folder() / f"{key}.json"
    known = _read(path, model)
    if known is None:
        known = find()
        _write(path, known)
    return known


def _read(path: Path, model: type[Found]) -> Found | None:
    try:
        return model.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, known: Spec) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        text = known.model_dump_json(exclude_defaults=True)
        replace_bytes(path, text.encode(), durable=False)
    except (OSError, StoreError) as error:
        warnings.warn(
            f"what environments are like can't be kept in {path.parent} ({error}): every start"
            " builds them again; set SUITE_CACHE to a folder that can be written",
            stacklevel=2,
        )


@functools.cache
def _shipped() -> dict[str, Any]:
    content: dict[str, Any] = json.loads(SHIPPED.read_text()) if SHIPPED.exists() else {}
    return content


def ship(root: Path) -> None:
    """Describe the tasks of the project in `root` anew and write `described.json`."""
    from suite.specs.loading import load_project

    SHIPPED.unlink(missing_ok=True)
    with TemporaryDirectory() as kept:
        os.environ["SUITE_CACHE"] = kept
        load_project(root)
        found = {path.stem: json.loads(path.read_text()) for path in Path(kept).iterdir()}
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in sorted(found.items())]
    SHIPPED.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    ship(Path())
