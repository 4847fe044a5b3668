"""TRL's SFTTrainer.

Settings: whatever of SFTConfig differs from what it comes with; `per_call`, how many examples or
packed rows go into one call of the model; `row_examples`, how many examples are packed into a row.
"""

from __future__ import annotations

import tempfile

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer
from trl import SFTConfig, SFTTrainer

from tests.benchmarks.training.contestants.hf_trainer import TakesTurns, listen
from tests.benchmarks.training.turns import Turns


def main() -> None:
    turns = Turns.from_command_line()
    task = turns.task
    lengths = sorted((len(example.ids) for example in turns.examples), reverse=True)
    settings = {"max_length": max(1024, lengths[0])} | task.settings
    row_examples = settings.pop("row_examples", 1)
    if row_examples > 1:
        settings |= {"packing": True, "max_length": sum(lengths[:row_examples])}
    rows_in_step = task.batch // row_examples
    per_call = settings.pop("per_call", rows_in_step)
    model_init = {"dtype": turns.dtype} | settings.pop("model_init_kwargs", {})
    listen(SFTTrainer, turns)
    with tempfile.TemporaryDirectory() as folder:
        # What has to be the same for all; the rest is as it comes.
        config = SFTConfig(
            output_dir=folder,
            num_train_epochs=task.turns,
            per_device_train_batch_size=per_call,
            gradient_accumulation_steps=rows_in_step // per_call,
            learning_rate=task.learning_rate,
            seed=task.seed,
            bf16=task.dtype == "bfloat16",
            use_cpu=task.device == "cpu",
            model_init_kwargs=model_init,
            save_strategy="no",
            report_to="none",
            **settings,
        )
        trainer = SFTTrainer(
            model=task.model,
            args=config,
            train_dataset=Dataset.from_dict(
                {
                    "input_ids": [list(example.ids) for example in turns.examples],
                    "labels": [example.labels for example in turns.examples],
                }
            ),
            processing_class=AutoTokenizer.from_pretrained(task.model),
            peft_config=LoraConfig(
                task_type="CAUSAL_LM",
                r=task.rank,
                lora_alpha=task.alpha,
                lora_dropout=0.0,
                target_modules="all-linear",
            ),
            callbacks=[TakesTurns(turns)],
        )
        trainer.train()


main()
