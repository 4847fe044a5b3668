"""What a job does: train, score, choose thresholds."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors.torch
import torch
from sklearn.metrics import average_precision_score, f1_score

from training import base_model, hardware
from training.adapter import BaseModelCard, Card, config_hash, require_prompt
from training.answers import answer_tree
from training.checkpoints import Checkpoints
from training.data import DataError, Encoded, Row, encode, known_labels, read_rows, require_some
from training.files import write_bytes, write_json, write_parquet
from training.folder import fetch_folder
from training.job import Job
from training.loop import Loop, Trained
from training.progress import Reporter
from training.prompt import Form, Renderer
from training.result import Record
from training.scoring import score
from training.stop import Stop, StopRequestedError
from training.student import Student, load_student, new_student
from training.thresholds import best_f1_thresholds

_log = logging.getLogger(__name__)

VALIDATION = "validation"
_HEAD_SHARE = 0.25
"""Work of the head for one scored token, as a share of the work of the layers below."""


@dataclass(slots=True)
class _Work:
    """What the steps of one job share."""

    job: Job
    folder: Path
    record: Record
    reporter: Reporter
    stop: Stop
    base: Path
    renderer: Renderer
    device: torch.device

    @property
    def base_name(self) -> str:
        """What the base model is called where it is written down."""
        return base_model.DEFAULT_NAME if self.job.base_model == "default" else self.job.base_model


def work(job: Job, folder: Path, record: Record, reporter: Reporter, stop: Stop) -> None:
    """Do a job whose folder is local.

    Raises:
        StopRequestedError: someone asked to stop; a checkpoint holds what was done.
        Exception: anything else that ends it, each with a sentence that says why.
    """
    with record.phase("loading"):
        hardware.use_threads()
        device = hardware.choose_device(job.device)
        record.about["hardware"] = hardware.describe(device)
        reporter.write("loading", message="base model")
        base = base_model.resolve(job.base_model, base_model.default_cache())
        renderer = Renderer(base, job.policy)
        record.hashes["prompt"] = renderer.hash
        record.about["base_model"] = {
            "name": job.base_model,
            "folder": str(base),
            "config": config_hash(base),
        }
        if job.prompt_hash is not None:
            require_prompt(renderer, job.prompt_hash)
    at_work = _Work(job, folder, record, reporter, stop, base, renderer, device)
    try:
        _train(at_work) if job.kind == "train" else _score(at_work)
    finally:
        record.about["peak_memory_mb"] = hardware.peak_memory(device)


def _train(at: _Work) -> None:
    job, config = at.job, at.job.config
    with at.record.phase("loading"):
        sets = _read_sets(at)
        train = _encode(at, "train")
        require_some(train, "train.parquet")
        validation = _encode(at, VALIDATION) if VALIDATION in sets else Encoded()
        form = scored_form(job, train.forms)
        at.reporter.write("loading", message="weights")
        student = new_student(at.base, config, at.device, at.base_name)
        at.stop.check()
        _plan_scoring(at, sets, form, student, passes=1 + job.score_base)
        checkpoints = Checkpoints(at.folder / "checkpoints", _identity(at))
        loop = Loop(
            student,
            train.examples,
            train.ids,
            validation.examples,
            config,
            checkpoints=checkpoints,
            reporter=at.reporter,
            stop=at.stop,
        )
    with at.record.phase("training"):
        trained = loop.run()
    at.record.about["training"] = _about(trained, train)
    if not trained.finished:
        raise StopRequestedError
    student.set_adapter_weights(trained.weights)
    card = Card(
        prompt_hash=at.renderer.hash,
        policy=job.policy,
        policy_hash=job.policy.hash,
        base_model=BaseModelCard(name=at.base_name, config_hash=config_hash(at.base)),
        forms=tuple(sorted(set(train.forms))),
        form=form,
        max_labels=job.max_labels,
        max_length=config.max_length,
        config=config,
        step=trained.best_step,
        validation_loss=trained.best_loss,
    )
    _write_adapter(at.folder / "adapter", student, card)
    with at.record.phase("scoring"):
        metrics = {"model": _score_sets(at, student, sets, form, at.folder / "predictions")}
        if job.score_base:
            with student.base():
                metrics["base"] = _score_sets(at, student, sets, form, at.folder / "predictions" / "base")
    write_json(at.folder / "metrics.json", metrics)
    card.model_copy(update={"thresholds": metrics["model"]["thresholds"]}).write(at.folder / "adapter")
    # Nothing goes on from here: the adapter holds what was learned.
    shutil.rmtree(at.folder / "checkpoints", ignore_errors=True)


def _score(at: _Work) -> None:
    job = at.job
    with at.record.phase("loading"), tempfile.TemporaryDirectory(prefix="overrule-adapter-") as scratch:
        sets = _read_sets(at)
        adapter, form = None, _reasoned_only(job)
        max_length = job.config.max_length
        if job.adapter is not None:
            adapter = fetch_folder(job.adapter, Path(scratch))
            card = Card.read(adapter)
            card.require(at.renderer, at.base)
            form, max_length = card.form, card.max_length
            at.record.about["adapter"] = {"prompt": card.prompt_hash, "step": card.step}
        at.reporter.write("loading", message="weights")
        student = load_student(at.base, adapter, at.device, max_length)
        at.stop.check()
        both = job.score_base and adapter is not None
        _plan_scoring(at, sets, form, student, passes=1 + both)
    with at.record.phase("scoring"):
        metrics = {"model": _score_sets(at, student, sets, form, at.folder / "predictions", max_length)}
        if both:
            with student.base():
                there = at.folder / "predictions" / "base"
                metrics["base"] = _score_sets(at, student, sets, form, there, max_length)
    write_json(at.folder / "metrics.json", metrics)


def _reasoned_only(job: Job) -> Form:
    return "reasoned" if job.config.answers == "reasoned" else "direct"


def scored_form(job: Job, forms: Sequence[Form]) -> Form:
    """The form in which a trained student is scored: direct where it was taught that.

    Where only reasoned answers were asked for, the few rows without a reason, learned directly,
    do not make it a student of the direct form.
    """
    counts = Counter(forms)
    if job.config.answers == "reasoned" and counts["reasoned"] > counts["direct"]:
        return "reasoned"
    return "direct"


def _identity(at: _Work) -> str:
    """What must be the same for a checkpoint to be gone on from."""
    parts = [at.record.hashes["job"], at.record.hashes["data"], at.renderer.hash, config_hash(at.base)]
    return json.dumps(parts, sort_keys=True)


def _read_sets(at: _Work) -> dict[str, list[Row]]:
    """The posts to score by name: validation where it exists, then the job's sets.

    Raises:
        DataError: a set is missing or unreadable, or a post has no text.
    """
    sets: dict[str, list[Row]] = {}
    validation = at.folder / f"{VALIDATION}.parquet"
    if validation.is_file():
        sets[VALIDATION] = read_rows(validation, labelled=True)
    for name in at.job.sets:
        if name != VALIDATION:
            sets[name] = read_rows(at.folder / "sets" / f"{name}.parquet", labelled=False)
        elif VALIDATION not in sets:
            raise DataError("the job asks to score validation.parquet, and there is none")
    for name, rows in sets.items():
        for row in rows:
            if row.text is None:
                raise DataError(f"row {row.id!r} of {name} has no text to score")
    return sets


def _encode(at: _Work, name: str) -> Encoded:
    rows = read_rows(at.folder / f"{name}.parquet", labelled=True)
    encoded = encode(rows, at.renderer, at.job.config.answers, at.job.config.max_length)
    at.record.count(name, encoded)
    for refusal in encoded.refused:
        _log.warning("%s: row %r is left out: %s", name, refusal.id, refusal.reason)
    _log.info("%s: %d rows, %d examples", name, encoded.rows_used, len(encoded.examples))
    return encoded


def _about(trained: Trained, train: Encoded) -> dict[str, Any]:
    return {
        "step": trained.step,
        "steps": trained.steps,
        "resumed_from": trained.resumed_from,
        "best_step": trained.best_step,
        "validation_loss": trained.best_loss,
        "last_loss": trained.last_loss,
        "examples": len(train.examples),
        "learned_tokens": train.learned_tokens,
        "shortened": sum(example.shortened for example in train.examples),
    }


def _write_adapter(folder: Path, student: Student, card: Card) -> None:
    """Write peft's two files and the card, all or nothing."""
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        weights = safetensors.torch.save(student.adapter_weights(), metadata={"format": "pt"})
        write_bytes(aside / "adapter_model.safetensors", weights)
        student.write_adapter_config(aside)
        card.write(aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _plan_scoring(at: _Work, sets: dict[str, list[Row]], form: Form, student: Student, passes: int) -> None:
    """Tell the reporter how much scoring lies ahead; the reasoned form's writing is not foreseen."""
    nodes = len(answer_tree(at.renderer, form, at.job.max_labels).tokens)
    texts = [row.text or "" for rows in sets.values() for row in rows]
    tokens = sum(
        len(example) - len(example.prefix) + nodes
        for example in (at.renderer.example(text, form, None, at.job.config.max_length) for text in texts)
    )
    at.reporter.plan(passes * tokens * (1 + _HEAD_SHARE))


def _score_sets(
    at: _Work,
    student: Student,
    sets: dict[str, list[Row]],
    form: Form,
    into: Path,
    max_length: int | None = None,
) -> dict[str, Any]:
    """Score all sets, keep the predictions, and choose thresholds on validation."""
    summary: dict[str, Any] = {"thresholds": {}}
    at.reporter.begin()
    total = sum(len(rows) for rows in sets.values())
    before = 0
    for name, rows in sets.items():
        path = into / f"{name}.parquet"
        if not path.is_file():
            table = _score_rows(at, student, rows, form, max_length, before, total)
            write_parquet(path, table)
        before += len(rows)
        if name == VALIDATION:
            summary |= _on_validation(at, rows, pd.read_parquet(path))
    return summary


def _score_rows(
    at: _Work, student: Student, rows: list[Row], form: Form, max_length: int | None, before: int, total: int
) -> pd.DataFrame:
    def on_progress(done: int, count: int, tokens: int) -> None:
        at.stop.check()
        at.reporter.work(tokens * (1 + _HEAD_SHARE))
        at.reporter.write(
            "scoring",
            always=done == count,
            step=before + done,
            steps=total,
            memory_mb=hardware.memory_mb(at.device),
        )

    return score(
        student,
        at.renderer,
        [row.id for row in rows],
        [row.text or "" for row in rows],
        form=form,
        max_labels=at.job.max_labels,
        max_length=max_length or at.job.config.max_length,
        on_progress=on_progress,
    )


def _on_validation(at: _Work, rows: list[Row], table: pd.DataFrame) -> dict[str, Any]:
    """Thresholds by code, and how good the scores are at them."""
    codes = at.job.policy.codes
    known = list(known_labels(rows, at.job.policy))
    if not known:
        return {}
    labels = np.array([[code in has for code in codes] for _, has in known])
    scores = table[[f"p_{code}" for code in codes]].to_numpy()[[index for index, _ in known]]
    thresholds = best_f1_thresholds(labels, scores)
    seen = [bool(labels[:, column].any()) for column in range(len(codes))]
    named = scores >= thresholds
    categories = {
        code: {
            "support": int(labels[:, column].sum()),
            "f1": float(f1_score(labels[:, column], named[:, column], zero_division=0.0)),
            "auprc": float(average_precision_score(labels[:, column], scores[:, column]))
            if seen[column]
            else None,
        }
        for column, code in enumerate(codes)
    }
    found = [values for values in categories.values() if values["support"]]
    return {
        "thresholds": dict(zip(codes, thresholds.tolist(), strict=True)),
        VALIDATION: {
            "posts": len(known),
            "macro_f1": float(np.mean([values["f1"] for values in found])) if found else None,
            "macro_auprc": float(np.mean([values["auprc"] for values in found])) if found else None,
            "valid_mass": float(table["valid_mass"].mean()),
            "categories": categories,
        },
    }
