"""Evaluation sets: what makes a version of one, and their posts as the trainer reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from backend.db.models import EvaluationSet
from backend.db.models.content import Split
from backend.db.models.evaluation import SetOrigin
from backend.errors import InvalidInputError, NotFoundError
from backend.evaluation.set_repository import Decided, SetRepository

TEST_SPLIT = "test"
"""The name of the frozen test split."""

TEST_POSTS = "Test posts"
"""What people call it."""


def called(one: EvaluationSet) -> str:
    """What people call a set; the test split's posts are the project's test posts, in disguise, too."""
    if one.origin is SetOrigin.IMPORTED:
        return one.name
    plain, comma, rest = one.name.partition(",")
    return f"{TEST_POSTS}{comma}{rest}" if plain == TEST_SPLIT else one.name


def set_hash(codes: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """sha256 (hex) over a set's categories and its posts with their labels, in any order.

    Of the policy only the codes count: a code never changes its meaning, so that a new wording
    leaves posts, labels and every earlier score as they are.

    Args:
        rows: the posts' text hashes with their labels.
    """
    digest = hashlib.sha256(",".join(sorted(codes)).encode())
    for text_hash, labels in sorted((text_hash, tuple(sorted(labels))) for text_hash, labels in rows):
        digest.update(f"\n{text_hash} {','.join(labels)}".encode())
    return digest.hexdigest()


def freeze_test_split(sets: SetRepository, project_id: int, person: str) -> EvaluationSet:
    """See `EvaluationService.freeze_test_split`."""
    sets.lock(project_id)
    policy_version_id, decided, content = _test_split(sets, project_id)
    newest = sets.newest_test_split(project_id)
    if newest is not None and newest.hash == content:
        return newest
    frozen = sets.add_set(
        EvaluationSet(
            project_id=project_id,
            name=TEST_SPLIT,
            number=sets.next_number(project_id, TEST_SPLIT),
            origin=SetOrigin.TEST_SPLIT,
            policy_version_id=policy_version_id,
            rows=len(decided),
            hash=content,
            created_by=person,
        )
    )
    sets.copy_items(frozen.id, decided)
    return frozen


def frozen_test_split(sets: SetRepository, project_id: int) -> EvaluationSet | None:
    """See `EvaluationService.frozen_test_split`."""
    newest = sets.newest_test_split(project_id)
    if newest is None:
        return None
    try:
        _, _, content = _test_split(sets, project_id)
    except InvalidInputError:
        return None
    return newest if newest.hash == content else None


def _test_split(sets: SetRepository, project_id: int) -> tuple[int, list[Decided], str]:
    """The policy version, the decided test posts, and the hash that a set of them has.

    Raises:
        NotFoundError: the project has no policy.
        InvalidInputError: no post of the test split has a decision.
    """
    policy_version_id = sets.newest_policy(project_id)
    if policy_version_id is None:
        raise NotFoundError(f"There is no policy for project {project_id}.", "Import posts first.")
    codes = list(sets.names(policy_version_id))
    decided = _decided(sets, project_id, codes)
    return policy_version_id, decided, set_hash(codes, [(one.text_hash, one.labels) for one in decided])


def _decided(sets: SetRepository, project_id: int, codes: Sequence[str]) -> list[Decided]:
    decided = [
        Decided(one.item_id, one.text_hash, tuple(code for code in codes if code in one.labels))
        for one in sets.decided(project_id, Split.TEST)
        if set(one.labels) <= set(codes)
    ]
    if not decided:
        raise InvalidInputError(
            "No post of the test split has a decision, so there is nothing to evaluate on.",
            "Import labels with the posts, or judge the test posts in Review.",
        )
    return decided


_TEXTS = pa.schema([("id", pa.string()), ("text", pa.string())])
_LABELLED = _TEXTS.append(pa.field("labels", pa.list_(pa.string())))


def write_texts(parts: Iterable[Sequence[tuple[int, str]]], path: Path) -> int:
    """Write posts for the trainer (parquet: id, text), part after part; return their number."""
    return _write(([(str(key), text) for key, text in part] for part in parts), _TEXTS, path)


def write_labelled(parts: Iterable[Sequence[tuple[int, str, tuple[str, ...]]]], path: Path) -> int:
    """Write posts with their labels (parquet: id, text, labels); return their number."""
    rows = ([(str(key), text, list(labels)) for key, text, labels in part] for part in parts)
    return _write(rows, _LABELLED, path)


def _write(parts: Iterable[Sequence[tuple[Any, ...]]], schema: pa.Schema, path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with pq.ParquetWriter(path, schema) as writer:
        for part in parts:
            columns = dict(zip(schema.names, zip(*part, strict=True), strict=True))
            writer.write_table(pa.table(columns, schema=schema))
            written += len(part)
    return written
