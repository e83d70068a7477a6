"""The figures of the papers that the report redraws, each with its null beside it.

To redraw another one, add an entry: where it is in the paper, the cells (tasks x agents x
plug-ins), the series and what the lines are held against.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np

from suite.report.references import (
    References,
    bounds,
    chance,
    control,
    half,
    lost_energy,
    play,
    random_walk,
    selection,
    unchanged,
)


@dataclass(frozen=True)
class PaperFigure:
    """A figure of a paper: where it is, what it shows and what the null is, and how to redraw it.

    `series` ending in `*` is the mean over all series with that beginning. `change` is applied to
    values [S, E].
    """

    study: str
    source: str
    shows: str
    tasks: tuple[str, ...]
    agents: tuple[str, ...]
    plugins: tuple[str, ...]
    series: str
    quantity: str
    references: References
    arms: int = 2
    change: Callable[[np.ndarray], np.ndarray] | None = None
    logarithmic: bool = False

    def cells_of(self, task: str) -> list[str]:
        """Ids of the cells of one task, in the order of the arms."""
        arms = product(self.agents, self.plugins)
        return [f"{task}--{agent}--{plugins}" for agent, plugins in arms]

    def label(self, cell: str) -> str:
        """What tells the arms apart."""
        _, agent, plugins = cell.split("--")
        return agent if len(self.plugins) == 1 else plugins


MUJOCO = ("halfcheetah", "hopper", "walker2d", "ant")
PIXELS = (
    "dmc_cartpole_swingup_pixels",
    "dmc_finger_spin_pixels",
    "dmc_walker_walk_pixels",
    "dmc_cheetah_run_pixels",
    "dmc_cartpole_swingup_pixels_small",
)
GAMES = ("breakout", "space_invaders", "seaquest", "asterix", "freeway")
LABELS = ("none", "ln_plain", "rms_plain", "proj_only", "nap")
CONTROL = ("none", "ln", "proj_only", "nap_const", "nap_linear")

FIGURES = (
    PaperFigure(
        study="ladder",
        source="Fig. 10 and Table 1",
        shows="Return of TD3 with PPTB and without. Null: what the best of 12 settings without "
        "any effect would show over TD3.",
        tasks=MUJOCO,
        agents=("td3-official",),
        plugins=("none", "pptb", "pptb_trim", "pptb_boost", "snapshot_average"),
        series="return",
        quantity="mean evaluation return",
        references=selection,
    ),
    PaperFigure(
        study="ladder",
        source="Fig. 11 and Table 2",
        shows="Return of RAD with PPTB and without. Null: RAD itself (“none”), and random play.",
        tasks=PIXELS,
        agents=("rad-official", "rad-small"),
        plugins=("none", "pptb"),
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="ladder",
        source="Table 3",
        shows="Return of DoubleDQN with PPTB and without, on MinAtar. Null: DoubleDQN itself "
        "(“none”), and random play.",
        tasks=GAMES,
        agents=("chain-ddqn",),
        plugins=("none", "pptb"),
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="ladder",
        source="section 4.1, the energy in few directions",
        shows="Share of the policy's squared norm that trimming takes away. Null: the same for a "
        "random walk of as many snapshots. Trimming loses little of any path, and the less the "
        "farther from zero the path lies.",
        tasks=(*MUJOCO, *GAMES[:4], *PIXELS, "inverted_pendulum", "dmc_cartpole_swingup"),
        agents=("td3-official", "chain-ddqn", "rad-official", "rad-small", "sac-default"),
        plugins=("pptb", "pptb_stable"),
        series="plugin/pptb/kept_energy",
        quantity="energy outside the kept directions",
        references=random_walk,
        arms=1,
        change=lost_energy,
        logarithmic=True,
    ),
    PaperFigure(
        study="ladder",
        source="ours, to section 4.2",
        shows="Norm of the policy's weights over that at the start, for boost x window / interval "
        "of 0.4 (stable) and 10 (unstable). Dotted: the bound of the claim on the unstable one.",
        tasks=("inverted_pendulum",),
        agents=("td3-official",),
        plugins=("pptb_stable", "pptb_unstable"),
        series="weight_norms/ratio/actor/*",
        quantity="policy norm over its start",
        references=bounds("pptb-C18-diverges"),
    ),
    PaperFigure(
        study="nap",
        source="Figs. 2 and 5",
        shows="Online accuracy on ever new random labels. Null: guessing, and the plain network "
        "(“none”).",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=LABELS,
        series="online_accuracy",
        quantity="online accuracy per relabelling",
        references=chance,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 2, at a threefold learning rate",
        shows="The same. Null: guessing, and the plain network (“none”).",
        tasks=("random_labels",),
        agents=("mlp-lr1e-2",),
        plugins=("none", "ln_plain", "proj_only", "nap"),
        series="online_accuracy",
        quantity="online accuracy per relabelling",
        references=chance,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 2, weight norms",
        shows="Norm of the hidden weights over that at the start. Null: a norm that stays; "
        "projection keeps it there.",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=LABELS,
        series="weight_norms/ratio/classifier/hidden*",
        quantity="weight norm over its start",
        references=unchanged,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 1",
        shows="Share of hidden units that no input activates. Null: the plain network (“none”).",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=LABELS,
        series="dead_fraction/*",
        quantity="dead units",
        references=control,
    ),
    PaperFigure(
        study="nap",
        source="section 3.2, inflated weights",
        shows="Online accuracy of a network with norm layers whose hidden weights are inflated at "
        "the start, which changes no output. Null: guessing, and no inflation (factor 1).",
        tasks=("random_labels",),
        agents=("mlp-lr3e-3",),
        plugins=(
            "ln_plain+inflate_1",
            "ln_plain+inflate_10",
            "ln_plain+inflate_30",
            "ln_plain+inflate_100",
            "nap+inflate_30",
        ),
        series="online_accuracy",
        quantity="online accuracy per relabelling",
        references=chance,
    ),
    PaperFigure(
        study="nap",
        source="Figs. 11 and 12, gradient descent",
        shows="Dead units in the random-walk model under plain gradients. Null: the share at the "
        "start, and no norm (“walk-gradient-none”).",
        tasks=("dead_unit_walk",),
        agents=("walk-gradient-none", "walk-gradient-rms", "walk-gradient-layer"),
        plugins=("none",),
        series="dead_fraction",
        quantity="share of dead units",
        references=half,
    ),
    PaperFigure(
        study="nap",
        source="Figs. 11 and 12, adaptive updates",
        shows="Dead units in the random-walk model under signs of gradients, as with Adam. Null: "
        "the share at the start, and no norm (“walk-sign-none”).",
        tasks=("dead_unit_walk",),
        agents=("walk-sign-none", "walk-sign-rms", "walk-sign-layer"),
        plugins=("none",),
        series="dead_fraction",
        quantity="share of dead units",
        references=half,
    ),
    PaperFigure(
        study="nap",
        source="Figs. 4 and 6",
        shows="Return of DoubleDQN on MinAtar with norm layers and with NaP; the paper has Rainbow "
        "on Atari. Null: DoubleDQN itself (“none”), and random play.",
        tasks=GAMES,
        agents=("chain-ddqn",),
        plugins=("none", "ln", "nap_const", "nap_linear"),
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="nap",
        source="section 4, effective learning rate",
        shows="Effective learning rate of the hidden layer, learning rate over relative weight "
        "norm. Norm growth lowers it with norm layers (“ln”), the schedule with NaP.",
        tasks=GAMES,
        agents=("chain-ddqn",),
        plugins=("ln", "nap_const", "nap_linear"),
        series="weight_norms/effective_learning_rate/q/hidden1",
        quantity="effective learning rate",
        references=control,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 13",
        shows="Return of PPO with norm layers, projection and a falling learning rate. Null: PPO "
        "itself (“none”), and random play.",
        tasks=("halfcheetah", "ant"),
        agents=("ppo-sb3-default",),
        plugins=CONTROL,
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
    PaperFigure(
        study="nap",
        source="Fig. 14",
        shows="Return of SAC with norm layers, projection and a falling learning rate. Null: SAC "
        "itself (“none”), and random play.",
        tasks=("halfcheetah", "ant", "dmc_cartpole_swingup"),
        agents=("sac-mujoco", "sac-default"),
        plugins=CONTROL,
        series="return",
        quantity="mean evaluation return",
        references=play,
    ),
)


LEFT_OUT = {
    "ladder": "Figs. 1 to 9 and Tables 4 to 9 show decompositions of the policy's whole path. No "
    "cell of this study records one (the analysis policy_path would).",
    "nap": "Figs. 3 and 7 to 10 and Tables 1 to 3 compare runs that no cell of this study asks "
    "for: twin networks, other schedules, other remedies, images and text.",
}
"""Figures of a study's paper that are not redrawn, and why."""
