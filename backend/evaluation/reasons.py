"""What a model's reasons are worth, without asking another model.

Three things can be told from the text alone: whether what a reason quotes is really in the post,
whether its verdict is the one that was given, and how long it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import pandas as pd

from backend.evaluation.results import Reasons
from backend.evaluation.said import Said
from backend.review.marks import spans


@dataclass(frozen=True, slots=True)
class Reason:
    """One post's reason.

    Attributes:
        text: the post.
        analysis: the reason itself.
        quotes: what it quotes as harmful.
        agrees: whether the verdict that it comes to is the result that counts; None where it comes
            to none.
    """

    text: str
    analysis: str
    quotes: Sequence[str]
    agrees: bool | None = None


def measure_reasons(reasons: Iterable[Reason], *, unreadable: int = 0) -> Reasons | None:
    """The figures of all reasons that say something; None where none does.

    Args:
        unreadable: answers that could not be read, whose reasons may be among these or not.
    """
    said = [one for one in reasons if one.analysis.strip() or any(one.quotes)]
    if not said:
        return None
    quoting = [one for one in said if any(one.quotes)]
    faithful = sum(is_faithful(one) for one in quoting)
    verdicts = [one.agrees for one in said if one.agrees is not None]
    return Reasons(
        reasons=len(said),
        quoting=len(quoting) / len(said),
        faithful=faithful / len(said),
        agreeing=sum(verdicts) / len(verdicts) if verdicts else None,
        words=float(median(len(one.analysis.split()) for one in said)),
        unreadable=unreadable,
    )


def is_faithful(reason: Reason) -> bool:
    """Whether every quote is in the post, but for case, white space and the kind of quotation marks."""
    return all(spans(reason.text, [quote]) for quote in reason.quotes if quote.strip())


def of_teacher(
    answers: Iterable[tuple[str, str, Sequence[str], Sequence[str]]], *, unreadable: int = 0
) -> Reasons | None:
    """A teacher's reasons: its verdict is whether it found anything harmful, its result the labels.

    A teacher that never quotes comes to no verdict that could be told.

    Args:
        answers: of each readable answer the post's text, the analysis, the quotes and the labels.
        unreadable: its other answers, in number.
    """
    found = list(answers)
    quotes_at_all = any(quotes for _, _, quotes, _ in found)
    return measure_reasons(
        (
            Reason(text, analysis, quotes, bool(quotes) == bool(labels) if quotes_at_all else None)
            for text, analysis, quotes, labels in found
        ),
        unreadable=unreadable,
    )


def of_student(texts: Mapping[int, str], written: pd.DataFrame, said: Said) -> Reasons | None:
    """A student's reasons: its verdict is the answer that it wrote behind them, its result what counts.

    Args:
        texts: of the set's posts by key.
        written: id, analysis, harmful, labels; labels are null where the text could not be read.
        said: the labels that the thresholds gave.
    """
    result = dict(zip(said.judged.row_ids.tolist(), said.labels, strict=True))
    columns = (written["id"].astype(int), written["analysis"], written["harmful"], written["labels"])
    return measure_reasons(
        (
            Reason(
                texts[key],
                analysis if isinstance(analysis, str) else "",
                tuple(() if quotes is None else quotes),
                None if labels is None or key not in result else set(labels) == set(result[key]),
            )
            for key, analysis, quotes, labels in zip(*columns, strict=True)
        ),
        unreadable=int(written["labels"].isna().sum()),
    )
