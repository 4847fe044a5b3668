"""Sets made from sets, and what is seen of models by a set's groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from backend import events
from backend.db.models import EvaluationSet
from backend.db.models.evaluation import SetOrigin
from backend.errors import InvalidInputError
from backend.evaluation.drop import Drop, measure_drop, not_known
from backend.evaluation.groups import Breakdown, breakdown
from backend.evaluation.lookup import Lookup
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.robustness import GROUP, assign, disguise
from backend.evaluation.set_repository import SetRepository
from backend.evaluation.sets import set_hash
from backend.text import text_hash, things


class SetService:
    """What can be done with sets beside evaluating models on them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sets = SetRepository(session)
        self._evaluations = EvaluationRepository(session)
        self._lookup = Lookup(session)

    def breakdown(self, evaluation_id: int) -> Breakdown:
        """How often a model flags harmless posts of a set, and how often it is right in each group."""
        evaluation = self._lookup.evaluation(evaluation_id)
        evaluation_set = self._lookup.set(evaluation.set_id)
        judged = self._lookup.judged(evaluation)
        group_by = evaluation_set.group_by
        groups = self._sets.groups(evaluation_set.id, group_by) if group_by else {}
        return breakdown(judged, group_by, [groups[key] for key in judged.row_ids.tolist() if groups])

    def robustness_set(self, set_id: int, person: str) -> EvaluationSet:
        """The posts of a set, disguised: letters swapped, spaced out, in odd case, or among emoji.

        Each post has one of the disguises and keeps its labels. From one version of a set there
        is one; from a newer version a newer one is made.

        Raises:
            InvalidInputError: the set is itself made so.
        """
        plain = self._lookup.set(set_id)
        if plain.origin is SetOrigin.ROBUSTNESS:
            raise InvalidInputError(
                f"The posts of {plain.name!r} are disguised already.", "Choose the set that it was made from."
            )
        self._sets.lock(plain.project_id)
        known = self._sets.made_from(set_id)
        if known is not None:
            return known
        name = f"{plain.name}, disguised"
        posts = disguised_posts(self._sets.posts_of_set(set_id))
        codes = list(self._sets.names_of(plain))
        made = self._sets.add_set(
            EvaluationSet(
                project_id=plain.project_id,
                name=name,
                number=self._sets.next_number(plain.project_id, name),
                origin=SetOrigin.ROBUSTNESS,
                policy_version_id=plain.policy_version_id,
                positive_labels=plain.positive_labels,
                label_map=plain.label_map,
                language=plain.language,
                group_by=GROUP,
                made_from_id=plain.id,
                rows=len(posts),
                hash=set_hash(codes, [(post["text_hash"], post["labels"]) for post in posts]),
                created_by=person,
            )
        )
        self._sets.add_posts(made.id, posts)
        told = f"Made the evaluation set {name} from version {plain.number}: {things(len(posts), 'post')}."
        events.record(self._session, plain.project_id, person, told)
        return made

    def source(self, made: EvaluationSet) -> EvaluationSet | None:
        """The set that this one was made from; None where it was made from none."""
        return None if made.made_from_id is None else self._lookup.set(made.made_from_id)

    def made_from(self, set_id: int) -> EvaluationSet | None:
        """The robustness set of this version of a set, where there is one."""
        return self._sets.made_from(set_id)

    def as_written(self, evaluation_id: int) -> int | None:
        """The evaluation that `drop` compares with: of the same model on the posts as they were written."""
        evaluation = self._lookup.evaluation(evaluation_id)
        made_from_id = self._lookup.set(evaluation.set_id).made_from_id
        plain = None if made_from_id is None else self._evaluations.same_model(evaluation, made_from_id)
        return None if plain is None else plain.id

    def drop(self, evaluation_id: int) -> Drop | None:
        """What disguises cost a model; None where the set is no robustness set."""
        evaluation = self._lookup.evaluation(evaluation_id)
        made = self._lookup.set(evaluation.set_id)
        if made.origin is not SetOrigin.ROBUSTNESS or made.made_from_id is None:
            return None
        of = self._lookup.set(made.made_from_id)
        plain = self._evaluations.same_model(evaluation, of.id)
        if plain is None:
            newest = any(one.id == of.id for one in self._sets.sets(of.project_id))
            return not_known(of.name, of.number, newest=newest)
        disguised = self._lookup.judged(evaluation)
        groups = self._sets.groups(made.id, GROUP)
        plain_keys = self._sets.keys(of.id)
        key_of = {key: plain_keys[post] for post, key in self._sets.keys(made.id).items()}
        keys = disguised.row_ids.tolist()
        return measure_drop(
            self._lookup.judged(plain),
            replace(disguised, row_ids=np.array([key_of[key] for key in keys], dtype=np.int64)),
            names=self._sets.names_of(of),
            disguises=[groups[key] for key in keys],
            set_name=of.name,
            set_number=of.number,
        )


def disguised_posts(posts: Sequence[Any]) -> list[dict[str, Any]]:
    """A set's posts in disguise, as columns; what each is disguised by stands in its metadata.

    The posts belong to no item: what a person would see there is the post as it is.
    """
    kinds = assign([(post.external_id, post.positive) for post in posts])
    found = []
    for post in posts:
        name, text = disguise(post.text, post.external_id, kinds[post.external_id])
        found.append(
            {
                "external_id": post.external_id,
                "text": text,
                "text_hash": text_hash(text),
                "labels": post.labels,
                "positive": post.positive,
                "meta": {**post.meta, GROUP: name},
            }
        )
    return found
