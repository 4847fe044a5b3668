"""Which split a post belongs to."""

from __future__ import annotations

from backend.db.models.content import Split

# Of 100 posts; the test split is large enough for intervals that say something.
_VALIDATION = 10
_TEST = 20

_WORDS = {
    "train": Split.TRAIN,
    "training": Split.TRAIN,
    "trn": Split.TRAIN,
    "validation": Split.VALIDATION,
    "valid": Split.VALIDATION,
    "val": Split.VALIDATION,
    "dev": Split.VALIDATION,
    "development": Split.VALIDATION,
    "test": Split.TEST,
    "testing": Split.TEST,
    "tst": Split.TEST,
    "eval": Split.TEST,
    "evaluation": Split.TEST,
}


def hash_split(text_hash: str) -> Split:
    """The split of a post that came without one: 70 of 100 train, 10 validate, 20 test.

    It follows from the normalised text alone, so every import of the post, in any file,
    project or order, gives the same.

    Args:
        text_hash: sha256 (hex) of the normalised text.
    """
    place = int(text_hash[-15:], 16) % 100
    if place < _TEST:
        return Split.TEST
    return Split.VALIDATION if place < _TEST + _VALIDATION else Split.TRAIN


def given_split(word: str) -> Split | None:
    """The split that a file's word means; None where it means none."""
    return _WORDS.get(word.strip().lower())
