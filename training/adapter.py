"""What an adapter's folder says of itself, beside the files that peft writes.

adapter/  adapter_model.safetensors adapter_config.json   as peft has them, or after full fine-tuning
                                                          a whole model's folder (training/full.py)
          overrule.json                                    this module
          README.md                                        for people (training/model_card.py)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from training.errors import LastingError
from training.files import write_bytes
from training.job import Config
from training.policy import Policy
from training.prompt import PROMPT_VERSION, Answers, Form, Renderer

CARD = "overrule.json"


class AdapterError(LastingError):
    """An adapter cannot be used; the message says why."""


class PromptMismatchError(AdapterError):
    """A model would be used under a prompt that it was not trained under."""


class BaseModelCard(BaseModel):
    """Which base model an adapter belongs to.

    `weights_hash` is None in the cards of adapters that were written before it was taken.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config_hash: str
    weights_hash: str | None = None

    @classmethod
    def of(cls, name: str, folder: Path) -> BaseModelCard:
        """The card of the base model in a folder, under the name that it is to have."""
        return cls(name=name, config_hash=config_hash(folder), weights_hash=weights_hash(folder))


class Card(BaseModel):
    """`overrule.json`.

    `form` is the form in which the student is scored and served; `forms` are all that it learned.
    `thresholds` (by code) are chosen on the validation posts for `config.aim`; empty where
    there were none. `temperature` is that of `training/calibration.py`, None where there were none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    prompt_version: int = PROMPT_VERSION
    prompt_hash: str
    policy: Policy
    policy_hash: str
    base_model: BaseModelCard
    forms: tuple[Form, ...]
    form: Form
    max_labels: int
    max_length: int
    config: Config
    step: int
    validation_loss: float | None = None
    thresholds: dict[str, float] = {}
    temperature: float | None = None

    @classmethod
    def read(cls, folder: Path) -> Card:
        """Read an adapter's card.

        Raises:
            AdapterError: there is none, or it is not readable.
        """
        try:
            return cls.model_validate_json((folder / CARD).read_text("utf-8"))
        except FileNotFoundError as error:
            raise AdapterError(f"{folder} is no adapter of Overrule: it has no {CARD}") from error
        except ValidationError as error:
            raise AdapterError(f"{folder / CARD} is not readable: {error.errors()[0]['msg']}") from error

    def write(self, folder: Path) -> None:
        """Write the card whole or not at all."""
        write_bytes(folder / CARD, self.model_dump_json(indent=2).encode())

    def require(self, renderer: Renderer, base_model: Path) -> None:
        """Refuse to use the adapter under another prompt or on another base model.

        Raises:
            PromptMismatchError: prompt or policy differ from those it was trained under.
            AdapterError: the base model is another.
        """
        if config_hash(base_model) != self.base_model.config_hash:
            raise AdapterError(
                f"the adapter was trained on {self.base_model.name}; "
                f"the base model in {base_model} is another. Choose that one"
            )
        learned, here = self.base_model.weights_hash, weights_hash(base_model)
        if learned is not None and learned != here:
            raise AdapterError(
                f"the adapter was trained over weights of {self.base_model.name} with the hash "
                f"{learned[:12]}…; those in {base_model} have the same configuration and the hash "
                f"{here[:12]}…. "
                "Put the base model's weights there as they were, or train again over these"
            )
        require_prompt(renderer, self.prompt_hash, self.config.answers)


def require_form(form: Form, taught: Collection[Form]) -> None:
    """Refuse to ask a student in a form that it was not taught.

    Raises:
        AdapterError: it was not.
    """
    if form not in taught:
        raise AdapterError(
            f"the student was not taught {form} answers, but {' and '.join(sorted(taught))} ones; "
            "ask for those, or train one that learns them"
        )


def require_prompt(renderer: Renderer, prompt_hash: str, answers: Answers) -> None:
    """Refuse a prompt that differs from the one with this hash.

    Args:
        renderer: of the prompt and policy here.
        prompt_hash: of those that the model was trained under.
        answers: what the model learned.

    Raises:
        PromptMismatchError: it differs.
    """
    here = renderer.hash_for(answers)
    if here != prompt_hash:
        raise PromptMismatchError(
            f"the prompt and policy here have the hash {here[:12]}…, the model was trained under "
            f"{prompt_hash[:12]}…. Use the policy version that it was trained under, or train again"
        )


def config_hash(base_model: Path) -> str:
    """sha256 (hex) of a base model's configuration, without what only says who wrote it."""
    config = json.loads((base_model / "config.json").read_text("utf-8"))
    for name in ("transformers_version", "_name_or_path", "_model_name_or_path"):
        config.pop(name, None)
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


_SAMPLES, _SAMPLE_BYTES = 64, 4096
_LONGEST_HEADER = 100_000_000
"""Bytes, by safetensors' own limit."""


def weights_hash(base_model: Path) -> str:
    """sha256 (hex) of a base model's weights, at the cost of a few hundred small reads.

    Of each safetensors file these are hashed: name, size, header (the tensors' names, types, shapes
    and places), and 64 evenly spaced samples of 4 KiB, the file's last bytes among them. So any other
    model, and one that was trained further, merged, quantised or cut short, has another hash. What
    changes a few weights between two samples has not: it tells one model from another and is no seal.
    """
    found = hashlib.sha256()
    for path in sorted(base_model.glob("*.safetensors")):
        size = path.stat().st_size
        found.update(json.dumps([path.name, size]).encode())
        with path.open("rb", buffering=0) as file:
            length = int.from_bytes(file.read(8), "little")
            found.update(file.read(min(length, _LONGEST_HEADER)))
            for sample in range(_SAMPLES):
                file.seek(max(0, size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                found.update(file.read(_SAMPLE_BYTES))
    return found.hexdigest()
