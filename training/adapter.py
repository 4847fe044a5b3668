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
    """Which base model an adapter belongs to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    config_hash: str


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
