"""What models are called, and which one a name means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from backend.db.models.evaluation import ModelKind
from backend.errors import InvalidInputError, NotFoundError
from backend.evaluation.baselines.names import BaselineModel
from backend.evaluation.results import ModelRow

_DEFAULT = "default"
ASKED = {"direct": "label only", "reasoned": "reason first"}
"""What the ways to ask a student are called."""


def model_name(kind: ModelKind, model: str, run_number: int | None, inference: str | None = None) -> str:
    """What it is called: "Run 2", "Run 2, reason first", "Teacher gpt-5-mini", "Word list, version 3"."""
    if inference is not None:
        return f"{model_name(kind, model, run_number)}, {ASKED[inference]}"
    if kind is ModelKind.RUN:
        return f"Run {run_number}"
    if kind is ModelKind.TEACHER:
        return f"Teacher {model}"
    if kind is ModelKind.BASELINE:
        return BaselineModel.of(model).name
    return "Base model" if model == _DEFAULT else f"Base model {PurePath(model).name}"


def in_a_table(row: ModelRow) -> str:
    """Its name, and of a student that knows both ways in which it was asked, also where it was not told."""
    return f"{row.name}, {ASKED['direct']}" if row.both and row.inference is None else row.name


def in_a_sentence(name: str, kind: ModelKind) -> str:
    """The same name inside a sentence: "run 2", "the base model", "alt-profanity-check"."""
    lowered = name[0].lower() + name[1:]
    is_a_name = kind is ModelKind.RUN or (kind is ModelKind.BASELINE and name == lowered)
    return lowered if is_a_name or lowered.startswith("your ") else f"the {lowered}"


def pick(rows: Sequence[ModelRow], name: str) -> ModelRow:
    """The model that a person means: "run 2" or "2", "base", "teacher", "champion", or a shown name.

    A baseline also by its kind alone: "regression", "word-list", "own-words", "profanity". How a student was
    asked also as `--inference` has it: "run 2, reasoned".

    Raises:
        NotFoundError: no such model has an evaluation on the set.
        InvalidInputError: several models have that name.
    """
    wanted = " ".join(name.split()).casefold()
    found = [row for row in rows if wanted in _names(row)]
    if not found:
        known = ", ".join(row.name for row in rows) or "none yet"
        raise NotFoundError(f"There is no evaluation of {name!r} on this set.", f"Evaluated on it: {known}.")
    if len(found) > 1:
        raise InvalidInputError(
            f"{name!r} means more than one model.",
            f"Say which by its full name: {', '.join(row.name for row in found)}.",
        )
    return found[0]


def _names(row: ModelRow) -> set[str]:
    names = {row.name.casefold(), row.kind.value}
    if row.kind is ModelKind.BASELINE:
        names = {row.name.casefold(), BaselineModel.of(row.model).baseline.value}
    if row.kind is ModelKind.RUN:
        names = {row.name.casefold(), row.name.casefold().removeprefix("run "), in_a_table(row).casefold()}
    if row.inference is not None:
        names = {row.name.casefold(), row.name.casefold().replace(ASKED[row.inference], row.inference)}
    return names | {"champion"} if row.champion else names
