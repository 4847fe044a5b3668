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
        readable: whether labels could be read from the answer that it stands in; one without has no
            verdict that agrees.
    """

    text: str
    analysis: str
    quotes: Sequence[str]
    agrees: bool | None = None
    readable: bool = True

    @property
    def says_something(self) -> bool:
        """Whether there is a reason at all."""
        return bool(self.analysis.strip()) or any(self.quotes)


def measure_reasons(reasons: Iterable[Reason]) -> Reasons | None:
    """The figures of all reasons that say something; None where none does."""
    found = list(reasons)
    said = [one for one in found if one.says_something]
    if not said:
        return None
    quoting = [one for one in said if any(one.quotes)]
    faithful = sum(is_faithful(one) for one in quoting)
    # An answer that could not be read is wrong, whether it has a reason or not.
    answers = [one for one in found if one.says_something or not one.readable]
    verdicts = [one.agrees for one in answers if one.agrees is not None]
    return Reasons(
        reasons=len(said),
        quoting=len(quoting) / len(said),
        faithful=faithful / len(said),
        agreeing=sum(verdicts) / len(verdicts) if verdicts else None,
        words=float(median(len(one.analysis.split()) for one in said)),
        unreadable=sum(not one.readable for one in found),
    )


def is_faithful(reason: Reason) -> bool:
    """Whether every quote is in the post, but for case, white space and the kind of quotation marks."""
    return all(spans(reason.text, [quote]) for quote in reason.quotes if quote.strip())


def of_teacher(answers: Iterable[tuple[str, str, Sequence[str], Sequence[str] | None]]) -> Reasons | None:
    """A teacher's reasons: its verdict is whether it found anything harmful, its result the labels.

    A teacher that never quotes comes to no verdict that could be told.

    Args:
        answers: of each the post's text, the analysis, the quotes and the labels; these are None, and
            what else it says does not count, where it could not be read.
    """
    found = list(answers)
    quotes_at_all = any(quotes for _, _, quotes, labels in found if labels is not None)
    return measure_reasons(
        Reason(text, "", (), False if quotes_at_all else None, readable=False)
        if labels is None
        else Reason(text, analysis, quotes, bool(quotes) == bool(labels) if quotes_at_all else None)
        for text, analysis, quotes, labels in found
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
        Reason(
            texts[key],
            analysis if isinstance(analysis, str) else "",
            tuple(() if quotes is None else quotes),
            labels is not None and set(labels) == set(result[key]) if key in result else None,
            readable=labels is not None,
        )
        for key, analysis, quotes, labels in zip(*columns, strict=True)
    )
