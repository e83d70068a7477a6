"""Random streams, one per seed and purpose, and the form in which state is saved.

No number in the project comes from a global generator. A stream is a counter-based generator keyed
by its seed and purpose alone, so what a seed draws does not depend on the seeds it trains with.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

# Flat names with "/" between the parts; every value has a leading seed axis: a tensor or array
# [S, ...] or a list of S JSON-able values. Row i is all there is to know about seed i.
State = dict[str, Tensor | np.ndarray | list[Any]]


def add_prefix(prefix: str, state: Mapping[str, Any]) -> State:
    """The same state with every name put under `prefix/`."""
    return {f"{prefix}/{name}": value for name, value in state.items()}


def take_prefix(prefix: str, state: Mapping[str, Any]) -> State:
    """The part of `state` that was saved under `prefix/`, with the prefix removed."""
    start = f"{prefix}/"
    return {name[len(start) :]: value for name, value in state.items() if name.startswith(start)}


def stream(seed: int, purpose: str) -> np.random.Generator:
    """A generator that depends on `seed` and `purpose` only (Philox keyed by their SHA-256)."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


class SeedStreams:
    """One generator per seed for one purpose; every draw has a leading seed axis."""

    def __init__(self, seeds: Sequence[int], purpose: str) -> None:
        self.generators = [stream(seed, purpose) for seed in seeds]

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers, [S, *shape] float32."""
        out = np.empty((len(self.generators), *shape), np.float32)
        for row, generator in enumerate(self.generators):
            out[row] = generator.standard_normal(shape, np.float32)
        return out

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> np.ndarray:
        """Numbers uniform on [low, high), [S, *shape] float32."""
        out = np.empty((len(self.generators), *shape), np.float32)
        for row, generator in enumerate(self.generators):
            out[row] = generator.random(shape, np.float32)
        return out * np.float32(high - low) + np.float32(low)

    def integers(self, high: Sequence[int], *shape: int) -> np.ndarray:
        """Integers uniform on [0, high[s]) for seed s, [S, *shape] int64."""
        out = np.empty((len(self.generators), *shape), np.int64)
        for row, (generator, bound) in enumerate(zip(self.generators, high, strict=True)):
            out[row] = generator.integers(bound, size=shape)
        return out

    def permutation(self, size: int) -> np.ndarray:
        """The integers below `size` in random order, [S, size] int64."""
        return np.stack([generator.permutation(size) for generator in self.generators])

    def state(self) -> State:
        """Philox state, uint64 [S, 13]: counter, key, buffer, position, half-used word."""
        rows = []
        for generator in self.generators:
            saved: Any = generator.bit_generator.state
            tail = [saved["buffer_pos"], saved["has_uint32"], saved["uinteger"]]
            parts = [saved["state"]["counter"], saved["state"]["key"], saved["buffer"], tail]
            rows.append(np.concatenate([np.asarray(part, np.uint64) for part in parts]))
        return {"philox": np.stack(rows)}

    def load_state(self, state: State) -> None:
        """Continue from what `state` returned."""
        for generator, row in zip(self.generators, np.asarray(state["philox"]), strict=True):
            generator.bit_generator.state = {
                "bit_generator": "Philox",
                "state": {"counter": row[:4], "key": row[4:6]},
                "buffer": row[6:10],
                "buffer_pos": int(row[10]),
                "has_uint32": int(row[11]),
                "uinteger": int(row[12]),
            }
