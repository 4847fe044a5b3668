"""Trainers on a Ray cluster, through Ray Jobs. `OVERRULE_HOME` must lie where the cluster sees it."""

from __future__ import annotations

import shlex
import uuid
from pathlib import Path
from typing import Any

from backend.errors import OverruleError
from backend.jobs.launcher import Launched, trainer_environment
from backend.settings import Settings

# Ray kills what does not end soon after it was asked to; saving a checkpoint takes longer than that.
_STOP_SECONDS = 300
_ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})


class RayLauncher:
    """Ray says where a trainer runs and gives it a GPU; here it is only known by its submission id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _client(settings.ray_address)

    @property
    def places(self) -> tuple[str | None, ...]:
        """As many as the settings say; which GPU each gets is Ray's to choose."""
        return (None,) * self._settings.ray_jobs

    def start(self, folder: Path, device: str | None) -> Launched:
        """Submit the trainer."""
        environment = trainer_environment(self._settings)
        environment["RAY_JOB_STOP_WAIT_TIME_S"] = str(_STOP_SECONDS)
        reference: str = self._client.submit_job(
            entrypoint=f"python -m training {shlex.quote(str(folder))}",
            submission_id=f"overrule-{folder.name}-{uuid.uuid4().hex[:8]}",
            runtime_env={"env_vars": environment},
            metadata={"overrule_folder": str(folder)},
            entrypoint_num_gpus=1,
        )
        return Launched(reference)

    def find(self, folder: Path) -> Launched | None:
        """Look through Ray's jobs for one that is at work on the folder."""
        for job in self._client.list_jobs():
            if (job.metadata or {}).get("overrule_folder") == str(folder) and _status(job) not in _ENDED:
                return Launched(str(job.submission_id))
        return None

    def is_alive(self, launched: Launched) -> bool:
        """Whether it waits or runs there."""
        return str(self._client.get_job_status(launched.reference).value) not in _ENDED

    def stop(self, launched: Launched) -> None:
        """Ray sends SIGTERM, and kills after the time that it was told."""
        self._client.stop_job(launched.reference)

    def kill(self, launched: Launched) -> None:
        """Ray kills by itself what does not stop; it has no other way to."""
        self._client.stop_job(launched.reference)

    def last_words(self, launched: Launched, folder: Path) -> str | None:
        """What Ray says of a job that failed."""
        about = self._client.get_job_info(launched.reference)
        return str(about.message) if _status(about) == "FAILED" and about.message else None


def _status(job: Any) -> str:
    return str(job.status.value)


def _client(address: str) -> Any:
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise OverruleError(
            "The launcher is set to ray, and Ray is not installed.",
            'Install it with pip install "overrule[ray]", or set OVERRULE_LAUNCHER=local.',
        ) from error
    try:
        return JobSubmissionClient(address)
    except (ConnectionError, RuntimeError) as error:
        raise OverruleError(
            f"Ray's job server at {address} does not answer: {error}.",
            "Start the cluster, or set OVERRULE_RAY_ADDRESS.",
        ) from error
