import sys
import time
from pathlib import Path

import pytest

from backend.errors import OverruleError
from backend.jobs.launcher import LocalLauncher
from backend.jobs.launchers import get_launcher
from backend.jobs.processes import is_alive, start_time, this_process
from backend.settings import Settings, get_settings
from tests.backend.jobs.stand_in_worker import StandInLauncher


def ended(launcher: LocalLauncher, process: object) -> bool:
    for _ in range(200):
        if not launcher.is_alive(process):  # type: ignore[arg-type]
            return True
        time.sleep(0.05)
    return False


def test_a_process_is_its_id_and_its_start() -> None:
    pid, started = this_process()
    assert is_alive(pid, started)
    assert not is_alive(pid, started - 100)
    assert not is_alive(None, None)
    assert start_time(2**22 + 1) is None


def test_a_trainer_is_found_by_its_folder_stopped_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STAND_IN_STEPS", "1000")
    monkeypatch.setenv("OVERRULE_TEACHER_KEY", "secret")
    monkeypatch.setenv("WORLD_SIZE", "4")
    launcher = StandInLauncher(get_settings())
    assert launcher.find(tmp_path) is None
    process = launcher.start(tmp_path, "3")
    found = StandInLauncher(get_settings()).find(tmp_path)
    assert found is not None
    assert (found.pid, found.device) == (process.pid, "3")
    environment = Path(f"/proc/{process.pid}/environ").read_bytes() if sys.platform == "linux" else b""
    assert b"secret" not in environment
    assert b"WORLD_SIZE" not in environment
    while not (tmp_path / "progress.jsonl").is_file():
        time.sleep(0.05)
    StandInLauncher(get_settings()).stop(found)
    assert ended(launcher, process)
    assert '"stopped"' in (tmp_path / "result.json").read_text()
    again = launcher.start(tmp_path, None)
    launcher.kill(again)
    assert ended(launcher, again)
    assert launcher.last_words(again, tmp_path) is None


def test_one_that_gives_up_by_itself_has_last_words(tmp_path: Path) -> None:
    launcher = LocalLauncher(get_settings())
    process = launcher.start(tmp_path, None)
    assert ended(launcher, process)
    assert "job.json" in (launcher.last_words(process, tmp_path) or "")


def test_ray_says_what_it_needs() -> None:
    with pytest.raises(OverruleError, match="Ray is not installed"):
        get_launcher(Settings(launcher="ray"))
