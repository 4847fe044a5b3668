"""One job from its folder to its result. Torch is imported only once the folder is known to be good."""

from __future__ import annotations

import logging
import os
import shutil
import sys
from pathlib import Path

from filelock import FileLock, Timeout
from pydantic import ValidationError

from training import ranks
from training.base_model import BaseModelError
from training.errors import LastingError
from training.files import is_disk_full
from training.folder import FolderError, JobFolder
from training.job import Config, Job
from training.memory import HINT, is_out_of_memory
from training.progress import BEGUN, Reporter
from training.ranks import Ranks
from training.result import RESULT, Record, hash_data, read_result
from training.stop import Stop, StopRequestedError

_log = logging.getLogger("training")

DONE, FAILED, STOPPED = 0, 1, 3
"""Exit codes."""


def run(address: str, stop: Stop) -> int:
    """Do a job.

    Args:
        address: the job's folder, a path or any fsspec address.
        stop: looked at between steps.

    Returns:
        The exit code. Whatever happens inside the folder is told in its `result.json`.
    """
    _prepare_environment()
    if ranks.count() == 1:
        return _lead(address, stop, Ranks())
    from training import collective

    collective.join()
    if ranks.own() > 0:
        from training.helper import help_out

        try:
            help_out()
        finally:
            collective.leave()
        return DONE
    leader = collective.Leader()
    try:
        return _lead(address, stop, leader)
    finally:
        leader.close()


def _lead(address: str, stop: Stop, helped: Ranks) -> int:
    """Do a job, alone or with helpers."""
    try:
        with JobFolder(address) as folder, FileLock(folder.local / ".lock", blocking=False):
            handler = _log_into(folder.local / "log.txt")
            try:
                return _in_folder(folder, stop, helped)
            finally:
                _log.removeHandler(handler)
                logging.getLogger("py.warnings").removeHandler(handler)
                handler.close()
    except Timeout:
        return _say(f"another process is at work on {address}; wait for it, or stop it")
    except (FolderError, OSError) as error:
        return _say(f"the job's folder {address} cannot be used: {error}")


def _prepare_environment() -> None:
    """Settings that libraries read when they are loaded; what the user has set stands."""
    # The tokenizers run in this process alone; without this they warn of every fork.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Threads that wait must sleep: where the page, the worker and others share the cores, threads
    # that spin held a step up five times as long (measured with two threads on two busy cores).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _in_folder(folder: JobFolder, stop: Stop, helped: Ranks) -> int:
    record = Record(folder.local)
    try:
        job = Job.read(folder.local)
        record.kind = job.kind
        record.hashes = {"job": job.hash, "policy": job.policy.hash, "data": hash_data(folder.local)}
        before = read_result(folder.local)
        same = before is not None and all(
            before.get("hashes", {}).get(name) == record.hashes[name] for name in ("job", "data")
        )
        if before is not None and same and before["status"] == "done":
            _log.info("the job is done already")
            return DONE
        _clear(folder.local, keep_outputs=before is not None and same and before["status"] == "stopped")
        record.reserve()
        reporter = Reporter(folder.local / "progress.jsonl", folder.push)
        reporter.write("loading", message=BEGUN)
        with record.phase("starting"):
            from training.work import work

        work(job, folder.local, record, reporter, stop, helped)
        reporter.write("done")
        record.write("done")
        # Nothing goes on from here: the adapter holds what was learned.
        shutil.rmtree(folder.local / "checkpoints", ignore_errors=True)
    except StopRequestedError:
        return _stopped(record)
    except Exception as error:  # noqa: BLE001 - whatever it is, the result must say so
        if stop.requested and isinstance(error, BaseModelError):
            # A signal to the whole process group ends a download too; that is no failure.
            return _stopped(record)
        _log.exception("the job failed")
        return _failed(record, error)
    return DONE


def _stopped(record: Record) -> int:
    _log.info("stopped on request; started again, the job goes on from here")
    record.write("stopped", "stopped on request", "Resume goes on from the checkpoint.")
    return STOPPED


def _failed(record: Record, error: Exception) -> int:
    reason, hint = explain(error, record.folder)
    record.about["fails_again"] = isinstance(error, LastingError | ValidationError)
    try:
        record.write("failed", reason, hint)
    except OSError as full:
        _log.error("the result cannot be written: %s", full)
    return _say(f"{reason} {hint or ''}".strip())


def explain(error: Exception, folder: Path) -> tuple[str, str | None]:
    """What went wrong in a sentence, and what to do about it where that is known."""
    if is_disk_full(error):
        return (
            f"the disk that holds {folder} is full",
            "Free some space and resume: the job goes on from its last complete checkpoint.",
        )
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, FileNotFoundError) and str(error.filename or "").endswith("job.json"):
        return "the folder has no job.json", "Write the job again."
    if is_out_of_memory(error):
        return "the memory ran out", HINT
    hint = getattr(error, "hint", None)
    # Overrule's own errors are sentences; others need their kind to be understood.
    own = type(error).__module__.startswith("training.")
    return (str(error) if own else f"{type(error).__name__}: {error}"), hint or (
        None if own else "log.txt has the details."
    )


def _invalid(error: ValidationError) -> tuple[str, str]:
    """The first thing in `job.json` that cannot be, and what to change."""
    first = error.errors()[0]
    place, said = ".".join(str(part) for part in first["loc"]), first["msg"].removeprefix("Value error, ")
    if not place or isinstance(first["input"], dict):
        return f"job.json is not a valid job: {place or 'the document'}: {said}", "Write the job again."
    setting = Config.model_fields.get(str(first["loc"][-1]))
    about = f" ({setting.description})" if setting and setting.description else ""
    return (
        f"job.json is not a valid job: {place} cannot be {first['input']!r}: {said}",
        f"Change {place}{about}",
    )


def _clear(folder: Path, *, keep_outputs: bool) -> None:
    """Remove what an earlier process left, but what a stopped one finished stands."""
    (folder / RESULT).unlink(missing_ok=True)
    if not keep_outputs:
        for name in ("adapter", "predictions", "reasons"):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / "metrics.json").unlink(missing_ok=True)


def _log_into(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    _log.setLevel(logging.INFO)
    _log.addHandler(handler)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(handler)
    return handler


def _say(message: str) -> int:
    sys.stderr.write(message + "\n")
    return FAILED
