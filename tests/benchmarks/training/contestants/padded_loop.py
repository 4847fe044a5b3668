"""What someone who knows PyTorch writes in an hour: peft, sorted by length, right padding, no Trainer.

Padding on the right needs no mask under causal attention, and the head is computed on learned
tokens only. Settings: `per_call`, examples in one call of the model.
"""

from __future__ import annotations

import random
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import AutoModelForCausalLM

from tests.benchmarks.training.task import Task, Tokens
from tests.benchmarks.training.turns import Turns


def sorted_batches(examples: list[Tokens], task: Task, epoch: int) -> list[list[int]]:
    """One epoch's batches: alike in length, in a random order."""
    by_length = sorted(range(len(examples)), key=lambda index: len(examples[index].ids))
    batches = [by_length[at : at + task.batch] for at in range(0, len(by_length), task.batch)]
    random.Random(f"{task.seed}/{epoch}").shuffle(batches)
    return batches


def load(turns: Turns) -> Any:
    torch.manual_seed(turns.task.seed)
    base = AutoModelForCausalLM.from_pretrained(turns.task.model, dtype=turns.dtype).to(turns.device)
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=turns.task.rank,
        lora_alpha=turns.task.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
    )
    return get_peft_model(base, lora)


def loss_sum(model: Any, batch: list[Tokens], device: torch.device) -> torch.Tensor:
    """The loss summed over the learned tokens of one padded call."""
    longest = max(len(example.ids) for example in batch)
    ids = torch.zeros(len(batch), longest, dtype=torch.long)
    learned = torch.zeros(len(batch), longest, dtype=torch.bool)
    targets: list[int] = []
    for row, example in enumerate(batch):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        learned[row, len(example.ids) - example.answer - 1 : len(example.ids) - 1] = True
        targets.extend(example.ids[-example.answer :])
    causal = model.get_base_model()
    hidden = causal.model(input_ids=ids.to(device), use_cache=False).last_hidden_state
    logits = causal.lm_head(hidden[learned.to(device)]).float()
    return functional.cross_entropy(logits, torch.tensor(targets, device=device), reduction="sum")


def main() -> None:
    turns = Turns.from_command_line()
    task, examples = turns.task, turns.examples
    model = load(turns)
    model.train()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=task.learning_rate, weight_decay=0.0, fused=True)
    per_call = task.settings.get("per_call", task.batch)
    for epoch in range(task.turns):
        if not turns.begin():
            return
        losses: list[torch.Tensor] = []
        batches = sorted_batches(examples, task, epoch)
        for batch in batches:
            learned = sum(examples[index].answer for index in batch)
            total = torch.zeros((), device=turns.device)
            for at in range(0, len(batch), per_call):
                part = [examples[index] for index in batch[at : at + per_call]]
                loss = loss_sum(model, part, turns.device) / learned
                torch.autograd.backward(loss)
                total += loss.detach()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(total)
        seconds = turns.stop()
        rest = [index for batch in batches[1:] for index in batch]
        turns.tell(seconds, batches[0], rest, losses[0].item())


main()
