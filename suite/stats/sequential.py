"""Looking after every batch of seeds without raising the error rate: a group-sequential rule.

Alpha spending (Lan and DeMets, Biometrika 1983) with the power family of Kim and DeMets (Biometrika
1987): up to n of at most N seeds, a share (n/N)^3 of the whole error rate is spent, and a look's
interval has as its error rate what is spent since the look before. The cube is close to
O'Brien-Fleming's boundaries and leaves more to the first looks, where Student's t needs it.

The shares add up to the whole, so the error rate holds for any number of seeds and any dependence
between looks (Boole's inequality). Boundaries from a joint normal distribution spend a little more
at late looks, but hold for many seeds only.
"""

from dataclasses import dataclass

from suite.stats.intervals import CONFIDENCE

POWER = 3


@dataclass(frozen=True)
class Looks:
    """Seed counts per cell at which one looks; the last is the cap.

    Raises ValueError unless they are positive and strictly increasing.
    """

    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        steps = zip((0, *self.seeds), self.seeds, strict=False)
        if not self.seeds or any(after <= before for before, after in steps):
            raise ValueError(
                f"looks at {self.seeds} seeds; one or more positive, strictly increasing counts"
            )

    def confidence(self, look: int) -> float:
        """Two-sided confidence of the interval at a look, counted from 0.

        Raises IndexError for a look that is not there.
        """
        if not 0 <= look < len(self.seeds):
            raise IndexError(f"look {look} of {len(self.seeds)}, counted from 0")
        before = self.seeds[look - 1] if look else 0
        spent = self._share(self.seeds[look]) - self._share(before)
        return 1 - (1 - CONFIDENCE) * spent

    def _share(self, seeds: int) -> float:
        return (seeds / self.seeds[-1]) ** POWER
