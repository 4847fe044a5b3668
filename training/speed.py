"""How fast a job went, as its `result.json` tells, so that the next one can be estimated; without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from training import machine
from training.job import Config

_NO_MATTER = {
    *("epochs", "learning_rate", "warmup", "alpha", "weight_decay", "max_grad_norm", "max_length"),
    *("balance", "validations", "choose", "thresholds_for", "patience", "seed", "preference"),
}
"""Settings that change how much there is to do, or what is learned, but not how fast it goes."""

_FULL_ROWS = 32
"""A larger batch makes longer rows, or more of them, which go about as fast."""


def pace_key(config: Config) -> str:
    """sha256 (hex) over the settings that a pace depends on."""
    values = config.model_dump(mode="json", exclude=_NO_MATTER)
    values["batch_size"] = min(config.batch_size, _FULL_ROWS)
    return hashlib.sha256(repr(sorted(values.items())).encode()).hexdigest()


class Machine(BaseModel):
    """What a pace is true for: the same processor and cores, or the same GPU, and the same versions."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    device: str
    processor: str | None = None
    cores: int | None = None
    gpu: str | None = None
    devices: int = 1
    torch: str | None = None
    overrule: str | None = None

    @classmethod
    def here(cls) -> Machine:
        """This one, as a trainer would find it."""
        gpu = machine.first_gpu()
        found = cls(
            device="cpu" if gpu is None else "cuda",
            processor=machine.processor(),
            cores=machine.usable_cores(),
            gpu=None if gpu is None else gpu.name,
            torch=_version("torch"),
            overrule=_version("overrule"),
        )
        return found._essential()

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Machine:
        """The one that a job was done on.

        Raises:
            pydantic.ValidationError: the result does not say it.
        """
        versions = result.get("versions", {})
        about = {name: versions.get(name) for name in ("torch", "overrule")}
        return cls.model_validate(result.get("hardware", {}) | about)._essential()

    def _essential(self) -> Machine:
        """Beside a GPU the processor says little."""
        return self if self.gpu is None else self.model_copy(update={"processor": None, "cores": None})


class Speed(BaseModel):
    """What a finished job tells of the next.

    Attributes:
        machine: where it was done.
        base_model: sha256 (hex) of the base model's configuration.
        pace: `pace_key` of its settings.
        flops_per_second: by phase, of `training.cost`'s floating-point operations.
        loading_seconds: from its start to the first step.
        saving_seconds: of one checkpoint.
        row_tokens: the budget of its rows.
        longest_row: tokens of the longest one that was learned from.
        kept_tokens: for which the frozen layers' states were kept.
        peak_bytes: the most memory used, of the GPU where there was one, else of the process.
    """

    model_config = ConfigDict(frozen=True)

    machine: Machine
    base_model: str
    pace: str
    flops_per_second: dict[str, float]
    loading_seconds: float
    saving_seconds: float
    row_tokens: int
    longest_row: int
    kept_tokens: int
    peak_bytes: float

    @classmethod
    def of(cls, result: Mapping[str, Any]) -> Speed | None:
        """What a `result.json` tells; None where nothing was learned, or an older version wrote it."""
        timings, peak = result.get("timings", {}), result.get("peak_memory_mb", {})
        with suppress(ValidationError, KeyError, TypeError):
            if "training" not in result["speed"]["flops_per_second"]:
                return None
            return cls(
                machine=Machine.of(result),
                base_model=result["base_model"]["config"],
                loading_seconds=timings["starting"] + timings["loading"],
                peak_bytes=(peak.get("gpu") or peak["process"]) * machine.MEGABYTE,
                **result["speed"],
            )
        return None


def _version(package: str) -> str | None:
    with suppress(PackageNotFoundError):
        return version(package)
    return None
