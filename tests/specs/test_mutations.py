"""No spec gives a traceback: mutants of the project's own files load, or are refused by line.

Each mutant starts from a slice of the project: one group of cells, the presets that it uses, and
the claims and figures on its cells, so that a thousand take seconds. Where there are plug-ins, a
second slice has them from the suite by `use`.
"""

import json
import random
import time
import warnings
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from suite.specs.loading import load_project
from suite.specs.models import SCALES
from suite.specs.planning import memory_estimate, plan, seconds_estimate
from suite.specs.source import SpecError, read_yaml
from suite.specs.used import FOLDER

ROOT = Path(__file__).parents[2]
P, S = "tasks/presets.yaml", "tasks/studies/study.yaml"
LONGEST_SECONDS = 5


class Raw(str):
    """Text that stands in the file as it is."""


# Mappings are lists of pairs within a tuple, so that a key can stand twice.
Tree = Any
SCRAPS = [
    *map(Raw, ["1e6", ".nan", ".inf", "-.inf", "~", "", "0x10", "1_000", "no", "&a 1", "*a"]),
    *map(Raw, ["!!str 1", "[]", "{}", "[[]]", "{a: b}", "[1, [2]]", "- 1", "{<<: {a: 1}}", "|"]),
    *[0, -1, 1, 2, 3, 10**9, 10**17, -(10**17), 0.5, -0.5, 1.0, 1e-300, 1e300, True, False],
    *["", " ", "x", "a" * 300, "é", "\u2028", "\x00", "../x", "a--b", "1", "true", "smoke"],
    *["tasks/agents.yaml", "nothing.xml", "gymnasium", "module:Id-v0", "CartPole-v1", "dmc"],
    *["rl_claims/agents", "rl_claims/minatar"],
    *["synthetic", "mujoco", "dmc_pixels", "minatar", "random_labels", "Humanoid-v5", ":", "a:b:c"],
]


def tree(value: Any) -> Tree:
    if isinstance(value, dict):
        return ({"pairs": [[key, tree(item)] for key, item in value.items()]},)
    return [tree(item) for item in value] if isinstance(value, list) else value


def text(node: Tree) -> str:
    """YAML in flow style, one key or item a line."""
    if isinstance(node, tuple):
        pairs = node[0]["pairs"]
        return "{" + ",\n".join(f"{text(str(key))}: {text(item)}" for key, item in pairs) + "}"
    if isinstance(node, list):
        return "[" + ",\n".join(map(text, node)) + "]"
    if isinstance(node, Raw):
        return str(node)
    if isinstance(node, float):
        plain = format(Decimal(repr(node)), "f")
        return plain if "." in plain else f"{plain}.0"
    return json.dumps(node, ensure_ascii=False)


def slices() -> list[dict[str, Tree]]:
    """For each group of cells of the project's studies, a project of its own."""
    presets: dict[str, dict[str, Any]] = {"tasks": {}, "agents": {}, "plugins": {}}
    for file in sorted((ROOT / "tasks").glob("*.yaml")):
        for section, defined in read_yaml(file, file.name).plain().items():
            presets[section] |= defined
    found = []
    for file in sorted((ROOT / "tasks" / "studies").glob("*.yaml")):
        study = read_yaml(file, file.name).plain()
        for group in study["cells"]:
            names = {
                "tasks": group["tasks"],
                "agents": group["agents"],
                "plugins": [name for names in group["plugins"] for name in names],
            }
            used = {section: whole(presets[section], names[section]) for section in presets}
            cells = {
                f"{task}--{agent}--{'+'.join(plugins) or 'none'}"
                for task in group["tasks"]
                for agent in group["agents"]
                for plugins in group["plugins"]
            }
            claims = [claim for claim in study.get("claims", []) if named(claim) <= cells][:2]
            ids = {claim["id"] for claim in claims}
            shown = [drawn(figure, group, ids) for figure in study.get("figures", [])]
            figures = [figure for figure in shown if figure is not None][:2]
            own = {**study, "cells": [group], "claims": claims, "figures": figures}
            replaced = study.get("environments", {})
            own["environments"] = {
                task: replaced[task] for task in group["tasks"] if task in replaced
            }
            own["findings"] = ["It is {" + claim["id"] + "}." for claim in claims]
            found.append({P: tree(used), S: tree(own)})
            if used["plugins"]:
                own = {"use": ["rl_claims/plugins"], **own}
                without = {"use": [], "tasks": used["tasks"], "agents": used["agents"]}
                found.append({P: tree(without), S: tree(own)})
    return found


def whole(presets: dict[str, Any], names: list[str]) -> dict[str, Any]:
    """The presets of these names and those that they are like."""
    found: dict[str, Any] = {}
    for name in names:
        while name not in found:
            found[name] = presets[name]
            name = found[name].get("like", name)
    return found


def drawn(figure: Any, group: Any, claims: set[str]) -> Any:
    """The part of a figure on the cells of one group; None where there is none."""
    arms = [
        {key: [name for name in arm[key] if name in group[key]] for key in arm}
        for arm in figure["cells"]
    ]
    arms = [arm for arm in arms if all(arm.values())]
    if not arms or figure["null"].get("claim") not in {None, *claims}:
        return None
    return {**figure, "cells": arms}


def named(claim: Any) -> set[str]:
    """Everything in a claim that could be the id of a cell."""
    if isinstance(claim, dict | list):
        inside = claim.values() if isinstance(claim, dict) else claim
        return set().union(*map(named, inside))
    is_cell = isinstance(claim, str) and "--" in claim and " " not in claim
    return {claim} if is_cell else set()


def places(node: Tree) -> Iterator[tuple[list[Any], int]]:
    """Every list and where in it: items of lists, and pairs of mappings."""
    children = node[0]["pairs"] if isinstance(node, tuple) else node
    if isinstance(children, list):
        for i, child in enumerate(children):
            yield children, i
            yield from places(child[1] if isinstance(node, tuple) else child)


def is_pair(item: Any) -> bool:
    return isinstance(item, list) and len(item) == 2 and isinstance(item[0], str)


def mutate(files: dict[str, Tree], draw: random.Random) -> str:
    """Change one thing; says what."""
    everywhere = [place for name in files for place in places(files[name])]
    children, i = draw.choice(everywhere)
    other, j = draw.choice(everywhere)
    item = children[i]
    action = draw.choice(["delete", "double", "rename", "scrap", "scrap", "scrap", "swap", "take"])
    if action == "delete":
        del children[i]
    elif action == "double":
        children.insert(i, copied(item))
    elif action == "rename" and is_pair(item):
        item[0] = draw.choice([item[0] + "x", other[j][0] if is_pair(other[j]) else "x", ""])
    elif action == "swap" and is_pair(item) and is_pair(other[j]):
        item[1], other[j][1] = copied(other[j][1]), copied(item[1])
    elif action == "take" and is_pair(item) == is_pair(other[j]):
        children[i] = copied(other[j])
    elif is_pair(item):
        item[1] = draw.choice(SCRAPS)
    else:
        children[i] = draw.choice(SCRAPS)
    return f"{action} {str(item)[:80]}"


def copied(node: Tree) -> Tree:
    if isinstance(node, tuple):
        return ({"pairs": [[key, copied(item)] for key, item in node[0]["pairs"]]},)
    return [copied(item) for item in node] if isinstance(node, list) else node


def check(folder: Path, count: int, seed: int) -> None:
    """Load and estimate `count` mutants; every fault is told with what was changed."""
    originals, draw, faults = slices(), random.Random(seed), []
    used = dict.fromkeys(map(str, FOLDER.glob("*.yaml")))
    refused = 0
    (folder / S).parent.mkdir(parents=True)
    for number in range(count):
        files = {name: copied(node) for name, node in draw.choice(originals).items()}
        changes = [mutate(files, draw) for _ in range(draw.choice([1, 1, 2]))]
        for name, node in files.items():
            (folder / name).write_text(text(node) + "\n", encoding="utf-8")
        started = time.monotonic()
        try:
            project = load_project(folder)
            for scale in SCALES:
                for cell in plan(project, scale).cells:
                    assert memory_estimate(cell) > 0 and seconds_estimate(cell) >= 0
        except SpecError as error:
            refused += 1
            wrong = [p for p in error.problems if p.path not in files | used or p.line < 1]
            faults += [f"{number}: {changes}: no place: {problem}" for problem in wrong]
            faults += [
                f"{number}: {changes}: many lines: {p}" for p in error.problems if "\n" in str(p)
            ]
        except Exception as error:
            faults.append(f"{number}: {changes}: {type(error).__name__}: {str(error)[:200]}")
        elapsed = time.monotonic() - started
        if elapsed > LONGEST_SECONDS:
            faults.append(f"{number}: {changes}: {elapsed:.1f} s")
    assert not faults, f"{len(faults)} of {count}:\n" + "\n".join(faults[:20])
    assert count / 4 < refused < count, "mutants should be refused often, and not always"


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PPTB warns of unstable settings, Gymnasium of old ids
        yield


def test_the_slices_are_good_projects(tmp_path: Path) -> None:
    for number, files in enumerate(slices()):
        folder = tmp_path / str(number)
        (folder / S).parent.mkdir(parents=True)
        for name, node in files.items():
            (folder / name).write_text(text(node) + "\n", encoding="utf-8")
        assert any(load_project(folder).cells.values())


def test_a_thousand_mutants_load_or_are_refused_by_line(tmp_path: Path) -> None:
    check(tmp_path, 1000, seed=1)


@pytest.mark.long
def test_ten_thousand_mutants_load_or_are_refused_by_line(tmp_path: Path) -> None:
    check(tmp_path, 10_000, seed=2)
