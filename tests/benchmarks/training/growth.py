"""How the time for an example grows with the policy."""

from __future__ import annotations

from tests.benchmarks.training.contest import Contestant, ContestError, play
from tests.benchmarks.training.figures import Figure, counted, verdict
from tests.benchmarks.training.posts import nearest, policy_of, render
from tests.benchmarks.training.setting import Bars, Report, Setting, kept, say
from training.prompt import Renderer

_BARS: Bars = {"cpu": 1.6, "cuda": 1.6, "cuda, llama-8b": 1.3}
_POLICIES = (250, 1000)
_OWN_TOKENS = 66
_ROW_EXAMPLES = 64


def growth(setting: Setting) -> Report:
    """A policy of 1,000 tokens instead of 250, with 64 examples of about 66 tokens to a row."""
    sets = []
    for tokens in _POLICIES:
        renderer = Renderer(setting.model, policy_of(setting.model, tokens))
        sets.append(nearest(render(renderer, setting.posts), _OWN_TOKENS, _ROW_EXAMPLES))
    task = setting.task("short", sets[0], batch=_ROW_EXAMPLES, batches=1)
    long = setting.task("long", sets[1]).examples
    contestant = Contestant("growth", "growth", settings={"long": long, "row_examples": _ROW_EXAMPLES})
    turns = play([contestant], task, setting.rounds, setting.folder, say=say)["growth"]
    if turns[0].about["rows"] != {"short": 1, "long": 1}:
        raise ContestError(f"the examples lie in {turns[0].about['rows']} rows; it has to be one")
    by_policy = [turn.about["by_policy"] for turn in counted(turns)]
    grown = Figure.of([seconds["long"] / seconds["short"] for seconds in by_policy])
    own = [len(example.ids) - example.prefix for example in sets[0]]
    return Report(
        "Growth with the policy",
        [
            f"{_ROW_EXAMPLES} examples of {sum(own) / len(own):.0f} tokens ({min(own)} to {max(own)})",
            f"after the policy, in one row; median of {setting.rounds} rounds (least–most).",
        ],
        ("policy, tokens", "ms an example", "of the time with the shorter policy", "bar"),
        [
            [str(sets[0][0].prefix), _milliseconds([seconds["short"] for seconds in by_policy]), "1", "–"],
            [
                str(sets[1][0].prefix),
                _milliseconds([seconds["long"] for seconds in by_policy]),
                grown.text(2, " ×"),
                verdict(grown.median, _BARS.get(setting.column), at_least=False),
            ],
        ],
        setting.about() | {"ratio": grown.median, "turns": kept({"growth": turns})},
    )


def _milliseconds(seconds: list[float]) -> str:
    return Figure.of([1000 * one / _ROW_EXAMPLES for one in seconds]).text(1)
