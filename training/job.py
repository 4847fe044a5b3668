"""The job folder's contract: what `job.json` says and where each file lies.

    JOB/  job.json                       what to do (this module)
          train.parquet                  id, text, labels, analysis, harmful
          validation.parquet             the same columns
          pairs.parquet                  for the preference step: the same columns, and beside them
                                         rejected_labels, rejected_analysis, rejected_harmful
          validation_pairs.parquet       the same for validation posts; may be missing
          sets/NAME.parquet              id, text
          sets/thresholds.parquet        id, text, labels: where given, thresholds are chosen on these
          progress.jsonl                 one event a line (training/progress.py)
          log.txt
          checkpoints/                   complete or absent
          adapter/                       safetensors, adapter_config.json (or a whole model), overrule.json
          predictions/NAME.parquet       id, p_<code>…, any_violation, valid_mass: the student
          predictions/base/NAME.parquet  the same for the base model, where asked for
          predictions/before-preference/NAME.parquet  the same for the student before that step
          reasons/NAME.parquet           where asked for: id, analysis, harmful, labels as the student
                                         wrote them; labels are null where that cannot be read
          metrics.json  result.json

`labels` and `harmful` are lists of strings, labels being category codes; `analysis` may be
null, and such a row is learned in the direct form only.

`validation.parquet` has the answers that are taught, for the loss; "thresholds" has what people
decided, so that the thresholds are the same people's whatever was taught. Without that set
validation is scored and serves for both.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from training.policy import Policy
from training.prompt import Answers
from training.thresholds import Aim

Choice = Literal["loss", "macro_f1"]
Method = Literal["lora", "qlora", "full"]
Precision = Literal["auto", "float32"]
Kind = Literal["train", "score"]
Inference = Literal["direct", "reasoned"]

THRESHOLDS = "thresholds"
"""The set that thresholds are chosen on."""

PAIRS, VALIDATION_PAIRS = "pairs", "validation_pairs"
"""The files of the preference step. They are read only where the settings have that step."""

BASE, BEFORE_PREFERENCE = "base", "before-preference"
"""Folders under `predictions/`: what other models than the job's own say of the same posts."""


class Preference(BaseModel):
    """The settings of the preference step, which follows the fine-tune (training/preference.py)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    beta: float = Field(
        0.1,
        gt=0,
        le=10,
        description="How soon a preference is enough: higher stays closer to the base model.",
    )
    epochs: int = Field(1, ge=1, le=100, description="Passes over the pairs; time grows with it.")
    learning_rate: float = Field(1e-4, gt=0, le=0.1, description="Peak rate; far below the fine-tune's own.")
    batch_size: int = Field(8, ge=1, le=1024, description="Pairs in one optimiser step.")


class Config(BaseModel):
    """The settings of one fine-tune. Every field says what it costs or buys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    answers: Answers = Field(
        "direct",
        description="What is learned: labels only, reason then labels, each once, or labels then reason.",
    )
    epochs: int = Field(3, ge=1, le=100, description="Passes over the training rows; time grows with it.")
    learning_rate: float = Field(
        1e-3, gt=0, le=0.1, description="Peak rate, after warm-up; then a cosine to a tenth."
    )
    batch_size: int = Field(8, ge=1, le=1024, description="Examples in one optimiser step.")
    warmup: float = Field(0.1, ge=0, lt=1, description="Share of the steps over which the rate rises.")
    method: Method = Field(
        "lora",
        description="LoRA; LoRA over a base model in 4 bits, for a GPU with little memory; "
        "or all weights of a small model, at a far lower learning rate.",
    )
    rank: int = Field(16, ge=1, le=512, description="LoRA rank: more can learn more, and more by heart.")
    alpha: int = Field(32, ge=1, le=2048, description="LoRA scale; the update is multiplied by alpha / rank.")
    rslora: bool = Field(
        False, description="rsLoRA: alpha / √rank instead, so that a high rank is not scaled away."
    )
    dora: bool = Field(
        False, description="DoRA: the size of each output learns apart from its direction; slower."
    )
    targets: str | tuple[str, ...] = Field("all-linear", description="Which linear layers get LoRA weights.")
    layers: float = Field(
        1.0, gt=0, le=1, description="Share of the layers, from the top, that learn; fewer are faster."
    )
    precision: Precision = Field(
        "auto",
        description="Of the base model's weights: bf16 where the device computes that faster, else fp32; "
        "or fp32 wherever it runs. LoRA weights are always fp32.",
    )
    balance: float = Field(
        0.0,
        ge=0,
        le=1,
        description="How much more rare answers count: 0 all rows alike, 1 every answer alike. "
        "The probabilities then no longer follow how often each answer occurs.",
    )
    weight_decay: float = Field(0.0, ge=0, le=1, description="Pull of the LoRA weights towards zero.")
    max_grad_norm: float = Field(1.0, gt=0, description="Longer gradients are scaled down to this norm.")
    max_length: int = Field(
        512, ge=32, le=32768, description="Tokens in one example; longer posts lose their middle."
    )
    validations: int = Field(
        6, ge=1, le=100, description="How often in the run the validation loss is taken."
    )
    choose: Choice = Field(
        "loss",
        description="What is best on validation and is kept: the lowest loss, or the highest macro-F1 at the "
        "best thresholds. Macro-F1 scores all validation posts at each validation, which takes longer.",
    )
    thresholds_for: str = Field(
        "f1",
        description="What the thresholds are chosen for on validation posts: f1, or precision=0.9 for the "
        "most recall at that precision, or recall=0.9 for the most precision at that recall.",
    )
    patience: int | None = Field(
        None, ge=1, le=100, description="End the run after so many validations without a better one."
    )
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of LoRA weights and data order.")
    preference: Preference | None = Field(
        None, description="After the fine-tune: people's corrected answers over the teacher's wrong ones."
    )

    @field_validator("thresholds_for")
    @classmethod
    def _is_an_aim(cls, value: str) -> str:
        return str(Aim.read(value))

    @property
    def aim(self) -> Aim:
        """What the thresholds are chosen for."""
        return Aim.read(self.thresholds_for)

    @property
    def of_preference_step(self) -> Config:
        """The same settings with epochs, learning rate and batch size of the preference step."""
        if self.preference is None:
            raise ValueError("these settings have no preference step")
        return self.model_copy(update=self.preference.model_dump(exclude={"beta"}))

    @model_validator(mode="after")
    def _go_together(self) -> Config:
        if self.method == "full" and (self.rslora or self.dora):
            raise ValueError("rsLoRA and DoRA are kinds of LoRA; switch them off, or choose lora or qlora")
        if self.method == "full" and self.preference is not None:
            raise ValueError(
                "the preference step compares a student with itself without its adapter, and full "
                "fine-tuning leaves none; switch the step off, or choose lora or qlora"
            )
        return self


PRESETS: dict[str, Config] = {
    "quick": Config(epochs=4, layers=1 / 3),
    "standard": Config(epochs=3, learning_rate=2e-3, layers=1 / 3),
    "thorough": Config(epochs=6, answers="both", rank=32, alpha=64),
    "large": Config(epochs=3, answers="both", learning_rate=2e-4, batch_size=16, max_length=1024),
}

PRESET_NEEDS: dict[str, str] = {
    "large": "For a base model of 7 to 8 billion weights. Needs a GPU with 32 GB, "
    "or with 24 GB by the method qlora."
}
"""What a preset asks of model and machine, where it asks anything; docs/training.md has the arithmetic."""


class Job(BaseModel):
    """What `python -m training JOB` is to do.

    `base_model` is a folder, a hub id, or "default". `adapter` is a folder and set only where
    a trained student is scored. `sets` are names under `sets/`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    base_model: str
    policy: Policy
    config: Config = Config()
    adapter: str | None = None
    sets: tuple[str, ...] = ()
    score_base: bool = Field(False, description="Score the base model on the same sets in the same run.")
    inference: Inference | None = Field(
        None,
        description="Score the labels right after the prompt, or after a reason that is written first; "
        "without it as the student is used: directly where it was taught both.",
    )
    reasons: bool = Field(
        False,
        description="Keep what the student writes of each post. One that is scored directly then writes "
        "a reason, too, which takes far longer than its scores.",
    )
    max_labels: int = Field(
        2, ge=1, le=8, description="Answers naming at most so many categories are scored."
    )
    prompt_hash: str | None = Field(None, description="Where given, the prompt must have this hash.")
    device: Literal["auto", "cpu", "cuda"] = "auto"

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Job:
        if self.kind == "train" and self.adapter is not None:
            raise ValueError("a training job starts from the base model; it takes no adapter")
        if self.kind == "train" and self.inference is not None:
            raise ValueError("inference is chosen for a scoring job; a training job scores as it taught")
        if self.kind == "train" and self.reasons and self.config.answers == "direct":
            raise ValueError(
                "direct answers have no reasons to keep; teach another kind of answer, or ask for none"
            )
        if self.kind == "score" and not self.sets:
            raise ValueError("a scoring job names at least one set")
        return self

    @property
    def hash(self) -> str:
        """sha256 (hex) over the job as written; a checkpoint of another job is never resumed."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Read and check `job.json`.

        Raises:
            FileNotFoundError: there is none.
            pydantic.ValidationError: it does not fit the contract.
        """
        return cls.model_validate_json((folder / "job.json").read_text("utf-8"))

    def write(self, folder: Path) -> None:
        """Write `job.json` into the folder, made where missing."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "job.json").write_text(self.model_dump_json(indent=2), "utf-8")
