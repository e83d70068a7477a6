"""Each bad spec is refused with the file, the line, the value and what is allowed."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.specs.loading import load_project
from suite.specs.project import Project
from suite.specs.source import SpecError

PRESETS = """\
tasks:
  hopper:
    family: mujoco
    environment: Hopper-v5
    arguments: {ctrl_cost_weight: 0.001}
    episode_limit: 1000
  breakout:
    family: minatar
    environment: breakout
    arguments: {sticky_action_prob: 0.1}
  random_labels:
    family: synthetic
    environment: random_labels
    arguments: {inputs: 8, dimensions: 4, classes: 2, batch_size: 4, steps_per_task: 10}
  walk:
    family: synthetic
    environment: dead_unit_walk
agents:
  td3:
    kind: td3
    settings:
      warmup_steps: 1000
      batch_size: 256
      replay_capacity: 1000000
      update_every: 1
      hidden_layers: 2
      hidden_units: 256
      discount: 0.99
      actor_learning_rate: 0.0003
      critic_learning_rate: 0.0003
      adam_beta1: 0.9
      adam_beta2: 0.999
      adam_epsilon: 0.00000001
      tau: 0.005
      policy_delay: 2
      exploration_noise: 0.1
      target_noise: 0.2
      target_noise_clip: 0.5
  mlp:
    kind: classifier
    settings:
      batch_size: 4
      hidden_layers: 3
      hidden_units: 64
      learning_rate: 0.003
      adam_beta1: 0.9
      adam_beta2: 0.999
      adam_epsilon: 0.00000001
  walk-sign:
    kind: dead_unit_walk
    settings: {dimension: 5, update: sign, norm: none, step_size: 1.0}
plugins:
  pptb:
    kind: pptb
    settings:
      capacity: 40
      store_interval: 25
      interval: 250
      unit: policy_updates
      trim_rank: 16
      boost_rank: 2
      boost_coefficient: 0.1
      buffer_after: keep
      centre: none
      layerwise: false
      reset_optimiser: false
      sync_target: false
"""

SOFT = """\
  soft:
    kind: sac
    settings:
      warmup_steps: 1000
      batch_size: 256
      replay_capacity: 1000000
      update_every: 1
      gradient_steps: 1
      hidden_layers: 2
      hidden_units: 256
      discount: 0.99
      learning_rate: 0.0003
      adam_beta1: 0.9
      adam_beta2: 0.999
      adam_epsilon: 0.00000001
      tau: 0.005
      initial_temperature: 1.0
"""

STUDY = """\
study: ladder
paper: The Ladder in Chaos
cells:
  - tasks: [hopper]
    agents: [td3]
    plugins: [[], [pptb]]
    analyses: [policy_path]
    scales:
      smoke:
        seeds: 3
        budget: 5000
        evaluate_every: 1000
        evaluation_episodes: 3
        agent: {warmup_steps: 500}
        plugins: {pptb: {interval: 500}}
        analyses: {policy_path: {every: 50}}
      paper: {seeds: 6, budget: 1000000, evaluate_every: 5000, evaluation_episodes: 10}
  - tasks: [random_labels]
    agents: [mlp]
    plugins: [[]]
    scales:
      smoke: {seeds: 2, budget: 40, evaluate_every: 10, evaluation_episodes: 0}
  - tasks: [walk]
    agents: [walk-sign]
    plugins: [[]]
    scales:
      smoke: {seeds: 2, budget: 40, evaluate_every: 10, evaluation_episodes: 0}
claims:
  - kind: threshold
    id: pptb-C15
    source: section 5.2
    says: PPTB works
    reported: more than 1
    kind_of_claim: extension
    settled_because: it shows within minutes
    settled_at: smoke
    figure: score
    measured: [hopper--td3--pptb]
    direction: above
    bound: 1.0
"""
FIGURES = """\
  - kind: ratio
    id: pptb-C10
    source: section 5.1
    says: PPTB works
    reported: gains
    kind_of_claim: paper
    settled_because: it shows within minutes
    settled_at: smoke
    figure: auc
    baseline: random
    treatment: [hopper--td3--pptb]
    control: [hopper--td3--none]
    paired: true
    direction: greater
    null: {name: best_of_n, n: 12}
figures:
  - source: Fig. 10
    shows: returns
    cells:
      - tasks: [hopper]
        agents: [td3]
        plugins: [[], [pptb]]
    series: return
    quantity: mean return
    null: {kind: selection, claim: pptb-C10}
  - source: Fig. 11
    shows: accuracy
    cells: [{tasks: [random_labels], agents: [mlp], plugins: [[]]}]
    series: online_accuracy
    quantity: accuracy
    null: {kind: chance}
not_redrawn: the rest
"""
PLAYED = PRESETS.replace("    episode_limit", "    random_return: 16.7\n    episode_limit", 1)
FILES = {"tasks/presets.yaml": PRESETS, "tasks/studies/ladder.yaml": STUDY}


def load(folder: Path, files: dict[str, str]) -> Project:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return load_project(folder)


def test_the_specs_that_the_bad_ones_start_from_are_good(tmp_path: Path) -> None:
    project = load(tmp_path, FILES)
    assert [cell.id for cell in project.cells["smoke"]] == [
        "hopper--td3--none",
        "hopper--td3--pptb",
        "random_labels--mlp--none",
        "walk--walk-sign--none",
    ]


P, S = FILES
HOPPER = """\
    family: mujoco
    environment: Hopper-v5
    arguments: {ctrl_cost_weight: 0.001}
"""
# what to replace in which file, by what, and the whole error
BAD = [
    (
        P,
        HOPPER,
        "    family: dmc\n    environment: walker-wlak\n",
        (
            "{P}:4: unknown dmc environment 'walker-wlak'; known: walker-walk, walker-stand, "
            "walker-run, ... (50 in all); did you mean 'walker-walk'?"
        ),
    ),
    (
        P,
        HOPPER,
        "    family: dmc_pixels\n    environment: walker-walk\n    arguments: {renderer: opengl}\n",
        (
            "{P}:5: renderer of arguments of task 'hopper' is 'opengl'; should be 'raycast' or "
            "'gl'; correct it"
        ),
    ),
    (
        P,
        HOPPER,
        "    family: dmc_pixels\n    environment: walker-walk\n    arguments: {frame_stack: 0}\n",
        (
            "{P}:5: frame_stack of arguments of task 'hopper' is 0; should be greater than or "
            "equal to 1; correct it"
        ),
    ),
    (
        P,
        HOPPER,
        "    family: dmc_pixels\n    environment: walker-walk\n    arguments: {frame_stack: 65}\n",
        (
            "{P}:5: frame_stack of arguments of task 'hopper' is 65; should be less than or equal "
            "to 64; correct it"
        ),
    ),
    (
        P,
        "    family: mujoco\n",
        "    family: mojuco\n",
        (
            "{P}:3: unknown family 'mojuco'; known: classic, dmc, dmc_pixels, gymnasium, minatar, "
            "mujoco, synthetic; did you mean 'mujoco'?"
        ),
    ),
    (
        P,
        "Hopper-v5",
        "Hoper-v5",
        (
            "{P}:4: unknown mujoco environment 'Hoper-v5'; known: Ant-v5, HalfCheetah-v5, "
            "Hopper-v5, Humanoid-v5, HumanoidStandup-v5, InvertedDoublePendulum-v5, "
            "InvertedPendulum-v5, Pusher-v5, Reacher-v5, Swimmer-v5, Walker2d-v5; did you mean "
            "'Hopper-v5'?"
        ),
    ),
    (
        P,
        "ctrl_cost_weight: 0.001",
        "ctrl_cost: 0.001",
        (
            "{P}:5: unknown key 'ctrl_cost' in arguments of task 'hopper'; known: "
            "ctrl_cost_weight, default_camera_config, exclude_current_positions_from_observation, "
            "forward_reward_weight, frame_skip, healthy_angle_range, healthy_reward, "
            "healthy_state_range, healthy_z_range, reset_noise_scale, terminate_when_unhealthy, "
            "xml_file; did you mean 'ctrl_cost_weight'?"
        ),
    ),
    (
        P,
        "sticky_action_prob: 0.1",
        "sticky_action_prob: 1.5",
        (
            "{P}:10: sticky_action_prob of arguments of task 'breakout' is 1.5; should be less "
            "than or equal to 1; correct it"
        ),
    ),
    (
        P,
        "episode_limit: 1000",
        "episode_limit: -5",
        (
            "{P}:6: episode_limit of task 'hopper' is -5; should be greater than or equal to "
            "1; correct it"
        ),
    ),
    (
        P,
        "    episode_limit: 1000\n",
        "    episode_limit: 1000\n    action_repeat: 2\n",
        ("{P}:7: action_repeat 2 in task 'hopper'; 1 is the only one that mujoco has; remove it"),
    ),
    (
        P,
        "    environment: Hopper-v5\n",
        "",
        (
            "{P}:2: missing key 'environment' in task 'hopper'; keys: family, environment, "
            "arguments, action_repeat, episode_limit, note, random_return; "
            "add it"
        ),
    ),
    (
        P,
        "  breakout:\n    family",
        "  hopper:\n    family",
        (
            "{P}:7: duplicate key: 'hopper', first on line 2; each key once; remove or rename "
            "one of them"
        ),
    ),
    (
        P,
        "  breakout:\n    family",
        "  Break out:\n    family",
        (
            "{P}:7: name of task 'Break out' is 'Break out'; String should match pattern "
            "'^[a-z0-9][a-z0-9_.]*(-[a-z0-9_.]+)*$'; correct it"
        ),
    ),
    (
        P,
        "agents:\n  td3",
        "agent:\n  td3",
        (
            "{P}:18: unknown section 'agent'; known: agents, plugins, tasks, use; did you mean "
            "'agents'?\n{S}:5: unknown agent 'td3'; known: none; correct the name\n{S}:19: "
            "unknown agent 'mlp'; known: none; correct the name\n{S}:24: unknown agent "
            "'walk-sign'; known: none; correct the name"
        ),
    ),
    (
        P,
        "kind: td3",
        "kind: tdd3",
        (
            "{P}:20: unknown agent kind 'tdd3'; known: classifier, cloning, dead_unit_walk, dqn, "
            "image_classifier, ppo, rad, sac, td3, twins; did you mean 'td3'?"
        ),
    ),
    (
        P,
        "discount: 0.99",
        "discount: 1.5",
        (
            "{P}:28: discount of settings of agent 'td3' is 1.5; should be less than or equal "
            "to 1; correct it"
        ),
    ),
    (
        P,
        "tau: 0.005",
        "tua: 0.005",
        (
            "{P}:21: missing key 'tau' in settings of agent 'td3'; keys: warmup_steps, "
            "batch_size, replay_capacity, update_every, hidden_layers, hidden_units, discount, "
            "actor_learning_rate, critic_learning_rate, adam_beta1, adam_beta2, adam_epsilon, "
            "tau, policy_delay, exploration_noise, target_noise, target_noise_clip; add "
            "it\n{P}:34: unknown key 'tua' in settings of agent 'td3'; known: "
            "actor_learning_rate, adam_beta1, adam_beta2, adam_epsilon, batch_size, "
            "critic_learning_rate, discount, exploration_noise, hidden_layers, hidden_units, "
            "policy_delay, replay_capacity, target_noise, target_noise_clip, tau, "
            "update_every, warmup_steps; did you mean 'tau'?"
        ),
    ),
    (
        P,
        "batch_size: 256",
        "batch_size: '256'",
        (
            "{P}:23: batch_size of settings of agent 'td3' is '256'; should be a valid "
            "integer; correct it"
        ),
    ),
    (
        P,
        "replay_capacity: 1000000",
        "replay_capacity: 1e6",
        (
            "{P}:24: a number that YAML readers disagree about: 1e6; plain numbers such as "
            "1000000, 0.5 or 1.0e+6; write it so, or quote it if it is text"
        ),
    ),
    (
        P,
        "replay_capacity: 1000000",
        "replay_capacity: 1_000_000",
        (
            "{P}:24: a number that YAML readers disagree about: 1_000_000; plain numbers such "
            "as 1000000, 0.5 or 1.0e+6; write it so, or quote it if it is text"
        ),
    ),
    (
        P,
        "kind: pptb",
        "kind: pttb",
        ("{P}:54: unknown plug-in kind 'pttb'; known: pptb, ... (21 in all); did you mean 'pptb'?"),
    ),
    (
        P,
        "interval: 250\n",
        "interval: 240\n",
        (
            "{P}:58: settings of plug-in 'pptb': interval 240 is not a multiple of "
            "store_interval 25: the policy that is changed must be the newest snapshot; values "
            "that agree; change one of them"
        ),
    ),
    (
        P,
        "boost_rank: 2",
        "boost_rank: 20",
        (
            "{P}:61: settings of plug-in 'pptb': boost_rank 20 is larger than trim_rank 16: "
            "only directions that are kept can be boosted; values that agree; change one of "
            "them"
        ),
    ),
    (
        P,
        "layerwise: false",
        "layerwise: no",
        (
            "{P}:65: layerwise of settings of plug-in 'pptb' is 'no'; should be a valid "
            "boolean; correct it"
        ),
    ),
    (
        P,
        "discount: 0.99",
        "discount: .nan",
        (
            "{P}:28: a number that YAML readers disagree about: .nan; plain numbers such as "
            "1000000, 0.5 or 1.0e+6; write it so, or quote it if it is text"
        ),
    ),
    (
        P,
        "discount: 0.99",
        "discount: !!float 0.99",
        (
            "{P}:28: not plain YAML: tag:yaml.org,2002:float; no anchors, aliases, tags; write "
            "it out"
        ),
    ),
    (
        P,
        "discount: 0.99",
        "discount: &d 0.99",
        "{P}:28: not plain YAML: &d; no anchors, aliases, tags; write it out",
    ),
    (
        P,
        "  walk:\n    family: synthetic",
        "  walk:\n   family: synthetic",
        ("{P}:17: not YAML: mapping values are not allowed here; plain YAML; correct the syntax"),
    ),
    (
        S,
        "[hopper]",
        "[hoper]",
        (
            "{S}:4: unknown task 'hoper'; known: breakout, hopper, random_labels, walk; did "
            "you mean 'hopper'?"
        ),
    ),
    (
        S,
        "agents: [td3]",
        "agents: [sac]",
        "{S}:5: unknown agent 'sac'; known: mlp, td3, walk-sign; correct the name",
    ),
    (
        S,
        "[[], [pptb]]",
        "[[], [ppbt]]",
        "{S}:6: unknown plug-in 'ppbt'; known: pptb; did you mean 'pptb'?",
    ),
    (
        S,
        "[[], [pptb]]",
        "[[], [pptb, pptb]]",
        "{S}:6: plug-in twice: 'pptb'; each once; remove one",
    ),
    (
        S,
        "[[], [pptb]]",
        "[[pptb], [pptb]]",
        "{S}:6: list of plug-ins twice: pptb; each once; remove one",
    ),
    (
        S,
        "[[], [pptb]]",
        "[pptb]",
        "{S}:6: plugins.0 of a group of cells is 'pptb'; should be a list; correct it",
    ),
    (
        S,
        "analyses: [policy_path]",
        "analyses: [path]",
        (
            "{S}:7: unknown analysis 'path'; known: gradient_subspaces, path_curvature, "
            "plasticity, policy_path, propagation, reconstruction, "
            "twin_gap, updates, visits, weight_norms; correct the name"
        ),
    ),
    (
        S,
        "analyses: [policy_path]",
        "recordings: [pathh]",
        (
            "{S}:7: unknown recording 'pathh'; known: batch, checkpoints, losses, norms, path, "
            "sums, updates; did you mean 'path'?"
        ),
    ),
    (
        S,
        "      paper: {seeds",
        "      papre: {seeds",
        (
            "{S}:17: scales.papre.[key] of a group of cells is 'papre'; should be 'smoke', "
            "'short' or 'paper'; correct it"
        ),
    ),
    (
        S,
        "seeds: 3",
        "seeds: 0",
        ("{S}:10: seeds of scale 'smoke' is 0; should be greater than or equal to 1; correct it"),
    ),
    (
        S,
        "seeds: 3",
        "seeds: three",
        "{S}:10: seeds of scale 'smoke' is 'three'; should be a valid integer; correct it",
    ),
    (
        S,
        "budget: 5000",
        "budget: -5000",
        (
            "{S}:11: budget of scale 'smoke' is -5000; should be greater than or equal to 1; "
            "correct it"
        ),
    ),
    (
        S,
        "budget: 5000",
        "budget: 1e6",
        (
            "{S}:11: a number that YAML readers disagree about: 1e6; plain numbers such as "
            "1000000, 0.5 or 1.0e+6; write it so, or quote it if it is text"
        ),
    ),
    (
        S,
        "budget: 5000",
        "budget: 5000.5",
        "{S}:11: budget of scale 'smoke' is 5000.5; should be a valid integer; correct it",
    ),
    (
        S,
        "        budget: 5000\n",
        "        budget: 5000\n        budget: 6000\n",
        (
            "{S}:12: duplicate key: 'budget', first on line 11; each key once; remove or "
            "rename one of them"
        ),
    ),
    (
        S,
        "evaluate_every: 1000",
        "evaluate_every: 0",
        (
            "{S}:12: evaluate_every of scale 'smoke' is 0; should be greater than or equal to "
            "1; correct it"
        ),
    ),
    (
        S,
        "evaluate_every: 1000",
        "evaluate_every: 6000",
        (
            "{S}:12: evaluate_every 6000 is beyond the budget; at most the budget, 5000; "
            "evaluate more often"
        ),
    ),
    (
        S,
        "evaluation_episodes: 3",
        "evaluation_episodes: 0",
        "{S}:13: evaluation_episodes 0 for task 'hopper'; at least 1; raise it",
    ),
    (
        S,
        "agent: {warmup_steps: 500}",
        "agent: {warmup_steps: 5000}",
        (
            "{S}:11: budget 5000 with a warm-up of 5000 steps trains nothing (agent 'td3'); a "
            "budget beyond the warm-up; raise the budget, or set warmup_steps under `agent:` "
            "of this scale"
        ),
    ),
    (
        S,
        "agent: {warmup_steps: 500}",
        "agent: {warm_up: 500}",
        (
            "{S}:14: unknown key 'warm_up' in settings of agent 'td3'; known: "
            "actor_learning_rate, adam_beta1, adam_beta2, adam_epsilon, batch_size, "
            "critic_learning_rate, discount, exploration_noise, hidden_layers, hidden_units, "
            "policy_delay, replay_capacity, target_noise, target_noise_clip, tau, "
            "update_every, warmup_steps; did you mean 'warmup_steps'?"
        ),
    ),
    (
        S,
        "pptb: {interval: 500}",
        "pptb: {interval: 510}",
        (
            "{S}:15: settings of plug-in 'pptb': interval 510 is not a multiple of "
            "store_interval 25: the policy that is changed must be the newest snapshot; values "
            "that agree; change one of them"
        ),
    ),
    (
        S,
        "pptb: {interval: 500}",
        "nap: {interval: 500}",
        (
            "{S}:15: settings for plug-in 'nap', which no cell of the group uses; used: pptb; "
            "remove them or correct the name"
        ),
    ),
    (
        S,
        "policy_path: {every: 50}",
        "policy_path: {every: 0}",
        (
            "{S}:16: every of settings of 'policy_path' is 0; should be greater than or "
            "equal to 1; correct it"
        ),
    ),
    (
        S,
        "policy_path: {every: 50}",
        "weight_norms: {}",
        (
            "{S}:16: settings for analysis 'weight_norms', which the group does not use; used: "
            "policy_path; remove them or correct the name"
        ),
    ),
    (
        S,
        "tasks: [hopper]",
        "tasks: [breakout]",
        (
            "{S}:5: agent 'td3' (off_policy; continuous actions; vector observations) can't act "
            "in task 'breakout' (off_policy or on_policy; discrete actions; grid observations); "
            "agents for it: none; use one of them, or move the task to another group"
        ),
    ),
    (
        S,
        "tasks: [hopper]",
        "tasks: [hopper, hopper]",
        "{S}:4: task twice: 'hopper'; each once; remove one",
    ),
    (
        S,
        "agents: [walk-sign]\n    plugins: [[]]",
        "agents: [walk-sign]\n    plugins: [[pptb]]",
        (
            "{S}:25: plug-in 'pptb' can't go with agent 'walk-sign': a simulation has no "
            "network; plug-ins that fit the agent; remove it from this group"
        ),
    ),
    (
        S,
        "tasks: [walk]",
        "tasks: [hopper]",
        (
            "{S}:24: agent 'walk-sign' (simulation; none actions; none observations) can't act "
            "in task 'hopper' (off_policy or on_policy; continuous actions; vector "
            "observations); agents for it: td3; use one of them, or move the task to another group"
        ),
    ),
    (
        S,
        "budget: 40, evaluate_every: 10, evaluation_episodes: 0}\n  - tasks: [walk]",
        "budget: 45, evaluate_every: 10, evaluation_episodes: 0}\n  - tasks: [walk]",
        (
            "{S}:22: budget 45 ends within a relabeling of 'random_labels'; a multiple of "
            "steps_per_task, 10; round it"
        ),
    ),
    (
        S,
        "study: ladder\n",
        "",
        "{S}:1: missing key 'study' in the study; keys: study, paper, use, environments, "
        "cells, claims, findings, figures, not_redrawn; add it",
    ),
    (
        S,
        "cells:\n",
        "environments: {hopper: Hopper-v4, hoper: Hopper-v4}\ncells:\n",
        "{S}:3: environments names a task that no cell of study 'ladder' has: 'hoper'; known: "
        "hopper, random_labels, walk; did you mean 'hopper'?",
    ),
    (
        S,
        "cells:\n",
        "environments: {hopper: ''}\ncells:\n",
        "{S}:3: environments.hopper of the study is ''; String should have at least 1 character; "
        "correct it",
    ),
    (
        S,
        "hopper--td3--pptb",
        "hopper--td3--ppbt",
        (
            "{S}:38: claim 'pptb-C15' names a cell that does not exist: 'hopper--td3--ppbt'; "
            "known: hopper--td3--none, hopper--td3--pptb, random_labels--mlp--none, "
            "walk--walk-sign--none; did you mean 'hopper--td3--pptb'?"
        ),
    ),
    (
        S,
        "kind: threshold",
        "kind: treshold",
        (
            "{S}:29: unknown claim kind 'treshold'; known: across, correlation, cost, difference, "
            "equivalence, gains, ordering, ratio, threshold; did you mean 'threshold'?"
        ),
    ),
    (
        S,
        "bound: 1.0",
        "bound: high",
        "{S}:40: bound of the claim is 'high'; should be a valid number; correct it",
    ),
    (
        S,
        "settled_at: smoke",
        "setled_at: smoke",
        (
            "{S}:29: missing key 'settled_at' in the claim; keys: id, source, says, reported, "
            "kind_of_claim, settled_at, settled_because, checked, minimum_seeds, preconditions, "
            "null, kind, figure, measured, direction, bound, typical, diverged; add it\n{S}:36: "
            "unknown key 'setled_at' in the claim; known: bound, checked, direction, diverged, "
            "figure, id, kind, kind_of_claim, measured, minimum_seeds, null, preconditions, "
            "reported, says, settled_at, settled_because, source, typical; did you mean "
            "'settled_at'?"
        ),
    ),
    (
        S,
        "kind_of_claim: extension",
        "kind_of_claim: theirs",
        "{S}:34: kind_of_claim of the claim is 'theirs'; should be 'paper', 'extension' or 'ours'; "
        "correct it",
    ),
    (
        S,
        "settled_because: it shows within minutes",
        "settled_because: ''",
        "{S}:35: settled_because of the claim is ''; String should have "
        "at least 1 character; correct it",
    ),
    (
        S,
        "claims:\n",
        "claims:\n  - 5\n",
        "{S}:29: claims.0 of the study is 5; should be a mapping; correct it",
    ),
]


@pytest.mark.parametrize(("file", "text", "replacement", "error"), BAD)
def test_a_bad_spec_is_refused(
    tmp_path: Path, file: str, text: str, replacement: str, error: str
) -> None:
    assert text in FILES[file]
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, file: FILES[file].replace(text, replacement, 1)})
    # Replaced one by one: errors show braces of YAML too.
    assert str(refused.value) == error.replace("{P}", P).replace("{S}", S)


NULLS = [
    (
        "name: best_of_m, n: 12",
        (
            "null of the claim is {'name': 'best_of_m', 'n': 12}; should have a name with a "
            "value and its source, or one of the names best_of_n, equivalence_margin, "
            "plain_time, random_subspace, random_walk, snapshot_average, time_shuffled; "
            "correct it"
        ),
    ),
    (
        "name: best_of_n, n: 1",
        ("null.best_of_n.n of the claim is 1; should be greater than or equal to 2; correct it"),
    ),
    (
        "name: best_of_n, n: 12",
        (
            "the claim: null 'best_of_n' does not fit; random_walk, random_subspace, one with"
            " a value and its source would; values that agree; change one of them"
        ),
    ),
    (
        "name: random_walk, quantity: detour, snapshots: 50",
        (
            "null.random_walk.quantity of the claim is 'detour'; should be "
            "'singular_value_ratio', 'information', 'dimensionality', 'sign_changes', "
            "'coordinate_detour', 'coordinate_monotonicity' or 'parameter_detour'; correct it"
        ),
    ),
    (
        "name: random_walk, quantity: sign_changes, snapshots: 50, component: 51",
        ("the claim: component 51 of 50 snapshots; values that agree; change one of them"),
    ),
    (
        "name: random_subspace, subspace: 50, dimensions: 50",
        (
            "the claim: subspace 50 of 50 dimensions: too large; values that agree; change "
            "one of them"
        ),
    ),
    (
        "name: random_subspace, subspace: 5, dimensions: 50, of: 3",
        ("unknown key 'of' in the claim; the keys of its kind; correct or remove it"),
    ),
    (
        "name: walk, value: 1.0",
        ("missing key 'source' in the claim; all keys without default; add it"),
    ),
    (
        "name: walk, value: high, source: measured",
        ("null.literal.value of the claim is 'high'; should be a valid number; correct it"),
    ),
    (
        "name: walk, value: 1.0, low: 2.0, source: measured",
        (
            "the claim: low, value and high are [2.0, 1.0], not in this order; values that "
            "agree; change one of them"
        ),
    ),
]


@pytest.mark.parametrize(("null", "error"), NULLS)
def test_a_bad_null_is_refused(tmp_path: Path, null: str, error: str) -> None:
    study = STUDY.replace("bound: 1.0\n", f"bound: 1.0\n    null: {{{null}}}\n")
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, S: study})
    assert str(refused.value) == f"{S}:41: {error}"


CLAIM = STUDY[STUDY.index("  - kind: threshold") :]
HEAD = """\
  - id: pptb-C15
    source: section 5.2
    says: PPTB works
    reported: more than 1
    kind_of_claim: extension
    settled_because: it shows within minutes
    settled_at: smoke
"""
DIFFERENCE = """\
    kind: difference
    figure: auc
    treatment: [hopper--td3--pptb]
    control: [hopper--td3--none]
    paired: true
    direction: greater
"""
CORRELATION = """\
    kind: correlation
    pair: {figures: [auc, final_return]}
    method: spearman
    measured: [hopper--td3--pptb]
    direction: above
"""


@pytest.mark.parametrize(
    ("claim", "error"),
    [
        (
            DIFFERENCE + "    null: {name: time_shuffled}\n",
            "{S}:42: the claim: null 'time_shuffled' does not fit; best_of_n, snapshot_average, "
            "random_walk, random_subspace, one with a value and its source would; values that "
            "agree; change one of them",
        ),
        (
            DIFFERENCE + "    aggregate: iqm\n    null: {name: best_of_n, n: 12}\n",
            "{S}:43: the claim: null 'best_of_n' is computed for aggregate mean only; values that "
            "agree; change one of them",
        ),
        (
            DIFFERENCE + "    null: {name: snapshot_average, cells: [walk--walk-sign--none]}\n",
            "{S}:42: the claim: null: one cell for each treatment, in the same order of tasks; "
            "values that agree; change one of them",
        ),
        (
            DIFFERENCE + "    null: {name: snapshot_average, cells: [hopper--td3--mean]}\n",
            "{S}:42: claim 'pptb-C15' names a cell that does not exist: 'hopper--td3--mean'; "
            "known: hopper--td3--none, hopper--td3--pptb, random_labels--mlp--none, "
            "walk--walk-sign--none; did you mean 'hopper--td3--none'?",
        ),
        (
            CORRELATION + "    null: {name: plain_time}\n",
            "{S}:41: the claim: null 'plain_time' needs a pair of series; values that agree; "
            "change one of them",
        ),
        (
            DIFFERENCE.replace("kind: difference", "kind: equivalence").replace(
                "    direction: greater\n", "    margin: 0.1\n"
            ),
            "{S}:40: unknown key 'paired' in the claim; known: checked, control, figure, id, kind, "
            "kind_of_claim, margin, minimum_seeds, null, preconditions, reported, says, "
            "settled_at, settled_because, source, treatment; correct the name",
        ),
        (
            CORRELATION + "    bound: 1.0\n",
            "{S}:41: bound of the claim is 1.0; should be less than 1; correct it",
        ),
        (
            CORRELATION.replace("spearman", "kendall"),
            "{S}:38: method of the claim is 'kendall'; should be 'pearson' or 'spearman'; "
            "correct it",
        ),
        (
            DIFFERENCE.replace("kind: difference", "kind: equivalence").replace(
                "    paired: true\n    direction: greater\n",
                "    margin: 0.1\n    null: "
                "{name: zero, value: 0.0, source: none, must_be_beaten: true}\n",
            ),
            "{S}:41: the claim: null: must_be_beaten has no meaning for an equivalence; values "
            "that agree; change one of them",
        ),
    ],
)
def test_a_bad_claim_is_refused(tmp_path: Path, claim: str, error: str) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, S: STUDY.replace(CLAIM, HEAD + claim)})
    assert str(refused.value) == error.replace("{S}", S)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", "{P}:1: 0 YAML documents in the file; exactly one; put all in one"),
        (b"\xff\xfe", "{P}:1: not UTF-8: byte 0; UTF-8 text; convert the file"),
        (b"a: 1\n---\nb: 2\n", "{P}:2: 2 YAML documents in the file; exactly one; put all in one"),
        (
            b"[" * 50 + b"]" * 50,
            "{P}:1: nested deeper than 20 levels; flat specs; simplify the file",
        ),
        (b'a: "\\UFFFFFFFF"', "{P}:1: not YAML: Python int too large to convert to C int"),
        (b'a: "\\uD800"', "{P}:1: not a Unicode character in "),
        (b"? [a]\n: b", "{P}:1: not a plain key: 'SequenceStartEvent'; a name; write a name"),
        (b"<<: {a: 1}", "{P}:1: not a plain key: '<<'; a name; write a name"),
        (b"a: *b", "{P}:1: not plain YAML: *b; no anchors, aliases, tags; write it out"),
    ],
)
def test_a_file_that_is_not_plain_yaml_is_refused(
    tmp_path: Path, content: bytes, error: str
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / P).write_bytes(content)
    with pytest.raises(SpecError) as refused:
        load_project(tmp_path)
    assert str(refused.value).startswith(error.replace("{P}", P))


def test_a_folder_without_specs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"no spec files: .*run this in the project's folder"):
        load_project(tmp_path)


def test_a_name_defined_in_two_files_is_refused(tmp_path: Path) -> None:
    more = "tasks:\n  hopper: {family: mujoco, environment: Hopper-v5}\n"
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, "tasks/zoo.yaml": more})
    assert str(refused.value) == (
        f"tasks/zoo.yaml:2: duplicate name 'hopper' in tasks, first at {P}:2; each name once; "
        "rename this one"
    )


def test_a_study_defined_twice_and_its_claims_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, "tasks/studies/other.yaml": STUDY})
    assert str(refused.value) == (
        f"tasks/studies/other.yaml:1: duplicate study 'ladder', first in {S}; each name once; "
        "rename one of them"
    )


def test_a_claim_defined_twice_is_refused(tmp_path: Path) -> None:
    claim = STUDY[STUDY.index("  - kind") :]
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, S: STUDY + claim})
    assert str(refused.value) == (
        f"{S}:42: duplicate claim 'pptb-C15', first at {S}:29; each id once; rename one of them"
    )


def test_a_cell_described_differently_by_two_studies_is_refused(tmp_path: Path) -> None:
    other = STUDY.replace("study: ladder", "study: other").split("claims:")[0]
    files = {**FILES, "tasks/studies/other.yaml": other.replace("budget: 5000", "budget: 6000")}
    with pytest.raises(SpecError) as refused:
        load(tmp_path, files)
    assert str(refused.value).splitlines()[0] == (
        f"tasks/studies/other.yaml:9: cell 'hopper--td3--none' differs at scale 'smoke' from "
        f"{S}:9 in budget; one description of a cell; make both the same, or name a preset of "
        "its own"
    )


SEARCHED = STUDY.replace("paper: {seeds: 6,", "paper: {seeds: 6, first_seed: 100,")


def test_settings_can_be_chosen_on_seeds_of_their_own_which_no_claim_reads(tmp_path: Path) -> None:
    project = load(tmp_path, {**FILES, S: SEARCHED.split("claims:")[0]})
    cell = next(c for c in project.cells["paper"] if c.id == "hopper--td3--pptb")
    assert [run.seed for run in cell.runs] == [100, 101, 102, 103, 104, 105]
    assert [run.seed for run in cell.with_seeds(2).runs] == [100, 101]
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, S: SEARCHED})
    assert str(refused.value) == (
        f"{S}:38: claim 'pptb-C15' names a cell whose seeds start at 100: 'hopper--td3--pptb'; "
        "cells with seeds from 0 on; seeds on which settings were chosen say too much for them; "
        "give the cell that is reported a preset of its own"
    )


def test_a_cell_with_other_first_seeds_in_two_studies_is_refused(tmp_path: Path) -> None:
    other = SEARCHED.replace("study: ladder", "study: other").split("claims:")[0]
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, "tasks/studies/other.yaml": other})
    assert "in first_seed: 0 and 100; one description" in str(refused.value)


def test_a_preset_that_is_like_another_has_its_settings_but_for_its_own(tmp_path: Path) -> None:
    trim = "  trim:\n    like: pptb\n    settings: {boost_rank: 0}\n"
    narrow = "  narrow: {like: trim, settings: {trim_rank: 4}}\n"
    project = load(tmp_path, {**FILES, P: PRESETS + narrow + trim + "  same: {like: narrow}\n"})
    pptb, found = project.plugins["pptb"], project.plugins["narrow"]
    assert (found.name, found.kind) == ("narrow", "pptb")
    assert found.settings == pptb.settings | {"boost_rank": 0, "trim_rank": 4}
    assert project.plugins["same"].settings == found.settings


@pytest.mark.parametrize(
    ("presets", "error"),
    [
        (
            "  trim: {like: ptb}\n",
            "{P}:68: 'trim' is like an unknown preset of plugins: 'ptb'; known: pptb, trim; did "
            "you mean 'pptb'?",
        ),
        (
            "  trim: {like: pptb, kind: pptb}\n",
            "{P}:68: 'trim' has a kind of its own; that of the other preset; drop it",
        ),
        (
            "  trim: {like: [pptb]}\n",
            "{P}:68: 'trim' is like ['pptb']; the name of a preset; name one",
        ),
        (
            "  trim: {like: pptb, settings: {boost_rnk: 1}}\n",
            "{P}:68: unknown key 'boost_rnk' in settings of plug-in 'trim'; known: "
            "boost_coefficient, boost_rank, buffer_after, capacity, centre, interval, layerwise, "
            "reset_optimiser, store_interval, sync_target, trim_rank, unit; did you mean "
            "'boost_rank'?",
        ),
        (
            "  trim: {like: boost}\n  boost: {like: trim}\n",
            "{P}:68: 'trim' is like 'boost', which is like 'trim'; one with settings of its own; "
            "write them out",
        ),
    ],
)
def test_a_preset_that_can_be_like_no_other_is_refused(
    tmp_path: Path, presets: str, error: str
) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {**FILES, P: PRESETS + presets})
    assert str(refused.value).splitlines()[0] == error.replace("{P}", P)


def test_a_clone_that_nothing_is_left_for_is_refused(tmp_path: Path) -> None:
    settings = "      optimiser: sgd\n      learning_rate: 0.1\n      collect_steps: "
    clone = PRESETS.replace("kind: td3", "kind: cloning", 1)

    def budget_of(collect_steps: int) -> None:
        text = f"{settings}{collect_steps}\n      target_noise_clip"
        load(tmp_path, {P: clone.replace("      target_noise_clip", text, 1), S: STUDY})

    budget_of(4999)
    with pytest.raises(SpecError) as refused:
        budget_of(5000)
    assert str(refused.value) == (
        f"{S}:11: budget 5000 with 5000 collect_steps trains no clone (agent 'td3'); a budget "
        "beyond collect_steps; raise the budget, or set collect_steps under `agent:` of this scale"
    )


def test_sac_is_refused_where_actions_are_discrete(tmp_path: Path) -> None:
    files = {
        P: PRESETS.replace("  walk-sign:\n", SOFT + "  walk-sign:\n", 1),
        S: STUDY.replace("[hopper]", "[breakout]", 1).replace("[td3]", "[soft]", 1),
    }
    with pytest.raises(SpecError) as refused:
        load(tmp_path, files)
    assert str(refused.value).startswith(
        f"{S}:5: agent 'soft' (off_policy; continuous actions; vector observations) can't act in "
        "task 'breakout' (off_policy or on_policy; discrete actions; grid observations)"
    )


def test_all_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    files = {
        P: PRESETS.replace("Hopper-v5", "Hoper-v5").replace("tau: 0.005", "tau: 5"),
        S: STUDY.replace("seeds: 3", "seeds: 0").replace("[walk-sign]", "[walk]"),
    }
    with pytest.raises(SpecError) as refused:
        load(tmp_path, files)
    assert [(problem.path, problem.line) for problem in refused.value.problems] == [
        (P, 4),
        (P, 34),
        (S, 24),
    ]


# what to replace in FIGURES, by what, and the whole error
BAD_FIGURES = [
    (
        "series: return",
        "series: ''",
        "{S}:63: series of the figure is ''; String should have at least 1 character; correct it",
    ),
    (
        "source: Fig. 10",
        "place: Fig. 10",
        "{S}:57: missing key 'source' in the figure; keys: source, shows, cells, series, quantity, "
        "axis, over, change, null; add it\n{S}:57: unknown key 'place' in the figure; known: axis, "
        "cells, change, null, over, quantity, series, shows, source; correct the name",
    ),
    (
        "tasks: [hopper]",
        "tasks: [hoper]",
        "{S}:60: figure 'Fig. 10' names 'hoper' of which no scale has a cell; known: hopper, "
        "random_labels, walk; did you mean 'hopper'?",
    ),
    (
        "[[], [pptb]]",
        "[[], [pptb, pptb]]",
        "{S}:62: figure 'Fig. 10' names 'pptb+pptb' of which no scale has a cell; known: none, "
        "pptb; did you mean 'pptb'?",
    ),
    (
        "agents: [mlp]",
        "agents: [td3]",
        "{S}:68: figure 'Fig. 11' names a cell that no scale has: 'random_labels--td3--none'; "
        "known: hopper--td3--none, hopper--td3--pptb, random_labels--mlp--none, "
        "walk--walk-sign--none; did you mean 'random_labels--mlp--none'?",
    ),
    (
        "plugins: [[], [pptb]]",
        "plugins: []",
        "{S}:62: cells.0.plugins of the figure is []; Tuple should have at least 1 item after "
        "validation, not 0; correct it",
    ),
    (
        "claim: pptb-C10}",
        "claim: pptb-C11}",
        "{S}:65: figure 'Fig. 10' names a claim that does not exist: 'pptb-C11'; known: pptb-C10; "
        "did you mean 'pptb-C10'?",
    ),
    (
        "claim: pptb-C10}",
        "claim: pptb-C15}",
        "{S}:65: claim 'pptb-C15' is not a ratio with baseline random and null best_of_n, as null "
        "'selection' needs; known: pptb-C10; did you mean 'pptb-C10'?",
    ),
    (
        "{kind: selection, claim: pptb-C10}",
        "{kind: bound, claim: pptb-C10}",
        "{S}:65: claim 'pptb-C10' is not a threshold, as null 'bound' needs; known: pptb-C15; did "
        "you mean 'pptb-C15'?",
    ),
    (
        "{kind: selection, claim: pptb-C10}",
        "{kind: selection}",
        "{S}:65: missing key 'claim' in the figure; all keys without default; add it",
    ),
    (
        "kind: chance",
        "kind: luck",
        "{S}:71: null of the figure is {'kind': 'luck'}; should have one of the kinds bound, "
        "chance, control, level, random_play, random_walk, recorded, selection; correct it",
    ),
    (
        "null: {kind: chance}",
        "null: {kind: chance, classes: 10}",
        "{S}:71: unknown key 'classes' in the figure; the keys of its kind; correct or remove it",
    ),
    (
        "null: {kind: chance}",
        "null: {kind: level, value: half, label: half}",
        "{S}:71: null.level.value of the figure is 'half'; should be a valid number; correct it",
    ),
    (
        "null: {kind: chance}",
        "null: {kind: random_play}",
        "{S}:71: the figure: null random_play goes with series return without change; values that "
        "agree; change one of them",
    ),
    (
        "null: {kind: selection, claim: pptb-C10}",
        "null: {kind: chance}",
        "{S}:65: figure 'Fig. 10': null 'chance' does not fit 'hopper--td3--none', which has no "
        "argument classes; a null that fits every cell; choose another null, or give argument "
        "classes",
    ),
    (
        "series: return\n    quantity: mean return\n    null: {kind: selection, claim: pptb-C10}",
        "series: plugin/pptb/kept_energy\n    quantity: energy\n    change: complement\n"
        "    null: {kind: random_walk}",
        "{S}:66: figure 'Fig. 10': null 'random_walk' does not fit 'hopper--td3--none', which has "
        "no plug-in pptb; a null that fits every cell; choose another null, or give plug-in pptb",
    ),
    (
        "quantity: accuracy",
        "quantity: accuracy\n    change: squared",
        "{S}:71: change of the figure is 'squared'; should be 'complement'; correct it",
    ),
    (
        "quantity: accuracy",
        "quantity: accuracy\n    axis: logarithmic",
        "{S}:71: axis of the figure is 'logarithmic'; should be 'linear' or 'log'; correct it",
    ),
    (
        "figures:\n",
        "figures:\n  - 5\n",
        "{S}:57: figures.0 of the study is 5; should be a mapping; correct it",
    ),
    (
        "figures:\n",
        "findings: [It worked.]\nfigures:\n",
        "{S}:56: finding 'It worked.' names no claim; sentences with claim ids in braces; write "
        "what was found as the verdict of a claim: {pptb-C15}",
    ),
    (
        "figures:\n",
        'findings: ["It gained {pptb-C15}, then {pptb-C11}."]\nfigures:\n',
        "{S}:56: a finding names a claim that does not exist: 'pptb-C11'; known: pptb-C10, "
        "pptb-C15; did you mean 'pptb-C15'?",
    ),
    (
        "not_redrawn: the rest",
        "not_redrawn: 5",
        "{S}:72: not_redrawn of the study is 5; should be a valid string; correct it",
    ),
]


@pytest.mark.parametrize(("text", "replacement", "error"), BAD_FIGURES)
def test_a_bad_figure_is_refused(tmp_path: Path, text: str, replacement: str, error: str) -> None:
    assert text in FIGURES
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {P: PLAYED, S: STUDY + FIGURES.replace(text, replacement, 1)})
    assert str(refused.value) == error.replace("{S}", S)


def test_the_figures_that_the_bad_ones_start_from_are_good(tmp_path: Path) -> None:
    study = load(tmp_path, {P: PLAYED, S: STUDY + FIGURES}).studies["ladder"]
    assert [figure.source for figure in study.figures] == ["Fig. 10", "Fig. 11"]
    assert study.figures[0].cells_of("hopper") == ["hopper--td3--none", "hopper--td3--pptb"]
    assert study.not_redrawn == "the rest"


def test_a_null_of_random_play_needs_its_return(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {P: PRESETS, S: STUDY + FIGURES})
    assert str(refused.value) == (
        f"{S}:65: figure 'Fig. 10': null 'selection' does not fit 'hopper--td3--none', which has "
        "no random_return; a null that fits every cell; choose another null, or give random_return"
    )


def test_arms_that_no_scale_has_together_are_refused(tmp_path: Path) -> None:
    apart = STUDY.replace("plugins: [[], [pptb]]", "plugins: [[]]", 1).replace(
        "        plugins: {pptb: {interval: 500}}\n", ""
    )
    other = """\
study: other
paper: Another
cells:
  - tasks: [hopper]
    agents: [td3]
    plugins: [[pptb]]
    scales:
      short: {seeds: 3, budget: 5000, evaluate_every: 1000, evaluation_episodes: 3}
"""
    files = {P: PLAYED, S: apart + FIGURES, "tasks/studies/other.yaml": other}
    with pytest.raises(SpecError) as refused:
        load(tmp_path, files)
    assert str(refused.value) == (
        f"{S}:58: figure 'Fig. 10': no scale has two of the cells ['hopper--td3--none', "
        "'hopper--td3--pptb']; cells that one scale has together; plan them at one scale, or "
        "leave the task out"
    )


def test_more_arms_than_there_are_colours_are_refused(tmp_path: Path) -> None:
    many = f"plugins: [{', '.join(f'[p{i}]' for i in range(9))}]"
    with pytest.raises(SpecError) as refused:
        load(tmp_path, {P: PLAYED, S: STUDY + FIGURES.replace("plugins: [[], [pptb]]", many)})
    assert str(refused.value) == (
        f"{S}:59: the figure: cells: 9 of task hopper, at most 8 can be told apart; values that "
        "agree; change one of them"
    )


SCRAPS = st.sampled_from(
    [":", "-", "[", "]", "{", "}", "\n", "  ", "'", '"', "&a ", "*a", "!!int ", "#", "<<: ", "~",
     "0", "-1", "1e6", "1.5", "99999999999999999999", "true", "null", "pptb", "hopper", "seeds",
     "|", ">", "%", "\t", "\x00", "\u2028", "é", "? ", "---\n", "kind: td3\n", "\\"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    file=st.sampled_from([P, S]),
    edits=st.lists(
        st.tuples(st.floats(0, 1), st.integers(0, 30), st.one_of(SCRAPS, st.text(max_size=5))),
        min_size=1,
        max_size=3,
    ),
)
def test_a_mutilated_spec_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, file: str, edits: list[tuple[float, int, str]]
) -> None:
    files = {P: PLAYED, S: STUDY + FIGURES}
    text = files[file]
    for place, length, scrap in edits:
        at = int(place * len(text))
        text = text[:at] + scrap + text[at + length :]
    encoded = {**files, file: text.encode("utf-8", "replace").decode()}
    try:
        load(tmp_path_factory.mktemp("specs"), encoded)
    except SpecError as error:
        assert all(problem.line >= 1 and problem.path in FILES for problem in error.problems)


def _lines(draw_from: str) -> st.SearchStrategy[int]:
    return st.integers(0, draw_from.count("\n") - 1)


@settings(max_examples=200, deadline=None)
@given(
    first=_lines(PLAYED + STUDY + FIGURES),
    second=_lines(PLAYED + STUDY + FIGURES),
    action=st.sampled_from(["swap", "drop", "double", "value"]),
    value=st.sampled_from(
        ["", "-1", "0", "[]", "{}", "null", "x", "[[]]", "0.5", "true", "[1, x]"]
    ),
)
def test_a_spec_with_wrong_lines_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, first: int, second: int, action: str, value: str
) -> None:
    lines = (PLAYED + STUDY + FIGURES).splitlines(keepends=True)
    if action == "swap":
        lines[first], lines[second] = lines[second], lines[first]
    elif action == "drop":
        lines[first] = ""
    elif action == "double":
        lines[first] *= 2
    else:
        lines[first] = lines[first].split(":")[0] + f": {value}\n"
    end = PLAYED.count("\n")
    files = {P: "".join(lines[:end]), S: "".join(lines[end:])}
    try:
        load(tmp_path_factory.mktemp("specs"), files)
    except SpecError as error:
        assert all(problem.line >= 1 and problem.path in FILES for problem in error.problems)
