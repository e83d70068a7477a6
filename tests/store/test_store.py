"""The run store: states, checkpoints, completion, and what happens when disks and processes die."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.store import atomic
from suite.store import store as store_module
from suite.store.atomic import StoreError
from suite.store.store import RunLocked, Store

ROOT = Path(__file__).parents[2]
KEY = "0123456789abcdef"
SPEC = {"task": {"name": "hopper"}, "seed": 3}


def arrays_of(step):
    return {
        "weights": np.arange(50_000, dtype=np.float32) + step,
        "bits": np.array([True, False, step % 2 == 0]),
        "philox": np.full((1, 13), step, dtype=np.uint64),
        "scalar": np.array(step, dtype=np.int64),
        "empty": np.zeros((0, 4), dtype=np.float32),
        "transposed": np.arange(12.0).reshape(3, 4).T + step,
    }


def record_of(**changes):
    record = {
        "record_version": 1,
        "key": KEY,
        "cell": "hopper--td3--none",
        "scale": "smoke",
        "seed": 3,
        "state": "done",
        "message": "",
        "spec": {"versions": {"agent/td3": 1}},
        "series": {"return": {"step": [0, 10], "value": [1.25, None]}},
        "figures": {"final": 1.0},
    }
    return {**record, **changes}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


def test_run_goes_from_queued_to_done(store):
    assert store.state(KEY).state == "queued"
    assert not store.root.exists(), "looking at a state wrote something"
    with store.lock(KEY):
        store.begin(KEY, SPEC)
        assert store.state(KEY).state == "running"
        store.save_progress(KEY, {"step": 5})
        assert (store.state(KEY).state, store.state(KEY).step) == ("running", 5)
        store.save_checkpoint(KEY, 7, arrays_of(7), {})
    assert (store.state(KEY).state, store.state(KEY).step) == ("interrupted", 7)
    with store.lock(KEY):
        store.complete(KEY, record_of(), {"seconds": {"total": 1.5}})
    assert store.state(KEY).state == "done"
    assert store.record(KEY) == record_of()
    content = (store.folder(KEY) / "record.json").read_bytes()
    assert store.record_digest(KEY) == hashlib.sha256(content).hexdigest()
    assert store.provenance(KEY) == {"seconds": {"total": 1.5}}
    names = sorted(path.name for path in store.folder(KEY).iterdir())
    assert names == ["COMPLETE", "lock", "provenance.json", "record.json", "spec.json"]


def test_run_without_checkpoint_is_interrupted_from_the_start(store):
    with store.lock(KEY):
        store.begin(KEY, SPEC)
    assert (store.state(KEY).state, store.state(KEY).step) == ("interrupted", None)


def test_diverged_run_is_complete_and_says_why(store):
    record = record_of(state="diverged", message="not finite by step 40")
    store.complete(KEY, record, {}, state="diverged")
    state = store.state(KEY)
    assert (state.state, state.message, state.complete) == (
        "diverged",
        "not finite by step 40",
        True,
    )


def test_failed_run_shows_its_traceback_until_it_begins_again(store):
    store.save_checkpoint(KEY, 7, arrays_of(7), {})
    store.fail(KEY, "Traceback ...\nZeroDivisionError: division by zero")
    assert store.state(KEY).state == "failed"
    assert "ZeroDivisionError" in store.state(KEY).message
    with store.lock(KEY):
        store.begin(KEY, SPEC)
    assert (store.state(KEY).state, store.state(KEY).step) == ("interrupted", 7)


def test_checkpoint_reads_back_bit_for_bit(store):
    values = {"series": {"return": {"step": [0], "value": [0.1 + 0.2, None]}}, "n": 10**15}
    store.save_checkpoint(KEY, 12, arrays_of(12), values)
    loaded = store.load_checkpoint(KEY)
    assert loaded.step == store.checkpoint_step(KEY) == 12
    assert loaded.values == values
    assert loaded.arrays.keys() == arrays_of(12).keys()
    for name, array in arrays_of(12).items():
        assert loaded.arrays[name].dtype == array.dtype
        assert loaded.arrays[name].shape == array.shape
        assert np.array_equal(loaded.arrays[name], array)


def test_new_checkpoint_replaces_the_old(store):
    for step in (5, 10, 100, 1000):
        store.save_checkpoint(KEY, step, arrays_of(step), {"step": step})
    assert len(list(store.folder(KEY).iterdir())) == 1
    assert store.load_checkpoint(KEY).values == {"step": 1000}


def test_reader_finds_the_checkpoint_that_replaced_the_one_it_had_listed(store, monkeypatch):
    store.save_checkpoint(KEY, 5, arrays_of(5), {})
    digest = store_module._digest

    def digest_after_the_writer(path):
        monkeypatch.setattr(store_module, "_digest", digest)
        store.save_checkpoint(KEY, 9, arrays_of(9), {})
        return digest(path)

    monkeypatch.setattr(store_module, "_digest", digest_after_the_writer)
    assert store.checkpoint_step(KEY) == 9


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_damaged_checkpoint_is_reported_and_not_used(store, damage):
    store.save_checkpoint(KEY, 5, arrays_of(5), {})
    path = next(store.folder(KEY).glob("checkpoint-*"))
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 1
    path.write_bytes({"cut": content[:-10], "flipped": content, "emptied": b""}[damage])
    with pytest.warns(UserWarning, match=r"checkpoint-000000000005.* is damaged"):
        assert store.load_checkpoint(KEY) is None
    with pytest.warns(UserWarning):
        assert store.checkpoint_step(KEY) is None


def test_older_checkpoint_serves_when_the_newest_is_damaged(store):
    store.save_checkpoint(KEY, 5, arrays_of(5), {"step": 5})
    kept = next(store.folder(KEY).glob("checkpoint-*"))
    content = kept.read_bytes()
    store.save_checkpoint(KEY, 9, arrays_of(9), {"step": 9})
    next(store.folder(KEY).glob("checkpoint-*")).write_bytes(b"half")
    kept.write_bytes(content)
    with pytest.warns(UserWarning, match="damaged"):
        assert store.load_checkpoint(KEY).values == {"step": 5}


def test_record_bytes_depend_on_the_record_alone(store, tmp_path):
    other = Store(tmp_path / "other")
    record = record_of()
    store.complete(KEY, record, {"seconds": 1.0}, {"path": {"rows": np.ones((2, 3))}})
    shuffled = dict(reversed(record.items()))
    other.complete(KEY, shuffled, {"seconds": 2.0}, {"path": {"rows": np.ones((2, 3))}})
    for name in ("record.json", "path.safetensors", "COMPLETE"):
        assert (store.folder(KEY) / name).read_bytes() == (other.folder(KEY) / name).read_bytes()


def test_record_with_a_number_that_is_not_finite_is_refused(store):
    with pytest.raises(ValueError, match="JSON"):
        store.complete(KEY, record_of(figures={"final": float("nan")}), {})
    assert store.state(KEY).state == "queued"


@pytest.mark.parametrize("name", ["record.json", "path.safetensors", "COMPLETE"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_corrupt_result_is_recognised_and_trains_again(store, name, damage):
    files = {"path": {"rows": np.ones(4)}}
    store.complete(KEY, record_of(), {}, files)
    path = store.folder(KEY) / name
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-9])
    if (name, damage) == ("COMPLETE", "gone"):
        assert store.state(KEY).state == "queued"
    else:
        assert store.state(KEY).state == "corrupt"
        with pytest.raises(StoreError, match="corrupt"):
            store.record(KEY)
    with store.lock(KEY):
        store.begin(KEY, SPEC)
        store.complete(KEY, record_of(), {}, files)
    assert store.state(KEY).state == "done"


def test_changed_record_is_recognised(store):
    store.complete(KEY, record_of(), {})
    path = store.folder(KEY) / "record.json"
    path.write_bytes(path.read_bytes().replace(b"1.25", b"1.35"))
    assert store.state(KEY).state == "corrupt"


def test_arrays_of_a_result_read_back_and_changed_ones_do_not(store):
    store.complete(KEY, record_of(), {}, {"path": {"rows": np.arange(6.0).reshape(2, 3)}})
    assert np.array_equal(store.arrays(KEY, "path")["rows"], np.arange(6.0).reshape(2, 3))
    path = store.folder(KEY) / "path.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    with pytest.raises(StoreError, match=r"path.safetensors changed"):
        store.arrays(KEY, "path")


def test_record_of_an_unfinished_run_is_an_error_that_says_its_state(store):
    with pytest.raises(StoreError, match=f"run {KEY} has no record.json: it is queued"):
        store.record(KEY)


def test_complete_run_cannot_begin_again(store):
    store.complete(KEY, record_of(), {})
    with pytest.raises(ValueError, match="complete"):
        store.begin(KEY, SPEC)
    assert store.state(KEY).state == "done"


@pytest.mark.parametrize("stop_at", range(1, 12))
def test_interruption_while_completing_never_shows_a_part(store, monkeypatch, stop_at):
    """Whatever system call is the last one, the run is unfinished with its checkpoint, or done."""
    store.save_checkpoint(KEY, 5, arrays_of(5), {})
    calls = 0

    def dying(call):
        def wrapped(*arguments, **keywords):
            nonlocal calls
            calls += 1
            if calls >= stop_at:
                raise KeyboardInterrupt
            return call(*arguments, **keywords)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying(os.replace))
        patch.setattr(os, "fsync", dying(os.fsync))
        try:
            store.complete(KEY, record_of(), {"seconds": 1})
        except KeyboardInterrupt:
            pass
        else:
            assert stop_at > 9, "fewer writes than this test believes"
    state = store.state(KEY)
    if state.state == "done":
        assert store.record(KEY) == record_of() and store.provenance(KEY) == {"seconds": 1}
    else:
        assert state.state == "interrupted"
        assert store.load_checkpoint(KEY).step == 5


SAVER = """
import sys
from pathlib import Path
import numpy as np
from suite.store.store import Store
store = Store(Path(sys.argv[1]))
with store.lock("run"):
    store.begin("run", {})
    step = int(sys.argv[2])
    while True:
        step += 1
        weights = np.full(200_000, step, dtype=np.float32)
        store.save_checkpoint("run", step, {"weights": weights}, {"step": step})
        store.save_progress("run", {"step": step})
        print("saved", flush=True)
"""


def test_killed_while_saving_leaves_a_whole_checkpoint_and_a_free_lock(store):
    last = 0
    draw = random.Random(0)
    for _ in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", SAVER, str(store.root), str(last)],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        process.stdout.readline()
        assert store.state("run").state == "running"
        time.sleep(0.02 + draw.random() * 0.1)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert store.state("run").state == "interrupted"
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # no damaged checkpoint is left either
            checkpoint = store.load_checkpoint("run")
        assert checkpoint.values == {"step": checkpoint.step}
        assert (checkpoint.arrays["weights"] == checkpoint.step).all()
        assert checkpoint.step > last
        last = checkpoint.step
    with store.lock("run"):
        store.begin("run", {})
    leftover = [path.name for path in store.folder("run").iterdir() if path.name.startswith(".")]
    assert leftover == []


def test_beginning_removes_what_a_killed_process_left(store):
    with store.lock("run"):
        store.begin("run", {})
        recorded = store.recordings_folder("run") / "batch-1"
        recorded.mkdir(parents=True)
        for folder in (store.folder("run"), recorded):
            for name in (".checkpoint.tmp", ".spec.json.1.tmp", ".tmpmdpS7i"):
                (folder / name).write_bytes(b"part")
        store.begin("run", {})
    assert [path.name for path in store.folder("run").rglob(".*")] == []


def test_lock_keeps_a_second_process_out_and_names_the_first(store):
    process = subprocess.Popen(
        [sys.executable, "-c", SAVER, str(store.root), "0"], stdout=subprocess.PIPE, cwd=ROOT
    )
    try:
        process.stdout.readline()
        with pytest.raises(RunLocked, match=f"process {process.pid} on"), store.lock("run", 0.1):
            pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    with store.lock("run", 0.1):
        pass


def test_lock_keeps_a_second_thread_of_this_process_out(store):
    with store.lock(KEY), pytest.raises(RunLocked), store.lock(KEY, 0.0):
        pass


def full_disk(*arguments, **keywords):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_full_disk_is_one_clear_error_and_loses_nothing(store, monkeypatch, call):
    store.complete("finished", record_of(), {})
    store.save_checkpoint(KEY, 5, arrays_of(5), {})
    with monkeypatch.context() as patch:
        patch.setattr(atomic.os, call, full_disk)
        for write in (
            lambda: store.save_checkpoint(KEY, 9, arrays_of(9), {}),
            lambda: store.complete(KEY, record_of(), {}),
            lambda: store.fail(KEY, "error"),
        ):
            with pytest.raises(StoreError) as caught:
                write()
            assert str(store.folder(KEY)) in str(caught.value)
            assert "No space left on device" in str(caught.value)
            assert "free some space" in str(caught.value)
    assert store.state("finished").state == "done"
    assert store.state(KEY).state == "interrupted"
    assert store.load_checkpoint(KEY).step == 5
    assert not list(store.folder(KEY).glob(".*"))


def test_really_full_file_system(store, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("this machine does not let the tests mount a file system")
    try:
        store = Store(small)
        store.complete("finished", record_of(), {})
        store.save_checkpoint(KEY, 5, arrays_of(5), {})
        large = {"weights": np.ones(1_000_000, dtype=np.float32)}
        with pytest.raises(StoreError, match="The disk is full: free some space"):
            store.save_checkpoint(KEY, 9, large, {})
        with pytest.raises(StoreError, match="The disk is full: free some space"):
            store.complete(KEY, record_of(), {}, {"path": large})
        assert store.state("finished").state == "done"
        assert store.load_checkpoint(KEY).step == 5
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_store_below_a_file_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file")
    assert store.state(KEY).state == "queued"
    for write in (
        lambda: store.save_checkpoint(KEY, 1, {}, {}),
        lambda: store.complete(KEY, record_of(), {}),
        lambda: store.begin(KEY, SPEC),
        lambda: store.lock(KEY).__enter__(),
    ):
        with pytest.raises(StoreError, match=r"cannot write .*file.*run again"):
            write()


def test_unwritable_store_is_one_clear_error(store, monkeypatch):
    def forbidden(*arguments, **keywords):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(StoreError, match=r"Permission denied.*Make the store writable"):
        store.complete(KEY, record_of(), {})


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), max_size=5),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inner: st.lists(inner, max_size=3),
            max_leaves=5,
        ),
        max_size=4,
    )
)
@settings(max_examples=40, deadline=None)
def test_values_of_a_checkpoint_survive(tmp_path_factory, values):
    json.dumps(values)
    store = Store(tmp_path_factory.mktemp("runs"))
    store.save_checkpoint(KEY, 1, {"a": np.zeros(1)}, values)
    assert store.load_checkpoint(KEY).values == values
