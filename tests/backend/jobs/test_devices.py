import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.jobs.devices import Place, Slots, gpus


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    gpus.cache_clear()
    yield
    gpus.cache_clear()


@pytest.mark.parametrize(
    ("visible", "found"), [("0,1", ("0", "1")), ("", ()), ("-1", ()), ("GPU-a", ("GPU-a",))]
)
def test_what_is_visible_counts(
    monkeypatch: pytest.MonkeyPatch, visible: str, found: tuple[str, ...]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert gpus() == found


def test_the_driver_is_asked_and_may_be_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0\\n1\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert gpus() == ("0", "1")
    gpus.cache_clear()
    program.write_text("#!/bin/sh\necho no driver\nexit 9\n")
    assert gpus() == ()


def test_a_trainer_for_each_gpu_and_the_next_waits() -> None:
    slots = Slots(("0", "1"))
    first, second = slots.take(lambda: False), slots.take(lambda: False)
    assert {first, second} == {Place("0"), Place("1")}
    found: list[Place | None] = []
    third = threading.Thread(target=lambda: found.append(slots.take(lambda: False)))
    third.start()
    assert second is not None
    slots.give_back(second)
    third.join()
    assert found == [second]


def test_one_that_was_found_at_work_keeps_its_place() -> None:
    slots = Slots(("0", "1"))
    assert slots.occupy("1") == Place("1")
    assert slots.take(lambda: False) == Place("0")
    assert slots.take(lambda: True) is None
    alone = Slots((None,))
    assert alone.occupy("0") == Place(None)
    assert alone.occupy("0") is None
