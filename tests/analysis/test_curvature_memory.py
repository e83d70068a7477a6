"""What a product with a Hessian needs beyond its batch and the derivatives of each sample: what is
kept between products, up to a bound, and a chunk."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from suite.analysis.perceptron_hessian import KEPT

ROOT = Path(__file__).parents[2]
MEGABYTE = 2**20
VECTORS = 2

# Prints how the process' peak grows, in bytes, while it multiplies VECTORS vectors, and does again.
PRODUCT = """
import resource, sys
import torch
from baselines.networks import mlp
from suite.analysis.curvature import hessian_of
from suite.stacked.optimisers import Adam
from suite.stacked.parameters import FlatParameters, ParameterGroup
from suite.stacked.rollout import RolloutBatch

activation, samples, vectors = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
network = mlp("critic", "critic", 3, 2, 64, 1, activation=activation)
parameters = FlatParameters.initialise(network, [0], "critic")
group = ParameterGroup("critic", parameters, Adam(parameters.flat, 1e-3, (0.9, 0.999), 1e-8), False)
one = torch.zeros(1, samples)
batch = RolloutBatch(torch.randn(1, samples, 3), one[..., None], one, one, torch.randn(1, samples))

def loss(parameters, batch):
    error = network.forward(parameters, batch.observation).squeeze(2) - batch.value_target
    return error.square().mean(dim=1)

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

hessian = hessian_of(group, loss, batch)
given = torch.randn(1, hessian.size, vectors)
resident = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize()
# The peak so far, of differentiating outputs, hides what is below it.
held = torch.ones(max(0, peak() - resident) // 4)
for _ in range(2):
    before = peak()
    hessian.products(given)
    print(peak() - before)
"""


def _growth(activation: str, samples: int) -> list[int]:
    command = [sys.executable, "-c", PRODUCT, activation, str(samples), str(VECTORS)]
    # What is freed goes back to the system at once, and hides nothing.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": str(2**16)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return [int(line) for line in done.stdout.split()]


@pytest.mark.long
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_a_product_at_a_million_samples_needs_no_more_than_at_a_hundred_thousand(
    activation: str,
) -> None:
    growth = {samples: _growth(activation, samples) for samples in (100_000, 1_000_000)}
    for samples, (first, second) in growth.items():
        print(
            f"{activation}, {samples} samples: {first / MEGABYTE:.1f} MB by the first product, "
            f"{second / MEGABYTE:.1f} by the next"
        )
    # The changes of all samples in one hidden layer would be 1 GB.
    kept = KEPT * 4
    for first, second in growth.values():
        assert first <= kept + 64 * MEGABYTE
        assert second <= 8 * MEGABYTE
