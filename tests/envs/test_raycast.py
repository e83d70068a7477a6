"""Ray-cast pictures: the same bytes for a state, close to OpenGL's, with what rays could miss."""

import os
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest

from suite.envs.dmc import DMC, DMCPixels
from suite.envs.raycast import RayCaster

ROOT = Path(__file__).parents[2]

CORRELATION = """
import os
os.environ.setdefault("MUJOCO_GL", "egl")
import sys
import numpy as np
from suite.envs.opengl import import_mujoco
try:
    import_mujoco()
    from suite.envs.dmc import DMC
    task = DMC(sys.argv[1], None, 1)
    task.draws("gl", 84, 84, 0)
except ValueError as error:
    print(f"no OpenGL: {error}")
    sys.exit()
task.reset(0)
task.model.light_castshadow[:] = 0
ours = task.draws("raycast", 84, 84, 0)()
flags = {"shadow": False, "reflection": False}
theirs = task.environment.physics.render(84, 84, camera_id=0, render_flag_overrides=flags)
print(np.corrcoef(ours.ravel(), theirs.ravel())[0, 1])
"""


@pytest.mark.parametrize("name", ["walker-walk", "cheetah-run", "cartpole-swingup", "reacher-easy"])
def test_picture_is_close_to_that_of_opengl(name):
    command = [sys.executable, "-c", CORRELATION, name]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    if done.stdout.startswith("no OpenGL"):
        pytest.skip(done.stdout)
    assert float(done.stdout) > 0.9


def test_a_missing_opengl_library_is_told_with_what_to_install(tmp_path):
    # What PyOpenGL does when the library is absent, here on every machine.
    absent = "raise AttributeError(\"'NoneType' object has no attribute 'eglQueryString'\")"
    (tmp_path / "OpenGL").mkdir()
    (tmp_path / "OpenGL" / "__init__.py").write_text(absent)
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    output = tmp_path / "picture.png"
    render = [sys.executable, "-m", "suite.cli", "render", "dmc_cartpole_swingup", str(output)]

    def run(*options):
        clean = {name: value for name, value in os.environ.items() if name != "MUJOCO_GL"}
        environment = clean | {"PYTHONPATH": path}
        command = [*render, "--steps", "0", *options]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)

    refused = run("--renderer", "gl")
    assert refused.returncode == 2 and not output.exists()
    assert "libegl1" in refused.stderr and "Traceback" not in refused.stderr
    assert run().returncode == 0 and output.exists()


def test_same_state_gives_the_same_bytes_and_drawing_changes_nothing():
    task = DMC("finger-spin", None, 1)
    task.reset(3)
    boxes = task.model.bvh_aabb.copy()
    first = task.draws("raycast", 30, 40, 0)()
    again = RayCaster(task.model, 30, 40).render(task.data)
    assert first.shape == (30, 40, 3) and np.array_equal(first, again)
    assert np.array_equal(task.model.bvh_aabb, boxes)


def test_geoms_that_collide_with_nothing_are_seen():
    # MuJoCo's box of the body holds its colliding geoms only.
    xml = """<mujoco><worldbody><camera pos="0 0 5"/><body>
    <geom size=".1"/><geom pos="1 0 0" size=".5" contype="0" conaffinity="0" rgba="1 0 0 1"/>
    </body></worldbody></mujoco>"""
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    red, green, _ = RayCaster(model, 50, 50).render(data)[25, 37]
    assert red > 100 and green < red / 2


def test_translucent_geom_shows_what_is_behind():
    xml = """<mujoco><worldbody><camera pos="0 0 5"/>
    <geom size=".5" pos="0 0 1" rgba="1 0 0 {}"/><geom type="box" size="2 2 .1" rgba="0 1 0 1"/>
    </worldbody></mujoco>"""

    def centre(alpha):
        model = mujoco.MjModel.from_xml_string(xml.format(alpha))
        data = mujoco.MjData(model)
        mujoco.mj_forward(model, data)
        return RayCaster(model, 20, 20).render(data)[10, 10].astype(int)

    assert centre(1.0)[1] < centre(0.5)[1] < centre(0.0)[1]


def test_pixels_need_no_opengl():
    code = (
        "import sys\nfrom suite.envs.dmc import DMC\nDMC('walker-walk', None, 1)"
        ".draws('raycast', 8, 8, 0)()\nassert not {'OpenGL', 'dm_control._render.glfw_renderer'}"
        " & set(sys.modules)\n"
    )
    clean = {name: value for name, value in os.environ.items() if name not in ("MUJOCO_GL",)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=clean
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_camera_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="camera 7 of a model with 2 cameras"):
        DMC("walker-walk", None, 1).draws("raycast", 8, 8, 7)


def test_supersampled_pictures_are_means_of_finer_ones():
    def first(height, width, supersampling):
        arguments = {"renderer": "raycast", "camera": 0, "frame_stack": 1}
        size = {"height": height, "width": width, "supersampling": supersampling}
        return DMCPixels("cartpole-swingup", arguments | size, None, 1).reset(3)

    fine = first(30, 60, 1).reshape(10, 3, 20, 3, 3)
    assert np.abs(first(10, 20, 3) - fine.mean(axis=(1, 3))).max() <= 0.5
