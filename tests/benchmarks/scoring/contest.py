"""The same posts, model and policy: Overrule's scores beside what transformers alone would do.

Everyone computes in this process and only one at a time, so that all meet the same machine. A turn
is each contestant's work once; the first turns warm up and are not counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig

from tests.benchmarks.training.posts import Post, policy_of, read_posts, render, spread
from tests.benchmarks.training.task import Tokens
from training import hardware
from training.answers import AnswerTree, answer_tree
from training.job import Config, Precision
from training.layout import pack
from training.prompt import Answer, Example, Renderer
from training.scoring import score
from training.student import Student, new_student

MAX_LABELS = 2
TOLERANCE = {"float32": 1e-4, "bfloat16": 5e-2}
"""How far a probability may lie from a full forward's; bf16 rounds each layer's states to 1 in 256."""

BATCHES = (1, 4, 8, 16)
"""Posts that `generate` is given at once; the fastest in the warm-up takes part."""


_BATCH, _PASSES, _RATE = 8, 3, 2e-3


class OtherScoresError(Exception):
    """A contestant does not compute the same; its speed says nothing."""


@dataclass(frozen=True)
class Contest:
    """What is the same for everyone.

    Attributes:
        model: the base model's folder.
        posts_path: the file of posts.
        count: posts in a turn of Overrule, evenly from the file's shortest to its longest. It computes the
            policy once in each turn, and students score thousands of posts.
        few: posts in a turn of the others, likewise; what they do for a post does not depend on how many.
        answered: of these, how many are computed by a full forward for each valid answer.
        policy_tokens: about how many tokens stand before a post.
        taught: posts that the student learns first, none of them of the turn; what it then says is
            as sure as what students say in use.
    """

    model: Path
    posts_path: Path
    device: torch.device
    precision: Precision
    count: int
    few: int
    answered: int
    policy_tokens: int
    taught: int = 0
    max_length: int = 8192

    @cached_property
    def renderer(self) -> Renderer:
        """Of the benchmarks' policy."""
        return Renderer(self.model, policy_of(self.model, self.policy_tokens))

    @cached_property
    def tree(self) -> AnswerTree:
        """All valid answers."""
        return answer_tree(self.renderer, "direct", MAX_LABELS)

    @cached_property
    def posts(self) -> list[tuple[Post, Example, int]]:
        """Each post with its prompt and the tokens of its right answer."""
        return self._spread(self.count)

    @cached_property
    def few_posts(self) -> list[tuple[Post, Example, int]]:
        """Those of the others' turns."""
        return self._spread(self.few)

    def _spread(self, count: int) -> list[tuple[Post, Example, int]]:
        by_tokens = self._rendered
        return [
            (post, self.renderer.example(post.text, "direct", None, self.max_length), chosen.answer)
            for chosen in spread(list(by_tokens), count)
            for post in [by_tokens[chosen]]
        ]

    @cached_property
    def _rendered(self) -> dict[Tokens, Post]:
        every = read_posts(self.posts_path)
        return dict(zip(render(self.renderer, every), every, strict=True))

    @property
    def to_answer(self) -> list[int]:
        """The posts, by index, that are computed for each valid answer."""
        return np.linspace(0, self.count - 1, self.answered).round().astype(int).tolist()

    @cached_property
    def dtype(self) -> torch.dtype:
        """Of the base model's weights."""
        return hardware.weights_dtype(self.device, self.precision)

    @cached_property
    def student(self) -> Student:
        """With LoRA weights that have learned the posts it is to be taught."""
        config = Config(precision=self.precision, max_length=2048, layers=1 / 3)
        student = new_student(self.model, config, self.device, "base")
        timed = {post.number for post, _, _ in (*self.posts, *self.few_posts)}
        posts = [post for post in self._rendered.values() if post.number not in timed][: self.taught]
        examples = [
            self.renderer.example(
                post.text, "direct", Answer(self.renderer.policy.in_order(post.labels)), 2048
            )
            for post in posts
        ]
        teach(student, examples)
        return student

    @cached_property
    def plain(self) -> Any:
        """The same weights as transformers has them, LoRA merged into them."""
        model = AutoModelForCausalLM.from_pretrained(self.model, dtype=self.dtype).to(self.device)
        with TemporaryDirectory() as folder:
            self.student.save(Path(folder))
            merged = PeftModel.from_pretrained(model, folder).merge_and_unload()
        return merged.eval()

    def overrule(self) -> np.ndarray[Any, Any]:
        """The probabilities of all posts, (posts, C + 2)."""
        table = score(
            self.student,
            self.renderer,
            range(self.count),
            [post.text for post, _, _ in self.posts],
            max_labels=MAX_LABELS,
            max_length=2048,
        ).table
        return table.drop(columns="id").to_numpy()

    @torch.no_grad()
    def generate(self, batch: int) -> int:
        """Let transformers write answers, batched by length; the tokens written.

        A batch ends with its longest right answer: so short a student's own would be at best.
        """
        ordered = sorted(self.few_posts, key=lambda one: len(one[1]))
        return sum(self._generate(ordered[start : start + batch]) for start in range(0, len(ordered), batch))

    def _generate(self, posts: Sequence[tuple[Post, Example, int]]) -> int:
        longest, end = max(len(prompt) for _, prompt, _ in posts), self.renderer.end_id
        ids = torch.full((len(posts), longest), end)
        mask = torch.zeros_like(ids)
        for row, (_, prompt, _) in enumerate(posts):
            ids[row, longest - len(prompt) :] = torch.tensor(prompt.ids)
            mask[row, longest - len(prompt) :] = 1
        tokens = max(answer for _, _, answer in posts)
        output = self.plain.generate(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            generation_config=GenerationConfig(
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                eos_token_id=end,
                pad_token_id=end,
            ),
        )
        return int(output[:, longest:].numel())

    @torch.no_grad()
    def forward(self) -> Tensor:
        """A full forward for each post, which tells its answer's first token alone, (posts, V)."""
        return torch.stack([self._logits(prompt.ids, 1)[0] for _, prompt, _ in self.few_posts])

    @torch.no_grad()
    def forwards(self) -> np.ndarray[Any, Any]:
        """A full forward for each valid answer to each of the posts to answer, (answered, C + 2)."""
        found = []
        for index in self.to_answer:
            prompt = self.posts[index][1].ids
            chances = np.exp([self._chance(prompt, labels) for labels in self.tree.answers])
            naming = [[code in labels for labels in self.tree.answers] for code in self.renderer.policy.codes]
            any_violation = [bool(labels) for labels in self.tree.answers]
            mass = chances.sum()
            found.append([*(np.array([*naming, any_violation]) @ chances / mass), mass])
        return np.array(found)

    def _chance(self, prompt: tuple[int, ...], labels: tuple[str, ...]) -> float:
        """The logarithm of the probability of an answer."""
        answer = self.renderer.label_ids("direct", labels)
        log = self._logits(prompt + answer[:-1], len(answer)).double().log_softmax(-1)
        return float(log[range(len(answer)), list(answer)].sum())

    def _logits(self, ids: tuple[int, ...], last: int) -> Tensor:
        given = torch.tensor([ids], device=self.device)
        logits: Tensor = self.plain(input_ids=given, use_cache=False, logits_to_keep=last).logits[0]
        return logits.float().cpu()

    def check(self) -> float:
        """How far Overrule's probabilities lie from a full forward's at most.

        Raises:
            OtherScoresError: further than the precision allows.
        """
        apart = float(np.abs(self.overrule()[self.to_answer] - self.forwards()).max())
        allowed = TOLERANCE[str(self.dtype).removeprefix("torch.")]
        if not apart <= allowed:
            raise OtherScoresError(
                f"the scores lie up to {apart:.2g} from a full forward's, more than {allowed:g}: "
                "it does not compute the same, so its speed says nothing"
            )
        return apart


def teach(student: Student, examples: Sequence[Example]) -> None:
    """A short fine-tune: three passes in batches of eight."""
    optimiser = torch.optim.AdamW(student.trained_parameters().values(), lr=_RATE)
    for _ in range(_PASSES):
        for start in range(0, len(examples), _BATCH):
            batch = examples[start : start + _BATCH]
            optimiser.zero_grad()
            for row in pack(batch, student.row_tokens):
                (student.loss_sum(row) / sum(len(example.answer) for example in batch)).backward()
            optimiser.step()


@dataclass
class Turns:
    """What a contestant's turns took.

    Attributes:
        name: in the table.
        posts: in a turn.
        work: a turn.
        seconds: of each turn that counts.
    """

    name: str
    posts: int
    work: Callable[[], Any]
    seconds: list[float] = field(default_factory=list)

    def turn(self) -> float:
        """Do the work once; seconds that it took."""
        began = time.perf_counter()
        self.work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter() - began

    @property
    def speeds(self) -> list[float]:
        """Posts a second of each turn that counts."""
        return [self.posts / seconds for seconds in self.seconds]


def play(contest: Contest, rounds: int, say: Callable[[str], None]) -> list[Turns]:
    """A warm-up of everyone, then so many rounds of a turn each; Overrule is the first of the list."""
    tried = [
        Turns(f"`generate`, {batch} at once", contest.few, lambda size=batch: contest.generate(size))
        for batch in BATCHES
        if batch <= contest.few
    ]
    for one in tried:
        one.turn()
    times = [one.turn() for one in tried]
    for one, seconds in zip(tried, times, strict=True):
        say(f"{one.name}: {contest.few / seconds:.2f} posts/s in the warm-up")
    contestants = [
        Turns("Overrule", contest.count, contest.overrule),
        tried[int(np.argmin(times))],
        Turns("a forward for each post", contest.few, contest.forward),
    ]
    for one in contestants:
        one.turn()
    for number in range(1, rounds + 1):
        for one in contestants:
            one.seconds.append(one.turn())
            say(f"{one.name}: round {number} of {rounds} {one.speeds[-1]:.2f} posts/s")
    return contestants
