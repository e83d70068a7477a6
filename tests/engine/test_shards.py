"""How cells are cut into shards."""

from counting import cell_of
from hypothesis import given
from hypothesis import strategies as st

from suite.engine.shards import WORTHWHILE_SECONDS, make_shards

# Steps of the stand-in cells cost about 4 ms each.
LARGE, SMALL = 20_000, 100


def sizes(shards):
    return [(shard.cell[0], len(shard.runs)) for shard in shards]


def test_one_large_cell_is_split_by_seeds():
    assert sizes(make_shards([cell_of("a", range(6), LARGE)], 2)) == [("a", 3), ("a", 3)]
    assert sizes(make_shards([cell_of("a", range(3), LARGE)], 2)) == [("a", 2), ("a", 1)]
    assert len(make_shards([cell_of("a", range(3), LARGE)], 8)) == 3


def test_small_cells_stay_whole():
    assert sizes(make_shards([cell_of("a", range(6), SMALL)], 2)) == [("a", 6)]


def test_many_cells_stay_whole():
    cells = [cell_of(name, range(3), LARGE) for name in "abcdefgh"]
    assert sizes(make_shards(cells, 2)) == [(name, 3) for name in "abcdefgh"]


def test_a_cell_that_outweighs_the_others_is_split_and_comes_first():
    cells = [
        *(cell_of(name, range(2), LARGE) for name in "abcd"),
        cell_of("z", range(6), 3 * LARGE),
    ]
    assert sizes(make_shards(cells, 2))[:2] == [("z", 3), ("z", 3)]


def test_one_job_keeps_cells_whole_and_in_order():
    cells = [cell_of("a", range(2), SMALL), cell_of("b", range(6), LARGE)]
    assert sizes(make_shards(cells, 1)) == [("a", 2), ("b", 6)]


cells_strategy = st.lists(
    st.tuples(st.integers(1, 7), st.integers(1, 50_000)), min_size=1, max_size=6
).map(lambda shapes: [cell_of(f"c{i}", range(n), b) for i, (n, b) in enumerate(shapes)])


@given(cells_strategy, st.integers(1, 9))
def test_every_run_is_in_one_shard_and_splitting_is_worthwhile(cells, jobs):
    shards = make_shards(cells, jobs)
    planned = sorted(run.key() for cell in cells for run in cell.runs)
    assert sorted(run.key() for shard in shards for run in shard.runs) == planned
    for cell in cells:
        parts = [shard for shard in shards if shard.cell == cell.id]
        assert 1 <= len(parts) <= jobs
        assert {run.seed for part in parts for run in part.runs} == {run.seed for run in cell.runs}
        if len(parts) > 1:
            assert sum(part.seconds for part in parts) >= len(parts) * WORTHWHILE_SECONDS
            counts = [len(part.runs) for part in parts]
            assert max(counts) - min(counts) <= 1
