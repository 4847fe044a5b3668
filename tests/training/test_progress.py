from __future__ import annotations

from pathlib import Path

import pytest

from training.progress import BEGUN, Reporter, read, seconds_spent


def test_events_are_read_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    assert read(path) == ([], 0)
    reporter = Reporter(path)
    reporter.write("loading", message="x")
    events, offset = read(path)
    assert [event["phase"] for event in events] == ["loading"]
    assert read(path, offset) == ([], offset)
    reporter.write("training", step=1, steps=2, loss=0.123456789)
    events, offset = read(path, offset)
    assert events[0]["loss"] == 0.123457
    assert set(events[0]) == {"time", "phase", "step", "steps", "loss"}


def test_a_line_being_written_is_left_for_later(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"phase": "training"}\n{"phase": "tra')
    events, offset = read(path)
    assert len(events) == 1
    with path.open("a") as file:
        file.write('ining", "step": 2}\n')
    assert read(path, offset)[0] == [{"phase": "training", "step": 2}]


def test_a_line_that_a_kill_left_half_written_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"phase": "training"}\n{"phase": "tra')
    Reporter(path).write("loading")
    assert [event["phase"] for event in read(path)[0]] == ["training", "loading"]


def test_a_file_begun_anew_is_read_from_its_start(tmp_path: Path) -> None:
    path = tmp_path / "progress.jsonl"
    path.write_text('{"phase": "done"}\n')
    assert len(read(path, 1000)[0]) == 1


def at(second: int, **fields: str) -> dict[str, str]:
    return {"time": f"2026-01-01T12:00:{second:02}.000+00:00", "phase": "training"} | fields


def test_time_spent_is_that_of_all_processes_without_the_pauses_between_them() -> None:
    assert seconds_spent([]) == 0
    first = [at(1, message=BEGUN), at(3), at(8)]
    assert seconds_spent(first) == 7
    assert seconds_spent([*first, at(30, message=BEGUN)]) == 7
    assert seconds_spent([*first, at(30, message=BEGUN), at(34)]) == 11


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("training.progress.time.monotonic", lambda: self.now)

    def spend(self, seconds: float) -> None:
        self.now += seconds


def test_time_left_follows_the_pace_of_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    reporter = Reporter(tmp_path / "progress.jsonl")
    reporter.plan(100)
    assert reporter.seconds_left is None
    clock.spend(50)
    reporter.begin()
    clock.spend(10)
    reporter.work(20)
    assert reporter.seconds_left == pytest.approx(40)
    # The first piece warmed up; from the second on it no longer counts.
    clock.spend(2)
    reporter.work(20)
    assert reporter.seconds_left == pytest.approx(6)
    # Saving is no work.
    clock.spend(30)
    reporter.begin()
    clock.spend(4)
    reporter.work(20)
    assert reporter.seconds_left == pytest.approx(6)
    assert reporter.paces == {"training": pytest.approx(40 / 6)}


def test_each_kind_of_work_has_its_own_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    reporter = Reporter(tmp_path / "progress.jsonl")
    reporter.plan(40)
    reporter.plan(100, "scoring")
    reporter.begin()
    for _ in range(2):
        clock.spend(2)
        reporter.work(10)
    # What was not begun is taken to go as fast as the rest.
    assert reporter.seconds_left == pytest.approx((20 + 100) / 5)
    for _ in range(2):
        clock.spend(1)
        reporter.work(10, "scoring")
    assert reporter.seconds_left == pytest.approx(20 / 5 + 80 / 10)
    reporter.plan(-20)
    assert reporter.seconds_left == pytest.approx(80 / 10)
    reporter.plan(-80, "scoring")
    assert reporter.seconds_left == 0


def test_rates_are_those_of_the_last_twenty_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    reporter = Reporter(tmp_path / "progress.jsonl")
    assert reporter.rates("training") == {}
    reporter.begin()
    for index in range(30):
        clock.spend(1 if index < 10 else 2)
        reporter.work(100, examples=4, learned=8 if index < 29 else 28)
    assert reporter.rates("training") == {"units": 50, "examples": 2, "learned": pytest.approx(180 / 40)}


def test_close_events_may_be_left_out_and_unknown_fields_may_not(tmp_path: Path) -> None:
    reporter = Reporter(tmp_path / "progress.jsonl")
    for step in range(20):
        reporter.write("training", always=False, step=step)
    reporter.write("training", step=20)
    assert [event["step"] for event in read(tmp_path / "progress.jsonl")[0]] == [0, 20]
    with pytest.raises(ValueError, match="no field 'speed'"):
        reporter.write("training", speed=1)
