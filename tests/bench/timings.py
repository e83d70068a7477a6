"""What the regression gate times: agents, plug-ins, SVD, environments and the renderer.

A timing is a block of work (`subject`) that is repeated in turn with the calibration kernel and
with what it is held against (`base`): for a plug-in the same updates without it, for work that is
bound by calls a piece of interpreted code. Agents and plug-ins update on batches from
real training of a few hundred steps. All times are CPU seconds of this process, which works with
one thread: what other processes do to a busy machine then hardly shows in their ratios.
"""

import functools
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from calibration import calibration_work
from workers import ROOT, planned_run

from suite.analysis.policy_spectrum import path_spectrum
from suite.envs.dmc import DMC
from suite.envs.episodes import episode_seed
from suite.envs.make import make_environment
from suite.plugins.path_window import PathWindow
from suite.plugins.protocol import Plugin
from suite.specs.loading import load_project
from suite.specs.models import PluginSpec, RunSpec
from suite.specs.registry import AGENTS
from suite.training.process import configure
from suite.training.shard import LOOPS

Work = Callable[[], None]
BATCHES = 8  # batches of real training that updates are timed on


@dataclass
class Timing:
    """Work to be timed. `own` gives the CPU seconds so far of a plug-in's own code."""

    subject: Work
    base: Work | None = None
    own: Callable[[], float] | None = None


class Turns:
    """Turns of calibration, base and subject, with the CPU seconds of each.

    Ratios are medians over turns: a core that is shared slows what is next to each other alike.
    """

    def __init__(self, name: str, timing: Timing) -> None:
        self.name = name
        self.timing = timing
        self._calibrate = calibration_work()
        self.calibration: list[float] = []
        self.base: list[float] = []
        self.subject: list[float] = []
        self.own: list[float] = []

    def prepare(self) -> None:
        """The part of a turn before the subject's."""
        # In turn first and second: what comes after the calibration finds the caches full of it.
        calibration_first = len(self.calibration) % 2 == 0
        if calibration_first:
            self.calibration.append(_seconds(self._calibrate))
        if self.timing.base is not None:
            self.base.append(_seconds(self.timing.base))
        if not calibration_first:
            self.calibration.append(_seconds(self._calibrate))

    def work(self) -> None:
        """The subject's part of a turn."""
        before = 0.0 if self.timing.own is None else self.timing.own()
        self.subject.append(_seconds(self.timing.subject))
        if self.timing.own is not None:
            self.own.append(self.timing.own() - before)

    def take(self, count: int) -> None:
        """Whole turns."""
        for _ in range(count):
            self.prepare()
            self.work()

    def ratios(self) -> dict[str, float]:
        """Median ratios by name: the subject to its base if there is one, else to calibration.

        `<name>/own` is a plug-in's own code to the rest of the same updates.
        """
        base = self.calibration if self.timing.base is None else self.base
        found = {self.name: _median_ratio(self.subject, base)}
        if self.timing.own is not None:
            rest = [whole - own for whole, own in zip(self.subject, self.own, strict=True)]
            found[f"{self.name}/own"] = _median_ratio(self.own, rest)
        return found

    def calibration_ratio(self) -> float:
        """The subject to calibration."""
        return _median_ratio(self.subject, self.calibration)


def _seconds(work: Work) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _median_ratio(numerators: Sequence[float], denominators: Sequence[float]) -> float:
    return float(np.median(np.divide(numerators, denominators)))


def calibration_cpu_seconds() -> float:
    """CPU seconds of the calibration kernel."""
    work = calibration_work()
    return min(_seconds(work) for _ in range(20))


def trained(run: RunSpec, seeds: int, steps: int) -> tuple[Any, list[Any]]:
    """A loop after `steps` steps of real training, and the batches of its last updates."""
    configure()
    loop = LOOPS[AGENTS[run.agent.kind].loop](run, range(seeds), "cpu")
    kept: deque[Any] = deque(maxlen=BATCHES)
    update = loop.learner.update

    def keep(batch: Any) -> None:
        kept.append(batch)
        update(batch)

    loop.learner.update = keep
    while loop.step < steps:
        loop.advance()
    loop.learner.update = update
    return loop, list(kept)


def updates(loop: Any, batches: list[Any], count: int) -> Work:
    """`count` learn calls of a loop's agent with its plug-ins."""

    def work() -> None:
        for i in range(count):
            loop.learner.update(batches[i % len(batches)])

    return work


def interpreter_work() -> None:
    """A fixed piece of interpreted code, the base of what is bound by calls and not by products.

    A core that is shared slows scalar code by up to 1.6 and the products of calibration hardly.
    """
    found: dict[int, int] = {}
    total = 0
    for i in range(200_000):
        found[i & 255] = i
        total += found.get(i & 63, 0)


def agent(
    cell: str, seeds: int, steps: int, count: int, base: Work | None = None, **settings: object
) -> Timing:
    """Updates of an agent of a smoke cell."""
    run = planned_run(cell, agent=settings, budget=3_000_000)
    return Timing(updates(*trained(run, seeds, steps), count), base)


def walk() -> Timing:
    """Updates of the random-walk model, which has no networks."""
    configure()
    run = planned_run("dead_unit_walk--walk-sign-rms--none")
    loop = LOOPS["simulation"](run, range(3), "cpu")
    return Timing(lambda: [loop.advance() for _ in range(500)] and None, interpreter_work)


def plugin(preset: str, cell: str, seeds: int, steps: int, count: int, **settings: Any) -> Timing:
    """Updates with a plug-in's preset, in turn with the same updates without it."""
    run, base = _without_plugin(cell, seeds, steps)
    found = load_project(ROOT).plugins[preset]
    chosen = PluginSpec(name=found.name, kind=found.kind, settings={**found.settings, **settings})
    with_plugin, batches = trained(run.model_copy(update={"plugins": (chosen,)}), seeds, steps)
    own = _own_seconds(with_plugin.learner)
    return Timing(updates(with_plugin, batches, count), updates(*base, count), own)


@functools.cache
def _without_plugin(cell: str, seeds: int, steps: int) -> tuple[RunSpec, tuple[Any, list[Any]]]:
    """A run and its trained loop, the base of all plug-ins on the same cell."""
    settings = {"warmup_steps": 200} if "dqn" in cell else {}
    run = planned_run(cell, agent=settings, budget=300_000)
    return run, trained(run, seeds, steps)


def _own_seconds(learner: Any) -> Callable[[], float] | None:
    """CPU seconds that the plug-in's hooks took so far; None for a plug-in that hooks nothing."""
    spent = 0.0
    (present,) = learner.plugins

    def timed(hook: Callable[[Any], None]) -> Callable[[Any], None]:
        def call(argument: Any) -> None:
            nonlocal spent
            started = time.process_time()
            hook(argument)
            spent += time.process_time() - started

        return call

    hooks = [hook for group in learner.agent.groups.values() for hook in group.after_step]
    if not hooks and type(present).after_update is Plugin.after_update:
        return None
    for group in learner.agent.groups.values():
        group.after_step[:] = [timed(hook) for hook in group.after_step]
    present.after_update = timed(present.after_update)
    return lambda: spent


def window_svd() -> Timing:
    """What PPTB decomposes: 20 new snapshots in a window of 400 x 20 000, then trim and boost."""
    configure()
    generator = torch.Generator().manual_seed(0)
    window = PathWindow(torch.zeros(400, 20_000), [slice(0, 20_000)])
    steps = 1e-3 * torch.randn(420, 20_000, generator=generator)
    walk = steps.cumsum(0)
    for row in walk[:400]:
        window.append(row)

    def work() -> None:
        for row in walk[400:]:
            window.append(row)
        assert window.trim_and_boost(64, 2, 0.1) is not None

    return Timing(work)


def path_svd() -> Timing:
    """The temporal SVD of a path of 300 snapshots of 20 000 parameters."""
    configure()
    path = np.random.default_rng(0).standard_normal((300, 20_000)).cumsum(axis=0)
    return Timing(lambda: path_spectrum(path) and None)


def environment(task: str, steps: int) -> Timing:
    """Steps of one environment with random actions, from the same start each time."""
    configure()
    made = make_environment(load_project(ROOT).tasks[task])
    generator, action = np.random.default_rng(0), made.action
    if action.kind == "discrete":
        actions: Any = generator.integers(action.size, size=steps)
    else:
        shape = (steps, action.size)
        actions = generator.uniform(action.low, action.high, shape).astype(np.float32)

    def work() -> None:
        episode = 0
        made.reset(episode_seed(0, "bench", episode))
        for chosen in actions:
            _, _, terminal, truncated = made.step(chosen)
            if terminal or truncated:
                episode += 1
                made.reset(episode_seed(0, "bench", episode))

    return Timing(work, interpreter_work)


def frames(task: str, count: int = 20) -> Timing:
    """Ray-cast frames of 84 x 84."""
    draw = raycast(task)
    return Timing(lambda: [draw() for _ in range(count)] and None, interpreter_work)


def raycast(task: str) -> Callable[[], np.ndarray]:
    """What draws one frame of 84 x 84 of a task's first state."""
    made = DMC(task, None, 1)
    made.reset(0)
    return made.draws("raycast", 84, 84, 0)


DQN = "breakout--chain-ddqn--none"
LABELS = "random_labels--mlp-lr3e-3--none"
PIXEL_TASKS = (
    "cartpole-swingup",
    "finger-spin",
    "walker-walk",
    "cheetah-run",
    "ball_in_cup-catch",
    "reacher-easy",
)
WINDOW = {"capacity": 20, "store_interval": 5, "interval": 25, "trim_rank": 16}

TIMINGS: dict[str, Callable[[], Timing]] = {
    "agent/td3": lambda: agent("halfcheetah--td3-official--none", 3, 400, 4, warmup_steps=300),
    "agent/sac": lambda: agent("dmc_cartpole_swingup--sac-default--none", 2, 250, 4),
    "agent/rad": lambda: agent(
        "dmc_cartpole_swingup_pixels_small--rad-small--none", 2, 100, 2, warmup_steps=80
    ),
    "agent/dqn": lambda: agent(DQN, 3, 500, 10, warmup_steps=200),
    "agent/ppo": lambda: agent("halfcheetah--ppo-sb3-default--none", 3, 2048, 30, interpreter_work),
    "agent/classifier": lambda: agent(LABELS, 5, 600, 50, interpreter_work),
    "agent/dead_unit_walk": walk,
    # A block holds one intervention: 5 snapshots, then trim and boost.
    "plugin/pptb": lambda: plugin("pptb", DQN, 3, 500, 25, **WINDOW),
    "plugin/nap": lambda: plugin("nap_const", DQN, 3, 500, 10),
    "plugin/norm": lambda: plugin("ln", DQN, 3, 500, 10),
    "plugin/snapshot_average": lambda: plugin(
        "snapshot_average", LABELS, 5, 600, 50, store_interval=5, interval=50, snapshots=10
    ),
    "plugin/projection": lambda: plugin("proj_only", LABELS, 5, 600, 50),
    "plugin/inflate": lambda: plugin("inflate_10", LABELS, 5, 600, 50),
    "plugin/deaden": lambda: plugin("deaden_half", LABELS, 5, 600, 50),
    "svd/window": window_svd,
    "svd/path": path_svd,
    "environment/mujoco": lambda: environment("halfcheetah", 300),
    "environment/dmc": lambda: environment("dmc_cartpole_swingup", 150),
    "environment/minatar": lambda: environment("breakout", 1000),
    "environment/classic": lambda: environment("pendulum", 1000),
    **{f"renderer/{task}": lambda task=task: frames(task) for task in PIXEL_TASKS},
}
