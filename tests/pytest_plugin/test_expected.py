"""The file of recorded verdicts, and how a verdict compares with its entries."""

from pathlib import Path

import pytest

from suite.expected import PATH, Entry, Recorded, compare, read, record, write
from suite.specs.models import Scale
from suite.specs.source import SpecError
from suite.stats.verdicts import AtScale, Verdict, VerdictState

RUNS = Entry(state="supported", look=0, rests_on="runs", numerics=("12345678",))
EVIDENCE = Entry(state="supported", look=0, rests_on="evidence", numerics=("12345678",))


def entry(like: Entry, state: VerdictState, look: int | None = 0) -> Entry:
    return like.model_copy(update={"state": state, "look": look})


def verdict(
    state: VerdictState,
    look: int | None = 0,
    scale: Scale | None = "short",
    others: dict[Scale, VerdictState] | None = None,
    numerics: str = "12345678",
) -> Verdict:
    return Verdict(
        claim="small-C1",
        kind_of_claim="paper",
        state=state,
        reason="",
        statistic="",
        look=look,
        scale=scale,
        numerics=(numerics,),
        other_scales=tuple(
            AtScale(scale=other, state=said, seen=None, observed=None, low=None, high=None)
            for other, said in (others or {}).items()
        ),
    )


NOTHING = verdict("not run", None, None)


def compared(entries, now, alone=NOTHING, **rest):
    return compare(entries, now, lambda scale: alone, **rest)


@pytest.mark.parametrize("like", [RUNS, EVIDENCE])
@pytest.mark.parametrize(
    ("before", "look", "now", "kind"),
    [
        ("supported", 0, verdict("supported"), "expected"),
        ("supported", 0, verdict("supported", 1), "expected"),
        ("contradicted", 0, verdict("contradicted"), "expected"),
        ("inconclusive", None, verdict("inconclusive", None), "expected"),
        ("supported", 0, verdict("contradicted"), "changed"),
        ("supported", 0, verdict("contradicted", 1), "changed"),
        ("supported", 0, verdict("inconclusive", 1), "changed"),
        ("inconclusive", 0, verdict("supported"), "changed"),
        ("inconclusive", 0, verdict("supported", 1), "new"),
        ("inconclusive", None, verdict("contradicted"), "new"),
        ("not run", None, verdict("inconclusive", None), "new"),
    ],
)
def test_a_state_changes_unless_more_runs_decide_what_was_open(like, before, look, now, kind):
    assert compared({"short": entry(like, before, look)}, now).kind == kind


@pytest.mark.parametrize(
    ("look", "now"),
    [
        (0, NOTHING),
        (0, verdict("not run", None)),
        (0, verdict("inconclusive", None)),
        (1, verdict("inconclusive", 0)),
        (0, verdict("supported", 0, "smoke")),
    ],
)
def test_fewer_runs_change_what_rests_on_evidence_only(look, now):
    assert compared({"short": entry(EVIDENCE, "supported", look)}, now).kind == "changed"
    found = compared({"short": entry(RUNS, "supported", look)}, now)
    if now.scale != "smoke":
        assert found.kind == "not compared"
    told = f"short: recorded supported at look {look}, from runs that are not here"
    assert told in found.differing
    limited = compared({"short": entry(EVIDENCE, "supported", look)}, now, limited=True)
    assert told.replace("not here", "not counted") in limited.differing


def test_every_scale_that_the_verdict_holds_is_compared():
    entries = {"smoke": entry(RUNS, "inconclusive"), "short": EVIDENCE}
    now = verdict("supported", others={"smoke": "inconclusive"})
    assert compared(entries, now).kind == "expected"
    now = verdict("supported", others={"smoke": "contradicted"})
    found = compared(entries, now, verdict("contradicted", 0, "smoke"))
    assert found.kind == "changed"
    assert found.differing == "smoke: recorded inconclusive at look 0, now contradicted at look 0"
    assert found.recorded == "smoke: inconclusive, short: supported"
    assert compared(entries, now, only="short").kind == "expected"


def test_the_scale_that_is_judged_decides_between_new_and_expected():
    now = verdict("supported", others={"smoke": "inconclusive"})
    assert compared({"short": EVIDENCE}, now).kind == "expected"
    assert compared({"smoke": entry(RUNS, "inconclusive")}, now).kind == "new"
    assert compared(None, now).kind == "new" and compared({}, now).kind == "new"
    assert compared({}, NOTHING).kind == "expected"


def test_other_numerics_are_named_where_a_verdict_changed():
    found = compared({"short": EVIDENCE}, verdict("inconclusive", numerics="abcdef12"))
    assert found.differing.endswith("numerics 12345678 then and abcdef12 now")
    same = compared({"short": EVIDENCE}, verdict("inconclusive"))
    assert "numerics" not in same.differing
    assert compared({"short": EVIDENCE}, verdict("supported", numerics="ab")).differing == ""


EXPECTED = {
    "second-C1": Recorded("second", {"short": EVIDENCE, "smoke": entry(RUNS, "not run", None)}, 9),
    "first-C2": Recorded("first", {"paper": entry(EVIDENCE, "inconclusive", 2)}, 5),
    "first-C1": Recorded("first", {}, 6),
}


def test_the_file_is_sorted_and_reads_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path, EXPECTED)
    lines = (tmp_path / PATH).read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == [
        "first:",
        "  first-C1: {}",
        "  first-C2:",
        '    paper: {state: inconclusive, look: 2, rests_on: evidence, numerics: ["12345678"]}',
        "second:",
        "  second-C1:",
        '    smoke: {state: not run, rests_on: runs, numerics: ["12345678"]}',
        '    short: {state: supported, look: 0, rests_on: evidence, numerics: ["12345678"]}',
    ]
    found = read(tmp_path)
    assert found is not None
    assert {claim: one.entries for claim, one in found.items()} == {
        claim: one.entries for claim, one in EXPECTED.items()
    }
    assert lines[found["first-C2"].line - 1] == "  first-C2:"


def test_without_a_file_nothing_is_recorded_and_without_claims_it_holds_none(tmp_path):
    assert read(tmp_path) is None
    write(tmp_path, {})
    assert read(tmp_path) == {}


BAD = {
    "first:\n  c: {short: {state: proven, look: 0, rests_on: runs}}": (
        "2: state of c at short is 'proven'; should be 'supported', 'contradicted', 'inconclusive' "
        "or 'not run'; correct it"
    ),
    "first:\n  c: {short: {state: supported, rests_on: runs, sate: 1}}": (
        "2: unknown key 'sate' in c at short; known: look, numerics, rests_on, state; "
        "did you mean 'state'?"
    ),
    "first:\n  c: {short: {state: supported}}": "2: missing key 'rests_on' in c at short; keys: ",
    "first:\n  c: {shrt: {}}": (
        "2: unknown scale 'shrt' of 'c'; known: paper, short, smoke; did you mean 'short'?"
    ),
    "first:\n  c: {short: {state: supported, look: -1, rests_on: runs}}": (
        "2: look of c at short is -1; should be greater than or equal to 0; correct it"
    ),
    "first:\n  c: supported": "2: claim 'c' is 'supported'; a mapping; write `key: value`",
    "first: [c]": "1: study 'first' is ['c']; a mapping; write `key: value`",
    "- first": "1: the file is ['first']; a mapping; write `key: value`",
    "first:\n  c: {}\nsecond:\n  c: {}": (
        "4: claim 'c' again, first on line 2; each claim once; remove one of them"
    ),
    "first:\n  c: {}\n  c: {}": "3: duplicate key: 'c', first on line 2; each key once; ",
    "first:\n  c: {short: {": "2: not YAML: ",
    "first: &a {}": "1: not plain YAML: &a; no anchors, aliases, tags; write it out",
}


@pytest.mark.parametrize("text", BAD)
def test_a_bad_file_is_refused_with_line_value_what_is_allowed_and_what_to_do(tmp_path, text):
    (tmp_path / PATH).parent.mkdir()
    (tmp_path / PATH).write_text(text)
    with pytest.raises(SpecError) as caught:
        read(tmp_path)
    assert str(caught.value).startswith(f"reports/expected_verdicts.yaml:{BAD[text]}")
    assert len(str(caught.value).splitlines()) == 1


CLAIMS = [("first", "first-C1")]
SUPPORTED = {"first-C1": {"short": verdict("supported")}}
OPEN = {"first-C1": {"short": verdict("inconclusive", None)}}
NONE = {"first-C1": {}}


def entries(found, committed, before=None):
    old = {} if before is None else {"first-C1": Recorded("first", before, 1)}
    recording = record(CLAIMS, found, committed, old)
    return recording.expected["first-C1"].entries, recording


def test_a_verdict_rests_on_evidence_when_evidence_alone_gives_it():
    assert entries(SUPPORTED, SUPPORTED)[0] == {"short": EVIDENCE}
    assert entries(SUPPORTED, OPEN)[0] == entries(SUPPORTED, NONE)[0] == {"short": RUNS}
    later = {"first-C1": {"short": verdict("supported", 1)}}
    assert entries(later, SUPPORTED)[0] == {"short": EVIDENCE}, "a clone has the first look only"


def test_numerics_alone_do_not_change_the_file():
    elsewhere = {"first-C1": {"short": verdict("supported", numerics="abcdef12")}}
    assert entries(elsewhere, NONE, {"short": RUNS})[0] == {"short": RUNS}
    changed = {"first-C1": {"short": verdict("contradicted", numerics="abcdef12")}}
    found, recording = entries(changed, NONE, {"short": RUNS})
    assert found["short"].numerics == ("abcdef12",) and recording.changed == ("first-C1",)


def test_what_rests_on_runs_that_are_not_here_stays():
    before = {"short": RUNS}
    for found in (NONE, OPEN):
        kept, recording = entries(found, found, before)
        assert kept == before
        assert (recording.kept, recording.changed) == (("first-C1",), ())
    assert entries(NONE, NONE, {"short": EVIDENCE})[0] == {}
    some = {"smoke": Entry(state="not run", rests_on="runs")}  # of some of its cells
    assert entries(NONE, NONE, some)[0] == some


def test_a_recording_names_what_is_new_and_what_no_study_has():
    old = {"first-C9": Recorded("first", {}, 1)}
    recording = record(CLAIMS, SUPPORTED, NONE, old)
    assert (recording.added, recording.dropped) == (("first-C1",), ("first-C9",))
    assert list(recording.expected) == ["first-C1"]
