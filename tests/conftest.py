"""What all tests share."""

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest
import torch

Install = Callable[[str, str, Mapping[str, str]], str]
_NUMBERS = count()


@pytest.fixture(autouse=True)
def _denormals_are_kept_between_tests() -> Iterator[None]:
    """Training flushes denormals for its whole process; hypothesis refuses to draw floats then."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True, scope="session")
def _descriptions_are_kept_apart(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests learn of environments is not kept in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUITE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a package with one module and entry points of one group on the path."""

    def put(source: str, group: str, points: Mapping[str, str]) -> str:
        package = f"other{next(_NUMBERS)}"
        folder = tmp_path / package
        info = folder / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (folder / f"{package}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {package}:{value}" for name, value in points.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))
        monkeypatch.syspath_prepend(folder)
        return package

    return put
