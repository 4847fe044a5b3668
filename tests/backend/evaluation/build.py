"""Models on made-up posts, and prediction frames as the trainer writes them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score, roc_auc_score
from sqlalchemy.orm import Session

from backend.db.models import (
    DatasetVersion,
    EvaluationRow,
    EvaluationSet,
    Item,
    Job,
    Judgement,
    PolicyVersion,
    Project,
    Run,
)
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.evaluation import SetOrigin
from backend.db.models.jobs import JobKind, JobState
from backend.db.models.review import Source, Verdict
from backend.evaluation.judged import Judged
from backend.evaluation.results import Difference
from backend.items.repository import ItemRepository
from backend.text import text_hash
from tests.backend.build import add_item

UNKNOWN = Difference(None, None, None, None, None)


def figures_of_two(**known: Any) -> dict[str, Any]:
    """The fields of what two models differ by, of which nothing is known but what is given."""
    return {
        "categories": (),
        **dict.fromkeys(("macro_f1", "macro_auprc", "any_f1", "any_auprc", "exact_match"), UNKNOWN),
        **dict.fromkeys(("only_a_right", "only_b_right", "both_right", "neither_right"), 0),
        "mcnemar_p": 1.0,
        **known,
    }


def random_judged(
    *, posts: int, codes: int, seed: int, noise: float = 1.0, shares: Sequence[float] = (0.25,)
) -> Judged:
    """A model whose scores are the truth with noise; the same seed gives the same posts.

    `shares` is how many of the posts have each category, or all of them.
    """
    random = np.random.default_rng(seed)
    gold = random.random((posts, codes)) < np.array(shares)
    errors = random.normal(size=(posts, codes))
    scores = 1 / (1 + np.exp(-(3 * gold - 1.5 + noise * errors)))
    named = scores >= 0.5
    return Judged(
        np.arange(1, posts + 1),
        tuple(f"c{column}" for column in range(codes)),
        gold,
        named,
        gold.any(axis=1),
        named.any(axis=1),
        scores,
        scores.max(axis=1),
    )


def true_figures(truth: Judged) -> dict[str, float]:
    """What scikit-learn says of the first category of so many posts that it is the truth."""
    assert truth.scores is not None
    gold, named, scores = truth.gold[:, 0], truth.named[:, 0], truth.scores[:, 0]
    return {
        "precision": precision_score(gold, named),
        "recall": recall_score(gold, named),
        "f1": f1_score(gold, named),
        "auprc": average_precision_score(gold, scores),
        "auroc": roc_auc_score(gold, scores),
    }


def frame(scores: Mapping[int, Sequence[float]], codes: Sequence[str]) -> pd.DataFrame:
    """A prediction file's content: scores by post."""
    table = pd.DataFrame({"id": [str(post) for post in scores]})
    for column, code in enumerate(codes):
        table[f"p_{code}"] = [float(row[column]) for row in scores.values()]
    return table.assign(valid_mass=1.0)


def add_decided(
    session: Session,
    project: Project,
    policy: PolicyVersion,
    text: str,
    labels: tuple[str, ...] | None,
    split: Split = Split.TEST,
) -> Item:
    """A post with what people decided; None: they could not tell."""
    item = add_item(session, project, text, split=split)
    decide(session, policy, item, labels)
    return item


def decide(session: Session, policy: PolicyVersion, item: Item, labels: tuple[str, ...] | None) -> None:
    """One more review of a post."""
    session.add(
        Judgement(
            item_id=item.id,
            policy_version_id=policy.id,
            source=Source.REVIEW,
            person="ada",
            verdict=Verdict.FROM_SCRATCH if labels is not None else Verdict.CANNOT_TELL,
            labels=labels,
        )
    )
    ItemRepository(session).refresh([item.id])


def add_run(session: Session, project: Project, policy: PolicyVersion, *, number: int = 1) -> Run:
    """A fine-tune that has ended well."""
    version = DatasetVersion(
        project_id=project.id,
        number=number,
        policy_version_id=policy.id,
        handling=Handling.REVIEW,
        counts={},
        hash="",
        created_by="ada",
    )
    job = Job(
        project_id=project.id, kind=JobKind.TRAIN, state=JobState.SUCCEEDED, title="t", created_by="ada"
    )
    session.add_all([version, job])
    session.flush()
    run = Run(
        project_id=project.id,
        number=number,
        dataset_version_id=version.id,
        policy_version_id=policy.id,
        job_id=job.id,
        base_model="default",
        preset="quick",
        config={},
        prompt_hash="hash",
        created_by="ada",
    )
    session.add(run)
    session.flush()
    return run


def add_yes_no_set(
    session: Session, project: Project, policy: PolicyVersion, posts: Sequence[tuple[str, bool]]
) -> EvaluationSet:
    """An imported set that knows yes and no only."""
    found = EvaluationSet(
        project_id=project.id,
        name="hatecheck",
        origin=SetOrigin.IMPORTED,
        policy_version_id=policy.id,
        positive_labels=("hateful",),
        rows=len(posts),
        hash="",
        created_by="ada",
    )
    session.add(found)
    session.flush()
    for text, positive in posts:
        session.add(
            EvaluationRow(
                set_id=found.id,
                external_id=text,
                text=text,
                text_hash=text_hash(text),
                positive=positive,
            )
        )
    session.flush()
    return found
