"""What a job does: train and score, or score alone."""

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

import safetensors.torch
import torch

from training import base_model, hardware
from training.adapter import BaseModelCard, Card, config_hash, require_prompt
from training.checkpoints import Checkpoints
from training.cost import Shape
from training.data import Encoded, encode, read_rows, require_some
from training.files import write_bytes, write_json
from training.folder import fetch_folder
from training.job import Job
from training.loop import Loop, Trained
from training.predictions import VALIDATION, Scorer, Sets, read_sets, to_score
from training.progress import Reporter
from training.prompt import Form, Renderer
from training.result import Record
from training.speed import pace_key
from training.stop import Stop, StopRequestedError
from training.student import Student, load_student, new_student

_log = logging.getLogger(__name__)


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
    with record.phase("fetching"):
        reporter.write("loading", message="base model")
        base = base_model.resolve(job.base_model, base_model.default_cache())
    with record.phase("loading"):
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
        record.about.setdefault("speed", {})["flops_per_second"] = reporter.paces


def _train(at: _Work) -> None:
    job, config = at.job, at.job.config
    with at.record.phase("loading"):
        sets = read_sets(at.folder, at.job)
        train = _encode(at, "train")
        require_some(train, "train.parquet")
        validation = _encode(at, VALIDATION) if VALIDATION in sets else Encoded()
        form = scored_form(job, train.forms)
        at.reporter.write("loading", message="weights")
        student = new_student(at.base, config, at.device, at.base_name)
        at.stop.check()
        scorer = _scorer(at, sets, form, config.max_length)
        scorer.plan(passes=1 + job.score_base)
        by_macro_f1 = config.choose == "macro_f1" and bool(validation.examples)
        if by_macro_f1:
            scorer.require_macro_f1()
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
            judge=scorer if by_macro_f1 else None,
        )
    with at.record.phase("training"):
        trained = loop.run()
    at.record.about["training"] = _about(trained, train)
    at.record.about["speed"] = {
        "pace": pace_key(config),
        "row_tokens": student.row_tokens,
        "longest_row": trained.longest_row,
        "saving_seconds": round(trained.saving_seconds, 3),
    }
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
        metrics = _score_models(at, scorer, student, base_too=job.score_base)
    write_json(at.folder / "metrics.json", metrics)
    card.model_copy(update={"thresholds": metrics["model"]["thresholds"]}).write(at.folder / "adapter")


def _score(at: _Work) -> None:
    job = at.job
    with at.record.phase("loading"), tempfile.TemporaryDirectory(prefix="overrule-adapter-") as scratch:
        sets = read_sets(at.folder, at.job)
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
        scorer = _scorer(at, sets, form, max_length)
        scorer.plan(passes=1 + both)
    with at.record.phase("scoring"):
        metrics = _score_models(at, scorer, student, base_too=both)
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
        "stopped_early": trained.stopped_early,
        "best_step": trained.best_step,
        "validation_loss": trained.best_loss,
        "validation_macro_f1": trained.best_macro_f1,
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


def _scorer(at: _Work, sets: Sets, form: Form, max_length: int) -> Scorer:
    chosen = to_score(sets)
    return Scorer(
        chosen, at.renderer, form, at.job.max_labels, max_length, at.reporter, at.stop, Shape.read(at.base)
    )


def _score_models(at: _Work, scorer: Scorer, student: Student, *, base_too: bool) -> dict[str, Any]:
    """Score the model, and where asked for the base model under it."""
    folder = at.folder / "predictions"
    metrics = {"model": scorer.score(student, folder)}
    if base_too:
        with student.base():
            metrics["base"] = scorer.score(student, folder / "base")
    return metrics
