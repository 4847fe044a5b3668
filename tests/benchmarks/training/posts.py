"""From a file of posts to the examples that every contestant is given."""

from __future__ import annotations

import bisect
import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.benchmarks.training.task import Tokens
from training.policy import Category, Policy
from training.prompt import Answer, Renderer

ROOT = Path(__file__).parents[3]
SAMPLE = ROOT / "backend" / "sample" / "posts.csv"
_CLAUSES = Path(__file__).with_name("policy.yaml")
_LABEL_COLUMNS = ("labels", "label")
_NOTHING = {"", "none", "not_hate"}
_OTHER_NAMES = {"explicit_hate": "hate"}
_MAX_LENGTH = 8192
_MOST_POSTS = 2000
"""Of a larger file, its first: enough to choose from, and rendered in a moment."""


@dataclass(frozen=True)
class Post:
    """A post, the number of its row, and the codes of its categories."""

    number: int
    text: str
    labels: tuple[str, ...]


class PostsError(Exception):
    """A file of posts cannot be used; the message says why."""


def read_posts(path: Path) -> list[Post]:
    """Read a CSV file with a column `text` and one of labels, several joined by semicolons: its first posts.

    Raises:
        PostsError: a column is missing.
    """
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or ()
        label = next((name for name in _LABEL_COLUMNS if name in columns), None)
        if label is None or "text" not in columns:
            raise PostsError(f"{path} needs a column text and a column {' or '.join(_LABEL_COLUMNS)}")
        return [
            Post(number, record["text"], _codes(record[label]))
            for number, record in enumerate(itertools.islice(reader, _MOST_POSTS))
            if record["text"].strip()
        ]


def _codes(labels: str) -> tuple[str, ...]:
    return tuple(_OTHER_NAMES.get(name, name) for name in labels.split(";") if name not in _NOTHING)


def policy_of(model: Path, tokens: int) -> Policy:
    """The policy that brings what stands before a post nearest to so many of the model's tokens."""
    categories = yaml.safe_load(_CLAUSES.read_text("utf-8"))
    # A clause of each category in turn, so that a short policy names all of them.
    order = sorted(
        (turn, number)
        for number, category in enumerate(categories)
        for turn in range(len(category["clauses"]))
    )

    def length(count: int) -> int:
        return len(Renderer(model, _policy(categories, set(order[:count]))).frame_ids("direct")[0])

    # Each clause makes it longer, so that few of them need to be tried.
    counts = range(len(categories), len(order) + 1)
    at = bisect.bisect_left(counts, tokens, key=length)
    near = counts[max(0, at - 1) : at + 1]
    return _policy(categories, set(order[: min(near, key=lambda count: abs(length(count) - tokens))]))


def _policy(categories: Sequence[dict[str, Any]], chosen: set[tuple[int, int]]) -> Policy:
    return Policy(
        categories=tuple(
            Category(
                code=category["code"],
                name=category["name"],
                definition=" ".join(
                    clause for turn, clause in enumerate(category["clauses"]) if (turn, number) in chosen
                ),
            )
            for number, category in enumerate(categories)
        )
    )


def render(renderer: Renderer, posts: Sequence[Post]) -> list[Tokens]:
    """The posts with their answers in the direct form, as the trainer renders them.

    Raises:
        PostsError: a label is none of the policy's categories.
    """
    examples = []
    for post in posts:
        try:
            labels = renderer.policy.in_order(post.labels)
        except ValueError as error:
            raise PostsError(f"post {post.number}: {error}") from error
        example = renderer.example(post.text, "direct", Answer(labels), _MAX_LENGTH)
        examples.append(Tokens(example.ids, len(example.prefix), len(example.answer)))
    return examples


def spread(examples: Sequence[Tokens], count: int) -> list[Tokens]:
    """So many of the examples, evenly from the shortest to the longest, in the order that they had.

    Raises:
        PostsError: there are fewer.
    """
    by_length = sorted(range(_enough(examples, count)), key=lambda index: len(examples[index].ids))
    # The middle of each of `count` equal parts, so that neither end is over-represented.
    chosen = {by_length[(2 * part + 1) * len(by_length) // (2 * count)] for part in range(count)}
    return [examples[index] for index in sorted(chosen)]


def nearest(examples: Sequence[Tokens], own: int, count: int) -> list[Tokens]:
    """The so many examples whose own tokens, those after the policy, are nearest to a number."""
    by_distance = sorted(
        range(_enough(examples, count)),
        key=lambda index: abs(len(examples[index].ids) - examples[index].prefix - own),
    )
    return [examples[index] for index in sorted(by_distance[:count])]


def _enough(examples: Sequence[Tokens], count: int) -> int:
    if len(examples) < count:
        raise PostsError(f"{count} posts are needed and the file has {len(examples)}")
    return len(examples)
