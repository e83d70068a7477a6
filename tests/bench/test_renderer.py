"""Frames a second of the ray-cast renderer on one core, and against software OpenGL.

CPU seconds of the process, fastest of several rounds: others on the machine do not count, and of
OpenGL all threads do.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

import pytest
from timings import PIXEL_TASKS, calibration_cpu_seconds, raycast
from workers import ROOT

from suite.training.process import configure

pytestmark = pytest.mark.bench

SIZE = 84
FRAMES = 2  # few at a time: between two switches to other processes
ROUNDS = 300
ROUNDS_OF_BOTH = 40

# Prints CPU seconds of a frame, ray-cast, with OpenGL, and with OpenGL without shadow, reflection.
BOTH = """
import json, sys, time
from suite.envs.opengl import import_mujoco
name, size, frames, rounds = sys.argv[1], *map(int, sys.argv[2:])
try:
    import_mujoco()
    from suite.envs.dmc import DMC
    task = DMC(name, None, 1)
    task.reset(0)
    gl = task.draws("gl", size, size, 0)
except ValueError as error:
    print(json.dumps({"reason": str(error)}))
    sys.exit()
off = {"shadow": False, "reflection": False}
physics = task.environment.physics
draws = {
    "raycast": task.draws("raycast", size, size, 0),
    "gl": gl,
    "plain gl": lambda: physics.render(size, size, camera_id=0, render_flag_overrides=off),
}
best = dict.fromkeys(draws, float("inf"))
for _ in range(rounds):
    for name, draw in draws.items():
        started = time.process_time()
        for _ in range(frames):
            draw()
        best[name] = min(best[name], (time.process_time() - started) / frames)
print(json.dumps(best))
"""


@pytest.mark.benchmark(timer=time.process_time)
@pytest.mark.parametrize("task", PIXEL_TASKS)
def test_raycast_draws_400_shaded_frames_a_second_on_one_core(benchmark: Any, task: str) -> None:
    configure()
    draw = raycast(task)
    draw()
    benchmark.pedantic(lambda: [draw() for _ in range(FRAMES)], rounds=ROUNDS)
    rate = FRAMES / benchmark.stats.stats.min
    ratio = benchmark.stats.stats.min / FRAMES / calibration_cpu_seconds()
    benchmark.extra_info.update(frames_per_second=rate, calibration_ratio=ratio)
    assert rate >= 400


@pytest.mark.parametrize("task", PIXEL_TASKS)
def test_raycast_is_six_times_as_fast_as_software_opengl(
    benchmark: Any, task: str, tell: Any
) -> None:
    environment = {"MUJOCO_GL": "egl", **os.environ}
    command = [sys.executable, "-c", BOTH, task, str(SIZE), str(FRAMES), str(ROUNDS_OF_BOTH)]

    def both() -> dict[str, Any]:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout.splitlines()[-1])

    best = benchmark.pedantic(both, rounds=1)
    if "reason" in best:
        pytest.skip(best["reason"])
    ratios = {name: best[name] / best["raycast"] for name in ("gl", "plain gl")}
    calibration = best["raycast"] / calibration_cpu_seconds()
    benchmark.extra_info.update(seconds=best, ratios=ratios, calibration_ratio=calibration)
    tell(
        f"{task}: {1 / best['raycast']:.0f} frames/s ray-cast, {ratios['gl']:.1f} times OpenGL, "
        f"{ratios['plain gl']:.1f} times OpenGL without shadow and reflection"
    )
    assert ratios["gl"] >= 6
