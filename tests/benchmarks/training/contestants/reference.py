"""The loss of each example alone under the base model, by transformers' own loss.

Fresh LoRA weights change nothing, so this is what every contestant's first step must find,
whichever examples it takes first and however it lays them out.
"""

from __future__ import annotations

import torch
from transformers import AutoModelForCausalLM

from tests.benchmarks.training.turns import Turns


@torch.no_grad()
def main() -> None:
    turns = Turns.from_command_line()
    model = AutoModelForCausalLM.from_pretrained(turns.task.model, dtype=turns.dtype).to(turns.device)
    if not turns.begin():
        return
    losses = []
    for example in turns.examples:
        ids = torch.tensor([example.ids], device=turns.device)
        labels = torch.tensor([example.labels], device=turns.device)
        losses.append(model(input_ids=ids, labels=labels, use_cache=False).loss.item())
    seconds = turns.stop()
    turns.tell(seconds, range(len(losses)), [], None, losses=losses)


main()
