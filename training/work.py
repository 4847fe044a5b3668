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

import torch

from training import base_model, hardware, methods
from training.adapter import BaseModelCard, Card, require_form, require_prompt
from training.balance import balanced
from training.checkpoints import Checkpoints
from training.cost import Shape
from training.data import Encoded, encode, read_rows, require_some
from training.files import write_bytes, write_json
from training.folder import fetch_folder
from training.job import BASE, BEFORE_PREFERENCE, PAIRS, VALIDATION_PAIRS, Job
from training.loop import Loop, Trained
from training.machine import settle_memory
from training.model_card import README, model_card
from training.objective import Teaching
from training.pairs import EncodedPairs, encode_pairs, read_pairs, require_pairs
from training.predictions import USUAL_REASON, VALIDATION, Scorer, Sets, read_sets, to_score
from training.preference_step import PreferenceStep, Preferred
from training.progress import Reporter
from training.prompt import Answers, Form, Renderer, written_form
from training.ranks import Begin, Ranks
from training.result import Record
from training.speed import pace_key
from training.stop import Stop, StopRequestedError
from training.student import Student

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
    base_card: BaseModelCard
    renderer: Renderer
    device: torch.device
    ranks: Ranks


def work(job: Job, folder: Path, record: Record, reporter: Reporter, stop: Stop, ranks: Ranks) -> None:
    """Do a job whose folder is local; of several processes the one that leads.

    Raises:
        StopRequestedError: someone asked to stop; a checkpoint holds what was done.
        Exception: anything else that ends it, each with a sentence that says why.
    """
    with record.phase("loading"):
        hardware.use_threads()
        settle_memory()
        device = hardware.choose_device(job.device)
        record.about["hardware"] = hardware.describe(device) | {"devices": ranks.size}
    with record.phase("fetching"):
        reporter.write("loading", message="base model")
        base = base_model.resolve(job.base_model, base_model.default_cache())
    with record.phase("loading"):
        renderer = Renderer(base, job.policy)
        name = base_model.DEFAULT_NAME if job.base_model == "default" else job.base_model
        base_card = BaseModelCard.of(name, base)
        record.about["base_model"] = {
            "name": job.base_model,
            "folder": str(base),
            "config": base_card.config_hash,
            "weights": base_card.weights_hash,
        }
    at_work = _Work(job, folder, record, reporter, stop, base, base_card, renderer, device, ranks)
    try:
        _train(at_work) if job.kind == "train" else _score(at_work)
    finally:
        record.about["peak_memory_mb"] = hardware.peak_memory(device)
        record.about.setdefault("speed", {})["flops_per_second"] = reporter.paces


def _train(at: _Work) -> None:
    job, config = at.job, at.job.config
    with at.record.phase("loading"):
        _require_prompt(at, config.answers)
        sets = read_sets(at.folder, at.job)
        train = _encode(at, "train")
        require_some(train, "train.parquet")
        pairs = _encode_pairs(at) if config.preference is not None else None
        validation = _encode(at, VALIDATION) if VALIDATION in sets else Encoded()
        form = scored_form(job, train.forms)
        if job.reasons:
            require_form(written_form(form), set(train.forms))
        at.reporter.write("loading", message="weights")
        at.ranks.send(Begin(at.folder, at.base))
        student = methods.begin(at.base, config, at.device, at.base_card.name)
        at.record.about["hardware"]["weights"] = methods.precision(config, at.device)
        at.stop.check()
        scorer = _scorer(at, sets, form, config.max_length, train.reason_tokens)
        scorer.plan(passes=1 + job.score_base + (config.preference is not None))
        by_macro_f1 = config.choose == "macro_f1" and bool(validation.examples)
        if by_macro_f1:
            scorer.require_macro_f1()
        teaching = Teaching(student, balanced(train, train, config.balance), train.ids)
        held_out = balanced(validation, train, config.balance)
        validating = Teaching(student, held_out, validation.ids) if held_out else None
        step = None if pairs is None else _preference_step(at, student, pairs, validating)
        loop = Loop(
            student,
            teaching,
            validating,
            config,
            checkpoints=Checkpoints(at.folder / "checkpoints", _identity(at, "training")),
            reporter=at.reporter,
            stop=at.stop,
            judge=scorer if by_macro_f1 else None,
            ranks=at.ranks,
        )
        at.ranks.ready()
    with at.record.phase("training"):
        trained = loop.run()
    at.record.about["training"] = _about(trained, train)
    at.record.about["speed"] = {
        "pace": pace_key(config),
        "row_tokens": student.row_tokens,
        "longest_row": trained.longest_row,
        "kept_tokens": trained.kept_tokens,
        "saving_seconds": round(trained.saving_seconds, 3),
    }
    if not trained.finished:
        raise StopRequestedError
    student.set_adapter_weights(trained.weights)
    preferred = None if step is None else _prefer(at, step, trained)
    card = Card(
        prompt_hash=at.record.hashes["prompt"],
        policy=job.policy,
        policy_hash=job.policy.hash,
        base_model=at.base_card,
        forms=tuple(sorted(set(train.forms))),
        form=form,
        max_labels=job.max_labels,
        max_length=config.max_length,
        config=config,
        step=trained.best_step,
        validation_loss=trained.best_loss if preferred is None else preferred.validation_loss.after,
    )
    _write_adapter(at.folder / "adapter", student, card)
    with at.record.phase("scoring"):
        metrics = _score_models(at, scorer, student, base_too=job.score_base)
        if preferred is not None:
            student.set_adapter_weights(trained.weights)
            before = scorer.score(student, at.folder / "predictions", by=BEFORE_PREFERENCE)
            metrics |= {"before_preference": before, "preference": preferred.figures}
    write_json(at.folder / "metrics.json", metrics)
    chosen = {name: metrics["model"].get(name) for name in ("thresholds", "temperature")}
    card = card.model_copy(update=chosen)
    card.write(at.folder / "adapter")
    readme = model_card(
        card,
        at.renderer,
        at.base,
        hashes=at.record.hashes,
        train=train,
        validation=metrics["model"].get(VALIDATION),
    )
    write_bytes(at.folder / "adapter" / README, readme.encode())


def _score(at: _Work) -> None:
    job = at.job
    with at.record.phase("loading"), tempfile.TemporaryDirectory(prefix="overrule-adapter-") as scratch:
        sets = read_sets(at.folder, at.job)
        adapter, form = None, job.inference or _form_asked(job)
        max_length = job.config.max_length
        if job.adapter is None:
            _require_prompt(at, job.config.answers)
        else:
            adapter = fetch_folder(job.adapter, Path(scratch))
            card = Card.read(adapter)
            card.require(at.renderer, at.base)
            _require_prompt(at, card.config.answers)
            form, max_length = job.inference or card.form, card.max_length
            for asked in (form, written_form(form)) if job.reasons else (form,):
                require_form(asked, card.forms)
            at.record.about["adapter"] = {"prompt": card.prompt_hash, "step": card.step}
        at.reporter.write("loading", message="weights")
        config = job.config if adapter is None else card.config
        student = methods.load(at.base, adapter, config, at.device, max_length)
        at.stop.check()
        both = job.score_base and adapter is not None
        scorer = _scorer(at, sets, form, max_length)
        scorer.plan(passes=1 + both)
    with at.record.phase("scoring"):
        metrics = _score_models(at, scorer, student, base_too=both)
    write_json(at.folder / "metrics.json", metrics)


def _require_prompt(at: _Work, answers: Answers) -> None:
    """Note the prompt's hash, and refuse one that differs from what the job says."""
    at.record.hashes["prompt"] = at.renderer.hash_for(answers)
    if at.job.prompt_hash is not None:
        require_prompt(at.renderer, at.job.prompt_hash, answers)


def _form_asked(job: Job) -> Form:
    """The form that the settings ask for; of both, the direct one is scored."""
    return "direct" if job.config.answers == "both" else job.config.answers


def scored_form(job: Job, forms: Sequence[Form]) -> Form:
    """The form in which a trained student is scored: direct where it was taught that.

    Where only answers with a reason were asked for, the few rows without one, learned directly,
    do not make it a student of the direct form.
    """
    counts, asked = Counter(forms), _form_asked(job)
    return asked if counts[asked] > counts["direct"] else "direct"


def _identity(at: _Work, stage: str) -> str:
    """What must be the same for a checkpoint to be gone on from."""
    hashes = at.record.hashes
    base = [at.base_card.config_hash, at.base_card.weights_hash]
    parts = [hashes["job"], hashes["data"], hashes["prompt"], *base]
    return json.dumps([stage, *parts], sort_keys=True)


def _encode(at: _Work, name: str) -> Encoded:
    rows = read_rows(at.folder / f"{name}.parquet", labelled=True)
    encoded = encode(rows, at.renderer, at.job.config.answers, at.job.config.max_length)
    labels = dict(sorted(encoded.labels.items()))
    at.record.count(name, encoded, labels=labels, without_labels=encoded.without_labels)
    for refusal in encoded.refused:
        _log.warning("%s: row %r is left out: %s", name, refusal.id, refusal.reason)
    _log.info("%s: %d rows, %d examples", name, encoded.rows_used, len(encoded.examples))
    return encoded


def _encode_pairs(at: _Work) -> tuple[EncodedPairs, EncodedPairs]:
    """The pairs to learn, and those of validation posts, of which there may be none.

    Raises:
        DataError: there is nothing to learn a preference from; better now than after the fine-tune.
    """
    found = []
    for name in (PAIRS, VALIDATION_PAIRS):
        path = at.folder / f"{name}.parquet"
        rows = read_pairs(path) if name == PAIRS or path.is_file() else []
        encoded = encode_pairs(rows, at.renderer, at.job.config.answers, at.job.config.max_length)
        at.record.count(name, encoded, same=encoded.same)
        for refusal in encoded.refused:
            _log.warning("%s: row %r is left out: %s", name, refusal.id, refusal.reason)
        _log.info("%s: %d rows, %d pairs", name, encoded.rows_used, len(encoded.pairs))
        found.append(encoded)
    learned, validation = found
    require_pairs(learned, f"{PAIRS}.parquet")
    return learned, validation


def _preference_step(
    at: _Work, student: Student, pairs: tuple[EncodedPairs, EncodedPairs], taught: Teaching | None
) -> PreferenceStep:
    # A folder of its own: while it holds the newest checkpoint, the fine-tune's last one stays too,
    # for the step starts from its weights and is judged against them.
    checkpoints = Checkpoints(at.folder / "checkpoints" / "preference", _identity(at, "preferring"))
    return PreferenceStep(
        student,
        *pairs,
        taught,
        at.job.config,
        checkpoints=checkpoints,
        reporter=at.reporter,
        stop=at.stop,
        ranks=at.ranks,
    )


def _prefer(at: _Work, step: PreferenceStep, taught: Trained) -> Preferred:
    """Do the preference step; the student has its weights then."""
    with at.record.phase("preferring"):
        preferred = step.run(taught.best_loss)
    at.record.about["preference"] = (
        _steps(preferred.trained)
        | {"validation_preference_loss": preferred.trained.best_loss}
        | preferred.figures
    )
    return preferred


def _about(trained: Trained, train: Encoded) -> dict[str, Any]:
    return _steps(trained) | {
        "validation_loss": trained.best_loss,
        "validation_macro_f1": trained.best_macro_f1,
        "examples": len(train.examples),
        "learned_tokens": train.learned_tokens,
        "shortened": sum(example.shortened for example in train.examples),
    }


def _steps(trained: Trained) -> dict[str, Any]:
    return {
        "step": trained.step,
        "steps": trained.steps,
        "resumed_from": trained.resumed_from,
        "stopped_early": trained.stopped_early,
        "best_step": trained.best_step,
        "last_loss": trained.last_loss,
    }


def _write_adapter(folder: Path, student: Student, card: Card) -> None:
    """Write the weights' files and the card, all or nothing."""
    aside = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        student.save(aside)
        card.write(aside)
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _scorer(at: _Work, sets: Sets, form: Form, max_length: int, reason_tokens: int | None = None) -> Scorer:
    chosen = to_score(sets)
    return Scorer(
        *(
            chosen,
            at.renderer,
            form,
            at.job.max_labels,
            max_length,
            at.reporter,
            at.stop,
            Shape.read(at.base),
        ),
        aim=at.job.config.aim,
        reason_tokens=reason_tokens or USUAL_REASON,
    )


def _score_models(at: _Work, scorer: Scorer, student: Student, *, base_too: bool) -> dict[str, Any]:
    """Score the model, and where asked for the base model under it."""
    folder = at.folder / "predictions"
    reasons = at.folder / "reasons" if at.job.reasons else None
    metrics = {"model": scorer.score(student, folder, reasons)}
    if base_too:
        with student.base():
            metrics["base"] = scorer.score(student, folder, by=BASE)
    return metrics
