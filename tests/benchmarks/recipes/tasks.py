"""What a recipe is tried on: posts, the question asked of them, and the policy that asks it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from training.policy import Category, Policy

TaskName = Literal["hateful", "kinds"]

_HATE = Category(
    code="hate",
    name="Hate",
    definition=(
        "demeans, insults, threatens or excludes people for their origin, religion, gender, "
        "orientation or disability, openly or by implication, irony, stereotype or coded words."
    ),
)
_KINDS = (
    Category(
        code="white_grievance",
        name="White grievance",
        definition="claims that a majority is wronged, replaced or treated unfairly because of minorities.",
    ),
    Category(
        code="incitement",
        name="Incitement",
        definition="praises hate groups and their ideology, or rouses people to join or act with them.",
    ),
    Category(
        code="stereotypical",
        name="Stereotype",
        definition="ties a group to crime, terror, disease or other ills by a general claim.",
    ),
    Category(
        code="inferiority",
        name="Inferiority",
        definition="says or implies that a group is worth less, is less able or is less than human.",
    ),
    Category(
        code="irony",
        name="Irony",
        definition="mocks a group by sarcasm, jokes or wordplay.",
    ),
    Category(
        code="threatening",
        name="Threat",
        definition="wishes or announces harm, loss of rights or removal to a group.",
    ),
)


@dataclass(frozen=True, slots=True)
class Task:
    """Posts under a policy.

    Attributes:
        policy: what the student reads.
        posts: by id: text, labels (a list of codes) and analysis (people's words, or None).
    """

    policy: Policy
    posts: pd.DataFrame


def read_task(posts: Path, name: TaskName, none_label: str) -> Task:
    """The task of that name over a CSV with `text` and `label`, and for the kinds `kind`.

    "hateful" asks whether a post has any label but `none_label`. "kinds" asks which of six
    kinds it has; hateful posts of no kind, or of another, are left out.
    """
    frame = pd.read_csv(posts, keep_default_na=False)
    harmless = frame["label"] == none_label
    if name == "hateful":
        policy = Policy(categories=(_HATE,))
        labels = [[] if fine else [_HATE.code] for fine in harmless]
    else:
        policy = Policy(categories=_KINDS)
        frame = frame[harmless | frame["kind"].isin(policy.codes)]
        labels = [[kind] if kind else [] for kind in frame["kind"]]
    said = frame["implied_statement"] if "implied_statement" in frame else pd.Series("", frame.index)
    analysis = said.str.split(" | ", regex=False).str[0].where(said != "", None)
    columns = {"text": frame["text"], "labels": labels, "analysis": analysis.astype("object")}
    return Task(policy, pd.DataFrame(columns, index=frame.index))
