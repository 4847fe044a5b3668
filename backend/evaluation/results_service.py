"""What came out of evaluations: tables, reports, comparisons, and the posts behind them."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from backend.db.models import Evaluation
from backend.db.models.evaluation import ModelKind, Outcome
from backend.errors import InvalidInputError
from backend.evaluation import naming
from backend.evaluation.baselines.names import Baseline, BaselineModel
from backend.evaluation.comparison import (
    differences,
    left_out,
    only_any,
    other_aims,
    posts_of,
    sentence,
    single_posts,
)
from backend.evaluation.judged import Judged, all_shared, shared
from backend.evaluation.lookup import Lookup
from backend.evaluation.metrics import curves, reliabilities
from backend.evaluation.repository import EvaluationRepository
from backend.evaluation.results import (
    Comparison,
    Metrics,
    ModelRow,
    PostKind,
    PostPage,
    PostRow,
    Report,
)
from backend.evaluation.stored import (
    headline,
    model_row,
    read_metrics,
    without_older_baselines,
    yes_no,
)

_OUTCOMES = {
    PostKind.ALL: (),
    PostKind.WRONG: (Outcome.FALSE_ALARM, Outcome.MISSED, Outcome.OTHER_LABELS),
    PostKind.FALSE_ALARM: (Outcome.FALSE_ALARM,),
    PostKind.MISSED: (Outcome.MISSED,),
    PostKind.OTHER_LABELS: (Outcome.OTHER_LABELS,),
    PostKind.RIGHT: (Outcome.RIGHT,),
}


class ResultsService:
    """Reads evaluations as people look at them."""

    def __init__(self, session: Session) -> None:
        self._evaluations = EvaluationRepository(session)
        self._lookup = Lookup(session)

    def table(self, project_id: int, set_id: int) -> list[ModelRow]:
        """Each model's newest evaluation on a set, the best first, with the champion marked.

        Of a baseline only the one that learned from the newest version, and the regression that learned
        from the champion's.
        """
        project = self._evaluations.project(project_id)
        champion_run_id = project.champion_run_id if project else None
        evaluations = self._evaluations.newest_of_each(project_id, set_id)
        # Without a champion run it is the base model that counts: the one scored last.
        base_id = max(
            (one.id for one, *_ in evaluations if one.model_kind is ModelKind.BASE and one.inference is None),
            default=None,
        )
        rows = [
            model_row(
                evaluation,
                run,
                version,
                champion=evaluation.id == base_id
                if champion_run_id is None
                else evaluation.run_id == champion_run_id and evaluation.inference is None,
            )
            for evaluation, run, version in evaluations
        ]
        champions = None if champion_run_id is None else self._evaluations.version_number(champion_run_id)
        return sorted(without_older_baselines(rows, champions), key=headline, reverse=True)

    def regression_beside(self, evaluation_id: int) -> int | None:
        """The evaluation on the same set of logistic regression taught the same dataset version.

        None where the evaluation is of no run, or that regression was not evaluated on the set.
        """
        evaluation = self._lookup.evaluation(evaluation_id)
        version = self._evaluations.version_number(evaluation.run_id) if evaluation.run_id else None
        if version is None:
            return None
        model = BaselineModel(Baseline.REGRESSION, version).model
        regression = self._evaluations.newest(evaluation.set_id, ModelKind.BASELINE, model=model)
        return None if regression is None else regression.id

    def metrics(self, evaluation_id: int) -> Metrics:
        """The stored figures of one evaluation."""
        return read_metrics(self._lookup.evaluation(evaluation_id))

    def report(self, evaluation_id: int) -> Report:
        """One evaluation in full."""
        evaluation = self._lookup.evaluation(evaluation_id)
        evaluation_set = self._lookup.set(evaluation.set_id)
        metrics = read_metrics(evaluation)
        names = {category.code: category.name for category in metrics.categories}
        judged = self._lookup.judged(evaluation)
        return Report(
            evaluation_id=evaluation.id,
            set_id=evaluation_set.id,
            set_name=evaluation_set.name,
            set_number=evaluation_set.number,
            yes_no=yes_no(evaluation_set),
            kind=evaluation.model_kind,
            name=self._lookup.name(evaluation),
            model=evaluation.model,
            run_id=evaluation.run_id,
            policy_version_id=evaluation.policy_version_id,
            metrics=metrics,
            curves=curves(judged, names),
            reliability=reliabilities(judged, names),
            scaled_reliability=()
            if metrics.temperature is None
            else reliabilities(judged, names, metrics.temperature),
            created_at=evaluation.created_at,
            created_by=evaluation.created_by,
        )

    def compare(self, a_id: int, b_id: int) -> Comparison:
        """Two evaluations on one set side by side; every difference is a minus b.

        Raises:
            InvalidInputError: they are on different sets, or on different versions of one.
        """
        a, b = self._lookup.evaluation(a_id), self._lookup.evaluation(b_id)
        judged_a, judged_b = self._both(a, b)
        names = {category.code: category.name for category in read_metrics(a).categories}
        found = differences(judged_a, judged_b, names=names)
        a_name, b_name = self._lookup.name(a), self._lookup.name(b)
        return Comparison(
            a_id=a_id,
            b_id=b_id,
            a_name=a_name,
            b_name=b_name,
            set_id=a.set_id,
            posts=len(judged_a),
            **{field: getattr(found, field) for field in type(found).__slots__},
            sentence=sentence(
                naming.in_a_sentence(a_name, a.model_kind),
                naming.in_a_sentence(b_name, b.model_kind),
                found,
            ),
            notes=(
                *left_out(read_metrics(a), judged_a),
                *other_aims(read_metrics(a), read_metrics(b)),
                *only_any(read_metrics(a), read_metrics(b), judged_a),
                *single_posts(found.categories),
            ),
        )

    def judged_together(self, evaluation_ids: Sequence[int]) -> list[Judged]:
        """What several models said of one set, on the posts and over the categories that all share.

        Args:
            evaluation_ids: one at least, all on the same version of a set.
        """
        return all_shared([self._lookup.judged(self._lookup.evaluation(each)) for each in evaluation_ids])

    def beside_champion(self, project_id: int, run_id: int) -> Comparison | None:
        """A run (a) beside the champion (b), on the test split where both are evaluated on it.

        None where they share no set, or the run is the champion.
        """
        both = self.with_champion(project_id, run_id)
        return None if both is None else self.compare(*both)

    def with_champion(self, project_id: int, run_id: int) -> tuple[int, int] | None:
        """The evaluations that `beside_champion` compares, of the run and of the champion."""
        project = self._evaluations.project(project_id)
        if project is None or project.champion_run_id == run_id:
            return None
        kind = ModelKind.BASE if project.champion_run_id is None else ModelKind.RUN
        for challenger in self._evaluations.of_run(run_id):
            champion = self._evaluations.newest(challenger.set_id, kind, run_id=project.champion_run_id)
            if champion is not None:
                return challenger.id, champion.id
        return None

    def posts(
        self,
        evaluation_id: int,
        *,
        kind: PostKind = PostKind.WRONG,
        other_id: int | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> PostPage:
        """The posts behind an evaluation, paged by key.

        Args:
            other_id: a second evaluation on the same set; its labels are shown beside, and the
                kinds that compare need it.
            after: what the page before gave as `next_after`.

        Raises:
            InvalidInputError: the kind compares and there is no second evaluation.
        """
        ids = self.post_ids(evaluation_id, kind=kind, other_id=other_id, after=after, limit=limit + 1)
        rows = self._evaluations.posts(evaluation_id, other_id, ids[:limit])
        unread = set(self.metrics(evaluation_id).unread)
        other_unread = set() if other_id is None else set(self.metrics(other_id).unread)
        return PostPage(
            tuple(
                PostRow(**row._mapping, unread=row.row_id in unread, other_unread=row.row_id in other_unread)
                for row in rows
            ),
            ids[limit - 1] if len(ids) > limit else None,
        )

    def post_counts(self, evaluation_id: int) -> dict[PostKind, int]:
        """How many posts there are of each kind that looks at one model alone."""
        counted = self._evaluations.outcomes(evaluation_id)
        return {
            kind: sum(counted.get(outcome, 0) for outcome in outcomes or Outcome)
            for kind, outcomes in _OUTCOMES.items()
        }

    def post_ids(
        self,
        evaluation_id: int,
        *,
        kind: PostKind,
        other_id: int | None = None,
        after: int = 0,
        limit: int | None = None,
    ) -> list[int]:
        """The keys of the posts that `posts` gives; all of them without a limit."""
        evaluation = self._lookup.evaluation(evaluation_id)
        if kind in _OUTCOMES:
            return self._evaluations.page(evaluation_id, _OUTCOMES[kind], after=after, limit=limit)
        if other_id is None:
            raise InvalidInputError("These posts compare two models.", "Choose a second model.")
        return self._compared(evaluation, self._lookup.evaluation(other_id), kind, after, limit)

    def _both(self, a: Evaluation, b: Evaluation) -> tuple[Judged, Judged]:
        if a.set_id != b.set_id:
            raise InvalidInputError(
                "The two were evaluated on different sets, or on different versions of one.",
                "Evaluate both on the newest version of the same set.",
            )
        return shared(self._lookup.judged(a), self._lookup.judged(b))

    def _compared(
        self, evaluation: Evaluation, other: Evaluation, kind: PostKind, after: int, limit: int | None
    ) -> list[int]:
        here, there = self._both(evaluation, other)
        ids = here.row_ids[posts_of(kind, here, there)]
        return [int(row_id) for row_id in ids[ids > after][:limit]]
