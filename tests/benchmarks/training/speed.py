"""Examples a second against the peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.benchmarks.training import peers
from tests.benchmarks.training.contest import Contestant, check_loss, check_work, play
from tests.benchmarks.training.figures import (
    Figure,
    examples_per_second,
    ratios,
    tokens_per_second,
    verdict,
)
from tests.benchmarks.training.posts import policy_of, render, spread
from tests.benchmarks.training.setting import Bars, Report, Setting, kept, say
from tests.benchmarks.training.task import Turn
from training.prompt import Renderer

_HEADER = ("contestant", "examples/s", "tokens/s", "first loss", "peak memory, MB")
_AS_IT_COMES: Bars = {"cpu": 5, "cuda": 5, "cuda, llama-8b": 4}
_AT_ITS_BEST: Bars = {"cpu": 2.5, "cuda": 3, "cuda, llama-8b": 2.5}
_BARS: dict[str, Bars] = {
    "trl": _AS_IT_COMES,
    "llamafactory": _AS_IT_COMES,
    "trl_best": _AT_ITS_BEST,
    "llamafactory_best": _AT_ITS_BEST,
}


def speed(setting: Setting, policy_tokens: int, only: Sequence[str]) -> Report:
    """Overrule against each peer.

    Two at a time: what a process has once used stays with it, and all of them together would
    not fit into a usual machine's memory.

    Args:
        setting: model, device, posts, batch.
        policy_tokens: about how many tokens stand before each post.
        only: names of peers; all where it is empty.
    """
    contest = Contest(setting, policy_tokens)
    opponents = peers.opponents(setting.device.type, say, only)
    played = {peer.name: contest.play([peers.OVERRULE, peer]) for peer in opponents}
    ours = {name: turns[peers.OVERRULE.name] for name, turns in played.items()}
    rows = [[*_row(peers.OVERRULE.name, list(ours.values())), "–", "–"]]
    for name, turns in played.items():
        by = Figure.of(ratios(examples_per_second(ours[name]), examples_per_second(turns[name])))
        bar = _BARS.get(name, {}).get(setting.column)
        rows.append([*_row(name, [turns[name]]), by.text(2, " ×"), verdict(by.median, bar)])
    return contest.report(
        "Fine-tuning",
        (*_HEADER, "Overrule is faster by", "bar"),
        rows,
        settings={peer.name: peer.settings for peer in opponents},
        turns={name: kept(turns) for name, turns in played.items()},
    )


def tune(setting: Setting, policy_tokens: int, peer: str, only: Sequence[str]) -> Report:
    """A peer's candidates for its best settings, one after another; all where `only` is empty."""
    contest = Contest(setting, policy_tokens)
    trials = peers.trials(peer, say, only)
    turns = {trial.name: contest.play([trial])[trial.name] for trial in trials}
    first = Figure.of(examples_per_second(turns[trials[0].name])).median
    rows = [
        [*_row(name, [of]), f"{Figure.of(examples_per_second(of)).median / first:.2f} ×"]
        for name, of in turns.items()
    ]
    return contest.report(
        f"Settings of {peer}",
        (*_HEADER, f"of the speed of {trials[0].name}"),
        rows,
        settings={trial.name: trial.settings for trial in trials},
        turns=kept(turns),
    )


class Contest:
    """The same examples for everyone, and what their loss has to be."""

    def __init__(self, setting: Setting, policy_tokens: int) -> None:
        self.setting = setting
        policy = policy_of(setting.model, policy_tokens)
        everything = render(Renderer(setting.model, policy), setting.posts)
        self.examples = spread(everything, setting.batch * setting.batches)
        self.task = setting.task("speed", self.examples)
        self.losses = setting.reference("speed", self.task)

    def play(self, contestants: Sequence[Contestant]) -> dict[str, list[Turn]]:
        """Everyone's turns, once they are known to be of the same work."""
        turns = play(contestants, self.task, self.setting.rounds, self.setting.folder, say=say)
        for name, of in turns.items():
            check_work(name, of, self.examples)
            check_loss(name, of[0], self.examples, self.losses, self.setting.dtype)
        return turns

    def report(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]], **data: Any) -> Report:
        """With what was the same for all."""
        setting, examples = self.setting, self.examples
        own = [len(example.ids) - example.prefix for example in examples]
        learned = sum(example.answer for example in examples)
        prefix = examples[0].prefix
        return Report(
            f"{title}: policy of {prefix} tokens, batch {setting.batch}",
            [
                f"{len(examples)} posts of {setting.posts_path.name},",
                f"{sum(own) / len(own):.0f} tokens each after the policy ({min(own)} to {max(own)}),",
                f"{learned} learned tokens in all;",
                f"{setting.batches} optimiser step(s) of {setting.batch} a turn;",
                f"median of {setting.rounds} rounds (least–most).",
                "Tokens are those of the examples, the policy counted in each.",
            ],
            header,
            rows,
            setting.about()
            | {"policy_tokens": prefix, "batch": setting.batch, "steps_in_turn": setting.batches}
            | data,
        )


def _row(name: str, contests: Sequence[Sequence[Turn]]) -> list[str]:
    """The columns of `_HEADER`, over all contests that it took part in."""
    speeds = [speed for turns in contests for speed in examples_per_second(turns)]
    tokens = [speed for turns in contests for speed in tokens_per_second(turns)]
    return [
        name,
        Figure.of(speeds).text(2),
        f"{Figure.of(tokens).median:.0f}",
        f"{contests[0][0].first_loss:.4f}",
        f"{max(turn.memory_mb for turns in contests for turn in turns):.0f}",
    ]
