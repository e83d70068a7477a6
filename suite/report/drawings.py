"""SVGs of panels, kept between reports: a panel that shows what it showed is not drawn again."""

import hashlib
import json
from dataclasses import asdict
from functools import cache
from importlib.metadata import version
from pathlib import Path

import numpy as np

from suite.report import panels
from suite.report.panels import Panel
from suite.stats.intervals import CONFIDENCE
from suite.store.atomic import replace_bytes, storing

LIBRARIES = ("matplotlib", "numpy", "scipy")
"""What draws, and what computes means and intervals."""


class Drawings:
    """The SVGs in one folder, each named by a digest of its panel and of the code that draws it.

    Raises StoreError where the folder cannot be read or written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._used: set[Path] = set()

    def svg(self, panel: Panel) -> str:
        """A panel as `suite.report.figures.draw` draws it, from the folder if it is there."""
        path = self.folder / f"{_digest(panel)}.svg"
        self._used.add(path)
        kept = _read(path)
        if kept is not None:
            return kept
        # matplotlib takes half a second to import.
        from suite.report.figures import draw

        svg = draw(panel)
        with storing("write", path):
            self.folder.mkdir(exist_ok=True)
        # One that is lost is drawn again.
        replace_bytes(path, _sealed(svg), durable=False)
        return svg

    def remove_unused(self) -> None:
        """Remove the SVGs that were not asked for since this object was made."""
        with storing("write", self.folder):
            for path in {*self.folder.glob("*.svg")} - self._used:
                path.unlink(missing_ok=True)


def _digest(panel: Panel) -> str:
    """SHA-256 of everything in a panel, and of what decides how it is drawn."""
    shown = json.dumps(asdict(panel), default=_array_digest)
    return hashlib.sha256(f"{_code()}\n{shown}".encode()).hexdigest()


def _array_digest(array: np.ndarray) -> str:
    return f"{array.dtype.str} {array.shape} {hashlib.sha256(array.tobytes()).hexdigest()}"


@cache
def _code() -> str:
    """What draws and computes: the modules as they are, their constant, versions of LIBRARIES."""
    folder = Path(__file__).parent
    sources = (folder / "figures.py", Path(panels.__file__))
    digests = [hashlib.sha256(source.read_bytes()).hexdigest() for source in sources]
    return " ".join([*digests, str(CONFIDENCE), *(f"{name} {version(name)}" for name in LIBRARIES)])


def _read(path: Path) -> str | None:
    """The SVG of a file; None where there is none, or not what was written."""
    with storing("read", path):
        try:
            seal, _, content = path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
    whole = seal == hashlib.sha256(content).hexdigest().encode()
    return content.decode() if whole else None


def _sealed(svg: str) -> bytes:
    content = svg.encode()
    return hashlib.sha256(content).hexdigest().encode() + b"\n" + content
