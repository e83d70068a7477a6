"""What a machine without OpenGL is told."""

import os

GL_ADVICE = (
    "set MUJOCO_GL=egl (Debian packages libegl1 and libgl1-mesa-dri) or MUJOCO_GL=osmesa (package"
    " libosmesa6) before the process starts, or use renderer raycast"
)


def import_mujoco() -> None:
    """Import MuJoCo, which loads the library that the variable MUJOCO_GL names, if it is set.

    Raises ValueError when that library is absent: MuJoCo then fails with an AttributeError.
    """
    try:
        import mujoco  # noqa: F401
    except (ImportError, AttributeError) as error:
        chosen = os.environ.get("MUJOCO_GL")
        if chosen is None:  # another fault
            raise
        raise ValueError(f"MUJOCO_GL={chosen}: no OpenGL ({error}); {GL_ADVICE}") from error
