import importlib
import subprocess
import sys

from typer.main import get_command

from backend.cli import ROOMS, app


def test_every_command_is_found_in_its_room() -> None:
    for room in ROOMS:
        importlib.import_module(f"backend.cli.{room}")
    commands = [name for names in ROOMS.values() for name in names]
    assert sorted(commands) == sorted(get_command(app).commands)  # type: ignore[attr-defined]


def test_help_names_them_all_and_a_wrong_command_is_wrong_usage() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "backend", "--help"], capture_output=True, text=True, check=True
    )
    assert all(name in shown.stdout for names in ROOMS.values() for name in names)
    wrong = subprocess.run(
        [sys.executable, "-m", "backend", "trian"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 2
    assert "trian" in wrong.stderr
