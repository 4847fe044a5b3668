"""The frozen lower layers of a student: computed once for each text, then kept.

Where only the upper layers learn, what goes into the lowest of them never changes, neither for the
prefix nor for an example, whose tokens see nothing but the prefix and their own past. It is computed
when an example is first met and read from memory in every later epoch and validation.

Rounding depends on what else lies in a row, so each example is always computed in the same company,
its group. A run that is resumed, and meets its examples in another order, gets the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from training.layout import PackedRow, pack
from training.prompt import Example
from training.segments import Segments

_Text = Example | tuple[int, ...]
"""An example, or a prefix."""


class LowerLayers:
    """The layers below the lowest that learns, and what they gave for each text.

    Args:
        decoder: transformers' decoder, with `layers`.
        frozen: how many layers lie below the lowest that learns; at least 1.
        groups: all examples that will be asked for, in the company in which each is computed.
        row_tokens: gives the tokens to a row, which shrink where memory runs out.
        row_multiple: tokens to a multiple of which rows are filled up.
        device: where to compute.

    Attributes:
        tokens: tokens computed so far.
    """

    def __init__(
        self,
        decoder: Any,
        frozen: int,
        groups: Sequence[Sequence[Example]],
        *,
        row_tokens: Callable[[], int],
        row_multiple: int,
        device: torch.device,
    ) -> None:
        self._decoder = decoder
        self._whole = decoder.layers
        self._upper = torch.nn.ModuleList(list(decoder.layers)[frozen:])
        # One layer more than is needed: its input is what is looked for, whatever norm comes after.
        self._lower = torch.nn.ModuleList(list(decoder.layers)[: frozen + 1])
        self._row_tokens = row_tokens
        self._row_multiple = row_multiple
        self._device = device
        self._group = {example: group for group in groups for example in group}
        self._kept: dict[_Text, Tensor] = {}
        self.tokens = 0

    def __contains__(self, row: PackedRow) -> bool:
        return all(example in self._group for example in row.examples)

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Inside, the decoder begins with the first layer that learns, and wants that layer's input."""
        self._decoder.layers = self._upper
        try:
            yield
        finally:
            self._decoder.layers = self._whole

    def input_above(self, row: PackedRow) -> Tensor:
        """What goes into the lowest layer that learns, (1, T, D), for a row of known examples.

        What fills the row up has states of 0.
        """
        prefix = row.examples[0].prefix
        if prefix and prefix not in self._kept:
            ids = torch.tensor(prefix, device=self._device)
            # As one segment, so that its attention is computed as in a packed row.
            self._kept[prefix] = self._computed(input_ids=ids[None], segments=Segments(0, (len(prefix),)))
        for example in row.examples:
            if example not in self._kept:
                self._compute(self._group[example])
        texts: list[_Text] = [*([prefix] if prefix else []), *row.examples]
        kept = [self._kept[text] for text in texts]
        missing = len(row.ids) - sum(map(len, kept))
        return torch.cat([*kept, kept[0].new_zeros(missing, kept[0].shape[1])])[None]

    def _compute(self, group: Sequence[Example]) -> None:
        for row in pack(group, self._row_tokens()):
            laid = row.filled(self._row_multiple).to(self._device)
            states = self._computed(
                input_ids=laid.ids[None], position_ids=laid.positions[None], segments=laid.segments
            )
            own = torch.split(states[row.segments.prefix : len(row.ids)], list(row.segments.lengths))
            # Copies, because a part would hold on to the whole row.
            self._kept |= {example: part.clone() for example, part in zip(row.examples, own, strict=True)}

    @torch.no_grad()
    def _computed(self, **inputs: Any) -> Tensor:
        """The input of the lowest layer that learns, (T, D)."""
        caught: list[Tensor] = []

        def catch(_module: torch.nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            caught.append(given[0] if given else named["hidden_states"])

        hook = self._upper[0].register_forward_pre_hook(catch, with_kwargs=True)
        self._decoder.layers = self._lower
        try:
            self._decoder(**inputs, use_cache=False)
        finally:
            self._decoder.layers = self._whole
            hook.remove()
        self.tokens += caught[0].shape[1]
        return caught[0][0]
