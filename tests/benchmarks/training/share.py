"""Which share of the machine's matrix speed a step uses, in operations that are truly needed."""

from __future__ import annotations

from tests.benchmarks.training.contest import Contestant, check_work, play
from tests.benchmarks.training.figures import Figure, counted, verdict
from tests.benchmarks.training.flops import Shape, needed
from tests.benchmarks.training.posts import policy_of, render, spread
from tests.benchmarks.training.setting import Bars, Report, Setting, kept, say
from training.prompt import Renderer

_BARS: Bars = {"cpu": 0.5, "cuda": 0.25, "cuda, llama-8b": 0.5}
_MOST_TOKENS = {"cpu": 4096, "cuda": 16384}
_SQUARE = {"cpu": 2048, "cuda": 8192}


def share(setting: Setting, policy_tokens: int) -> Report:
    """Steps and matrix products by turns, so that both meet the same machine."""
    renderer = Renderer(setting.model, policy_of(setting.model, policy_tokens))
    examples = spread(render(renderer, setting.posts), setting.batch * setting.batches)
    task = setting.task("share", examples)
    shape = Shape.of(setting.model)
    device = setting.device.type
    own = sum(len(example.ids) - example.prefix for example in examples)
    # As many tokens as a step could at most put into one product.
    tokens = min(_MOST_TOKENS[device], examples[0].prefix + own // setting.batches)
    matrix = {"tokens": tokens, "shapes": shape.linear, "square": _SQUARE[device], "seconds": 2.0}
    contestants = [Contestant("overrule", "overrule"), Contestant("matrix", "matrix", settings=matrix)]
    turns = play(contestants, task, setting.rounds, setting.folder, say=say)
    check_work("overrule", turns["overrule"], examples)

    steps, products = counted(turns["overrule"]), counted(turns["matrix"])
    speeds = [product.about["flops_per_second"] for product in products]
    squares = [product.about["square_flops_per_second"] for product in products]
    # Once a row as the trainer laid them out; once a step is what no layout could go below.
    by_row = [needed(examples, step.about["rows"], shape, task.rank) / step.seconds for step in steps]
    by_step = [needed(examples, setting.batches, shape, task.rank) / step.seconds for step in steps]
    computed = [
        needed(examples, step.about["rows"], shape, task.rank) / step.about["computed_tokens"]
        for step in steps
    ]
    rows = []
    for what, rates in (("policy once a row", by_row), ("policy once a step", by_step)):
        figure = Figure.of([100 * rate / speed for rate, speed in zip(rates, speeds, strict=True)])
        squared = Figure.of([100 * rate / speed for rate, speed in zip(rates, squares, strict=True)])
        bar = _BARS.get(setting.column) if rates is by_row else None
        rows.append(
            [
                what,
                f"{Figure.of(rates).median / 1e9:.0f}",
                f"{Figure.of(speeds).median / 1e9:.0f}",
                figure.text(1, "%"),
                squared.text(1, "%"),
                verdict(figure.median, None if bar is None else 100 * bar),
            ]
        )
    return Report(
        f"Share of the matrix speed: policy of {examples[0].prefix} tokens, batch {setting.batch}",
        [
            f"`torch.mm` of {tokens} tokens in the shapes of one layer's linear layers, and of",
            f"{_SQUARE[device]}³; needed operations as issue 3 counts them,",
            f"{Figure.of(computed).median / 1e6:.0f} million a token; rows a turn: {steps[0].about['rows']};",
            f"median of {setting.rounds} rounds (least–most).",
        ],
        (
            "needed",
            "needed GFLOP/s",
            "matrix GFLOP/s",
            "share",
            f"share of {_SQUARE[device]}³",
            "bar",
        ),
        rows,
        setting.about() | {"policy_tokens": examples[0].prefix, "batch": setting.batch, "turns": kept(turns)},
    )
