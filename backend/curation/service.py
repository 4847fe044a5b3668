"""What can be done in curation: browse items, build, read and explain dataset versions."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
from sqlalchemy.orm import Session

from backend import events
from backend.curation.handling import LeftOut, Rules, Taught, Why, handle
from backend.curation.item_repository import ItemListRepository
from backend.curation.leakage import leaks, leaks_at_once
from backend.curation.pair_repository import PairRepository
from backend.curation.pairs import Corrected, PairCounts, corrected
from backend.curation.repository import DatasetRepository, Found
from backend.curation.tally import Tally, as_counts, require_enough
from backend.curation.teaching import segments
from backend.curation.variation import AS_IT_IS, Variation, smallest_draw, varied
from backend.curation.views import (
    Built,
    HandlingPreview,
    ItemFilter,
    ItemHistory,
    ItemPage,
    Segment,
    TaughtPage,
    TaughtRow,
)
from backend.db.models import DatasetVersion
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.errors import InvalidInputError, NotFoundError
from backend.policies.service import PolicyService
from backend.text import things
from training.job import Config
from training.policy import Policy
from training.prompt import Answer, Form, PromptError, Renderer

_NAME = re.compile(r"\s*(?:version\s*|v)?#?(\d{1,18})\s*", re.IGNORECASE)
_MAX_LENGTH = Config().max_length
_EVERYTHING = ItemFilter()
_NOT_LOOKED = (
    "Posts that are nearly the same as one of the test split or an evaluation set are looked for when "
    "the version is built, and left out."
)


class CurationService:
    """Items and dataset versions as pages, commands and jobs see them."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._items = ItemListRepository(session)
        self._datasets = DatasetRepository(session)
        self._pairs = PairRepository(session)

    def items(
        self,
        project_id: int,
        chosen: ItemFilter = _EVERYTHING,
        *,
        after: int | None = None,
        limit: int = 50,
    ) -> ItemPage:
        """One page of a project's items, oldest first.

        Args:
            project_id: the project.
            chosen: which items.
            after: the last item of the page before; None for the first page.
            limit: items on a page.
        """
        rows = self._items.page(project_id, chosen, after=after or 0, limit=limit + 1)
        total = self._items.count(project_id, chosen) if after is None else None
        return ItemPage(rows[:limit], rows[limit - 1].id if len(rows) > limit else None, total)

    def history(self, item_id: int) -> ItemHistory:
        """Everything that happened to an item.

        Raises:
            NotFoundError: there is no such item.
        """
        history = self._items.history(item_id)
        if history is None:
            raise NotFoundError(f"There is no item {item_id}.", "Choose one from the list.")
        return history

    def sources(self, project_id: int) -> dict[str, int]:
        """Where a project's items come from, with how many."""
        return self._items.sources(project_id)

    def preview(
        self, project_id: int, *, include_unverified: bool = False, include_unanswered: bool = False
    ) -> dict[Handling, HandlingPreview]:
        """What each handling would give; one query counts the items for all of them.

        In a project of more than `LOOKED_AT_ONCE` items near-duplicates of what students are judged
        by are left out only when they are known already; a warning says so.
        """
        _, policy = self._policy(project_id)
        rules = [
            Rules(handling, policy.codes, include_unverified, include_unanswered) for handling in Handling
        ]
        tallies = {rule.handling: Tally(policy) for rule in rules}
        for candidate, count in self._datasets.kinds(project_id):
            for rule in rules:
                tallies[rule.handling].add(candidate.split, handle(candidate, rule), count)
        known = leaks_at_once(self._session, project_id)
        apart = {} if known is None else known.apart
        for found in self._datasets.some(project_id, apart):
            before, now = found.candidate, _marked(found, apart).candidate
            for rule in rules:
                tallies[rule.handling].move(before.split, handle(before, rule), handle(now, rule))
        previews = {handling: tally.finish() for handling, tally in tallies.items()}
        if known is None:
            for preview in previews.values():
                preview.warnings.append(_NOT_LOOKED)
        return previews

    def look_for_leaks(self, project_id: int) -> int:
        """How many training and validation posts nearly repeat one that students are judged by.

        `build` looks as well, but it keeps other writers waiting; what this found it takes over.
        """
        return len(leaks(self._session, project_id).apart)

    def build(
        self,
        project_id: int,
        handling: Handling,
        *,
        include_unverified: bool = False,
        include_unanswered: bool = False,
        variation: Variation = AS_IT_IS,
        person: str,
    ) -> Built:
        """Freeze what a handling gives now under the newest policy.

        Where the newest version with the same settings teaches the very same, it is given back
        and nothing is stored.

        Raises:
            InvalidInputError: there would be no training row or a single one, or the policy does
                not have the category that is to be left out.
        """
        # A setting that says nothing with this handling makes no version another one.
        include_unverified = include_unverified and handling is not Handling.KEEP
        include_unanswered = include_unanswered and handling is Handling.REVIEW
        self._datasets.lock_project(project_id)
        policy_version_id, policy = self._policy(project_id)
        if variation.leave_out is not None and variation.leave_out not in policy.codes:
            raise InvalidInputError(
                f"The policy has no category {variation.leave_out!r}.",
                f"Leave out one of {', '.join(policy.codes)}.",
            )
        newest = self._datasets.newest_like(
            project_id,
            policy_version_id,
            handling,
            include_unverified=include_unverified,
            include_unanswered=include_unanswered,
            variation=variation.stored,
        )
        version = DatasetVersion(
            project_id=project_id,
            policy_version_id=policy_version_id,
            handling=handling,
            include_unverified=include_unverified,
            include_unanswered=include_unanswered,
            counts={},
            hash="",
            last_judgement_id=self._datasets.newest_judgement(),
            created_by=person,
        )
        with self._session.begin_nested() as attempt:
            self._fill(self._datasets.add(version), policy, variation)
            if newest is not None and newest.hash == version.hash:
                attempt.rollback()
                return Built(newest, created=False)
        events.record(
            self._session,
            project_id,
            person,
            f"Built dataset version {version.number} ({', '.join((handling.value, *variation.words))}): "
            f"{things(sum(version.counts['rows'].values()), 'row')}.",
        )
        return Built(version, created=True)

    def versions(self, project_id: int) -> Sequence[DatasetVersion]:
        """A project's versions, newest first."""
        return self._datasets.versions(project_id)

    def version(self, project_id: int, number: int | str) -> DatasetVersion:
        """One version by its number: 3, "3", "v3" or "version 3".

        Raises:
            NotFoundError: there is none.
        """
        match = _NAME.fullmatch(str(number))
        version = self._datasets.by_number(project_id, int(match[1])) if match else None
        if version is None:
            raise NotFoundError(
                f"There is no dataset version {number!r}.",
                "overrule dataset list shows the versions there are.",
            )
        return version

    def rows(
        self, version_id: int, *, split: Split | None = None, after: int | None = None, limit: int = 50
    ) -> TaughtPage:
        """One page of a version's rows, oldest item first."""
        found = self._datasets.page(version_id, split=split, after=after or 0, limit=limit + 1)
        rows = [
            TaughtRow(
                row.item_id,
                row.external_id,
                " ".join(row.excerpt.split()),
                row.split,
                row.labels,
                row.origin,
                bool(row.reasoned),
            )
            for row in found[:limit]
        ]
        return TaughtPage(rows, rows[-1].item_id if len(found) > limit else None)

    def taught(
        self, version_id: int, item_id: int, form: Form, model_folder: Path, *, max_length: int = _MAX_LENGTH
    ) -> list[Segment]:
        """The prompt and the answer as the student learns them, the learned tokens apart.

        Args:
            version_id: the dataset version.
            item_id: an item that it has.
            form: direct, or where the row has a reason any.
            model_folder: the base model's folder, whose tokenizer is used.
            max_length: tokens in all, as in the run's settings.

        Raises:
            NotFoundError: the version has no such item.
            InvalidInputError: the row cannot be learned in this form or length.
        """
        version, row = self._datasets.by_id(version_id), self._datasets.row(version_id, item_id)
        if version is None or row is None:
            raise NotFoundError("This version does not teach that post.", "Choose one of its rows.")
        policies = PolicyService(self._session)
        policy = policies.training_policy(policies.get(version.policy_version_id))
        try:
            return segments(
                Renderer(model_folder, policy),
                row.text,
                form,
                Answer(row.labels, row.analysis, row.harmful),
                max_length,
            )
        except PromptError as error:
            raise InvalidInputError(
                f"This row cannot be shown: {error}.", "A row without a reason has the direct form only."
            ) from error

    def answers(self, version_id: int, split: Split) -> dict[tuple[str, ...], int]:
        """How many rows of a split are taught which set of labels."""
        return self._datasets.answers(version_id, split)

    def training_frame(self, version_id: int, split: Split) -> Iterator[pd.DataFrame]:
        """A split's rows in chunks, in the columns of the trainer's files; `id` is the item's, as text."""
        for chunk in self._datasets.stored(version_id, split):
            yield pd.DataFrame(
                {
                    "id": [str(row.item_id) for row in chunk],
                    "text": [row.text for row in chunk],
                    "labels": [list(row.labels) for row in chunk],
                    "analysis": pd.Series([row.analysis for row in chunk], dtype=object),
                    "harmful": [list(row.harmful) for row in chunk],
                }
            )

    def training_sample(self, version_id: int, rows: int) -> pd.DataFrame:
        """So many training rows, always the same, as `training_frame` has them; all where there are fewer."""
        ids = (
            (int(item_id), str(item_id))
            for frame in self.training_frame(version_id, Split.TRAIN)
            for item_id in frame["id"]
        )
        drawn = {str(item_id) for item_id in smallest_draw(ids, rows, seed=0)}
        return pd.concat(
            [frame[frame["id"].isin(drawn)] for frame in self.training_frame(version_id, Split.TRAIN)]
        )

    def pair_counts(self, version_id: int) -> PairCounts:
        """How many training posts of a version there are to learn a preference from."""
        codes = self._codes(version_id)
        counts = Counter[Corrected]()
        for both, count in self._pairs.kinds(version_id, Split.TRAIN):
            what = corrected(both, codes)
            if what is not None:
                counts[what] += count
        return PairCounts(counts[Corrected.LABELS], counts[Corrected.REASON])

    def pair_frame(self, version_id: int, split: Split) -> Iterator[pd.DataFrame]:
        """A split's pairs in chunks, in the columns of the trainer's files; `id` is the item's, as text.

        People's side is the version's and never changes; the other is the teacher's first answer as
        it counts now. A run keeps both in its folder, with their hash.
        """
        codes = self._codes(version_id)
        for chunk in self._pairs.candidates(version_id, split):
            pairs = [pair for pair in chunk if corrected(pair.both, codes) is not None]
            yield pd.DataFrame(
                {
                    "id": [str(pair.item_id) for pair in pairs],
                    "text": [pair.text for pair in pairs],
                    "labels": [list(pair.both.taught) for pair in pairs],
                    "analysis": pd.Series([pair.analysis for pair in pairs], dtype=object),
                    "harmful": [list(pair.harmful) for pair in pairs],
                    "rejected_labels": [list(pair.both.answered or ()) for pair in pairs],
                    "rejected_analysis": pd.Series(
                        [pair.answer_analysis or None for pair in pairs], dtype=object
                    ),
                    "rejected_harmful": [list(pair.answer_harmful) for pair in pairs],
                }
            )

    def _codes(self, version_id: int) -> tuple[str, ...]:
        version = self._datasets.by_id(version_id)
        if version is None:
            raise NotFoundError(f"There is no dataset version with the id {version_id}.")
        policies = PolicyService(self._session)
        return policies.training_policy(policies.get(version.policy_version_id)).codes

    def _policy(self, project_id: int) -> tuple[int, Policy]:
        policies = PolicyService(self._session)
        newest = policies.newest(project_id)
        return newest.id, policies.training_policy(newest)

    def _fill(self, version: DatasetVersion, policy: Policy, variation: Variation) -> None:
        """Store a version's rows, and with them its counts and hash."""
        rules = Rules(version.handling, policy.codes, version.include_unverified, version.include_unanswered)
        known = leaks(self._session, version.project_id)
        drawn = self._drawn(version.project_id, rules, variation, known.apart)
        tally, digest = Tally(policy), hashlib.sha256()
        for chunk in self._datasets.candidates(version.project_id):
            rows = []
            for found in (_marked(each, known.apart) for each in chunk):
                outcome = varied(found.external_id, found.candidate, rules, variation)
                if drawn is not None and _is_training(found, outcome) and found.item_id not in drawn:
                    outcome = LeftOut(Why.NOT_DRAWN)
                tally.add(found.candidate.split, outcome)
                if isinstance(outcome, Taught):
                    digest.update(_content(found, outcome))
                    rows.append(_row(version.id, found, outcome))
            self._datasets.add_rows(rows)
        preview = tally.finish()
        require_enough(version.handling, preview)
        preview.warnings += variation.warnings()
        version.counts = as_counts(preview) | {"apart_from": known.judging.as_counts()}
        if variation.stored:
            version.counts |= {"variation": variation.stored}
        version.hash = digest.hexdigest()
        self._session.flush()

    def _drawn(
        self, project_id: int, rules: Rules, variation: Variation, apart: Mapping[int, str]
    ) -> frozenset[int] | None:
        """The items that may be learned where there may only be so many; None where all may."""
        if variation.rows is None:
            return None
        return smallest_draw(
            (
                (found.item_id, found.external_id)
                for chunk in self._datasets.candidates(project_id)
                for found in (_marked(each, apart) for each in chunk)
                if _is_training(found, varied(found.external_id, found.candidate, rules, variation))
            ),
            variation.rows,
            variation.seed,
        )


def _is_training(found: Found, outcome: Taught | LeftOut) -> bool:
    return found.candidate.split is Split.TRAIN and isinstance(outcome, Taught)


def _marked(found: Found, apart: Mapping[int, str]) -> Found:
    """The item, with the set of which it nearly repeats a post."""
    name = apart.get(found.item_id)
    return found if name is None else replace(found, candidate=replace(found.candidate, nearly=name))


def _content(found: Found, taught: Taught) -> bytes:
    """What the hash is taken over: everything that the student sees of a row, and its id."""
    parts = [
        found.external_id,
        found.candidate.split.value,
        found.text,
        taught.labels,
        taught.analysis,
        taught.harmful,
    ]
    return (json.dumps(parts, ensure_ascii=True) + "\n").encode()


def _row(version_id: int, found: Found, taught: Taught) -> dict[str, object]:
    return {
        "version_id": version_id,
        "item_id": found.item_id,
        "split": found.candidate.split,
        "labels": taught.labels,
        "analysis": taught.analysis,
        "harmful": taught.harmful,
        "origin": taught.origin,
    }
