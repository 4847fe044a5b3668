"""LLaMA-Factory's supervised fine-tuning.

Settings: whatever of its arguments differs from what it comes with; `per_call`, how many examples
or packed rows go into one call of the model; `row_examples`, how many examples are packed into a row.
"""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

if importlib.util.find_spec("torchaudio") is None:
    # It imports torchaudio whatever the data, and torchaudio's wheels do not load beside a PyTorch
    # without CUDA.
    stub = types.ModuleType("torchaudio")
    stub.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    sys.modules["torchaudio"] = stub

from datasets import Dataset, DatasetDict
from llamafactory.data.processor import PackedSupervisedDatasetProcessor, SupervisedDatasetProcessor
from llamafactory.hparams import DataArguments
from llamafactory.train.sft.trainer import CustomSeq2SeqTrainer
from llamafactory.train.tuner import run_exp
from transformers import AutoTokenizer

from tests.benchmarks.training.contestants.hf_trainer import TakesTurns, listen
from tests.benchmarks.training.task import Tokens
from tests.benchmarks.training.turns import Turns


def tokenised(examples: list[Tokens], tokenizer: Any, settings: dict[str, Any]) -> DatasetDict:
    """The examples as its own processor lays them out, padded or packed, from ids instead of texts."""
    packing = settings.get("packing", False)
    base = PackedSupervisedDatasetProcessor if packing else SupervisedDatasetProcessor

    class Processor(base):  # type: ignore[misc, valid-type]
        def _encode_data_example(self, prompt: list[int], **_: Any) -> tuple[list[int], list[int]]:
            example = examples[prompt[0]]
            return list(example.ids), example.labels

    arguments = DataArguments(
        cutoff_len=settings["cutoff_len"], packing=packing, neat_packing=settings.get("neat_packing", False)
    )
    processor = Processor(template=None, tokenizer=tokenizer, processor=None, data_args=arguments)
    nothing = [None] * len(examples)
    columns = processor.preprocess_dataset(
        {"_prompt": [[index] for index in range(len(examples))], "_response": [[0]] * len(examples)}
        | dict.fromkeys(("_system", "_tools", "_images", "_videos", "_audios"), nothing)
    )
    return DatasetDict({"train": Dataset.from_dict(dict(columns))})


def main() -> None:
    turns = Turns.from_command_line()
    task = turns.task
    lengths = sorted((len(example.ids) for example in turns.examples), reverse=True)
    settings = {"cutoff_len": max(2048, lengths[0])} | task.settings
    row_examples = settings.pop("row_examples", 1)
    if row_examples > 1:
        # It keeps one token of a packed row free; and it pads rows to a multiple of 8 but not their
        # positions, so that it breaks off with any other length.
        room = sum(lengths[:row_examples]) + 1
        settings |= {"packing": True, "neat_packing": True, "cutoff_len": room + -room % 8}
    rows_in_step = task.batch // row_examples
    per_call = settings.pop("per_call", rows_in_step)
    listen(CustomSeq2SeqTrainer, turns)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "tokenised"
        tokenizer = AutoTokenizer.from_pretrained(task.model)
        tokenised(turns.examples, tokenizer, settings).save_to_disk(str(data))
        # What has to be the same for all; the rest is as it comes.
        arguments = {
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "lora",
            "lora_target": "all",
            "lora_rank": task.rank,
            "lora_alpha": task.alpha,
            "model_name_or_path": task.model,
            "template": "smollm2",
            # It asks for a dataset's name and then reads the tokenised one.
            "dataset": "tokenised",
            "tokenized_path": str(data),
            "output_dir": str(Path(folder) / "output"),
            "num_train_epochs": task.turns,
            "per_device_train_batch_size": per_call,
            "gradient_accumulation_steps": rows_in_step // per_call,
            "learning_rate": task.learning_rate,
            "seed": task.seed,
            "bf16": task.dtype == "bfloat16",
            "use_cpu": task.device == "cpu",
            "save_strategy": "no",
            "report_to": "none",
        }
        run_exp(arguments | settings, callbacks=[TakesTurns(turns)])


main()
