"""Processes that train for real and are timed on command, so that two sides can take turns.

A worker warms up by training, reports "ready", then trains N steps per request and answers with the
seconds that they took. Only the workers of one side run at a time.
"""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

from suite.specs.loading import load_project
from suite.specs.models import RunSpec

ROOT = Path(__file__).parents[2]
Advance = Callable[[int], None]


def planned_run(cell: str, preset: str | None = None, **changes: object) -> RunSpec:
    """The first smoke run of a cell with other settings, e.g. `budget=50000`, `agent={...}`; with
    `preset`, another agent on the cell's task."""
    project = load_project(ROOT)
    run = next(c for c in project.cells["smoke"] if c.id == cell).runs[0]
    if preset is not None:
        run = run.model_copy(update={"agent": project.agents[preset]})
    agent = changes.pop("agent", {})
    settings = {**run.agent.settings, **agent}  # type: ignore[dict-item]
    return run.model_copy(
        update={"agent": run.agent.model_copy(update={"settings": settings}), **changes}
    )


def stacked(run: RunSpec, seeds: Sequence[int]) -> Advance:
    """Our loop over stacked seeds, without evaluation."""
    from suite.specs.registry import AGENTS
    from suite.training.process import configure
    from suite.training.shard import LOOPS

    configure()
    loop = LOOPS[AGENTS[run.agent.kind].loop](run, seeds, "cpu")

    def advance(steps: int) -> None:
        for _ in range(steps):
            loop.advance()

    return advance


def peer(run: RunSpec, algorithm: str, seed: int) -> Advance:
    """Stable-Baselines3 with the same settings on the same environment, one thread."""
    import torch
    from sb3_peers import sb3_agent
    from stable_baselines3.common.callbacks import BaseCallback

    torch.set_num_threads(1)
    agent = sb3_agent(run.model_copy(update={"seed": seed}), total_steps=1_000_000)

    class StopAfter(BaseCallback):
        left = 0

        def _on_step(self) -> bool:
            self.left -= 1
            return self.left > 0

    def advance(steps: int) -> None:
        if algorithm == "ppo":
            # Ends by itself after whole rollouts; stopped by a callback it would leave out the
            # update phase.
            agent.learn(total_timesteps=steps, reset_num_timesteps=False)
            return
        stop = StopAfter()
        stop.left = steps
        # A horizon that is never reached keeps the schedules as in a long run.
        agent.learn(total_timesteps=1_000_000, callback=stop, reset_num_timesteps=False)

    return advance


def _serve(connection: Connection, build: Callable[..., Advance], args: tuple, warmup: int) -> None:
    advance = build(*args)
    advance(warmup)
    connection.send("ready")
    while steps := connection.recv():
        started = time.perf_counter()
        advance(steps)
        connection.send(time.perf_counter() - started)


class Side:
    """Worker processes that are timed together."""

    def __init__(self, build: Callable[..., Advance], args: Sequence[tuple], warmup: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections, self._processes = [], []
        for worker in args:
            ours, theirs = context.Pipe()
            process = context.Process(target=_serve, args=(theirs, build, worker, warmup))
            process.start()
            theirs.close()
            self._connections.append(ours)
            self._processes.append(process)
        for connection in self._connections:
            assert connection.recv() == "ready"

    def seconds(self, steps: int) -> float:
        """Wall seconds until every worker has trained `steps` more steps, all at once."""
        for connection in self._connections:
            connection.send(steps)
        return max(connection.recv() for connection in self._connections)

    def close(self) -> None:
        for connection in self._connections:
            connection.send(0)
        for process in self._processes:
            process.join()
