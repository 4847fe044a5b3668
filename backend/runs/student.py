"""A finished run's student as files to take away: its adapter or whole model, and its model card."""

from __future__ import annotations

import zipfile
from contextlib import suppress
from pathlib import Path

from sqlalchemy.orm import Session

from backend.db.models import Run
from backend.errors import ConflictError, NotFoundError
from backend.runs.service import RunService
from backend.settings import Settings

# As `training/model_card.py` names it, which needs torch to be imported.
_CARD = "README.md"


class Student:
    """The folder that a finished run left.

    Args:
        session: for where it lies.
        run: the run.
        settings: the application's where not given.

    Raises:
        ConflictError: the run has not finished.
        NotFoundError: somebody removed the folder.
    """

    def __init__(self, session: Session, run: Run, settings: Settings | None = None) -> None:
        if run.prompt_hash is None:
            raise ConflictError(
                f"Run {run.number} has not finished.", "Only a run that finished has left a student."
            )
        self.name = f"run-{run.number}"
        self.folder = RunService(session, settings).adapter(run)
        if not self.folder.is_dir():
            raise NotFoundError(
                f"What run {run.number} learned is no longer in {self.folder}.",
                "Train again with the same settings, or put the folder back.",
            )

    @property
    def files(self) -> list[Path]:
        """Weights and their configuration, `overrule.json`, the model card; a whole model's tokenizer."""
        return sorted(path for path in self.folder.iterdir() if path.is_file() and path.name[0] != ".")

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.files)

    @property
    def card(self) -> str:
        """The model card: markdown, to be shown as it is written."""
        try:
            return (self.folder / _CARD).read_text("utf-8")
        except FileNotFoundError:
            # A version of Overrule that wrote no model cards yet.
            return ""

    def write_zip(self, to: Path) -> int:
        """Write all files into one zip file, whole or not at all.

        They lie in a folder of the run's name and are stored as they are: weights do not shrink.

        Args:
            to: the file; it is replaced if it exists.

        Returns:
            Its size in bytes.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        aside = to.with_name(f".{to.name}.partial")
        try:
            with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
                for path in self.files:
                    archive.write(path, f"{self.name}/{path.name}")
            aside.replace(to)
        finally:
            with suppress(FileNotFoundError):
                aside.unlink()
        return to.stat().st_size
