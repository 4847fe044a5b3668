"""Files of words and phrases, each with the category that it stands for, or with none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backend.errors import InvalidInputError
from backend.evaluation.baselines.own_words import as_words
from backend.intake.cells import CellError, as_text, check
from backend.intake.encodings import text_encoding
from backend.intake.raw import Broken
from backend.intake.readers import open_table

WORD, CATEGORY = "word", "category"

_TEXT = ".txt"
_LONGEST = 200
"""Characters of a phrase; what is longer is a post, and the file perhaps another."""

_MOST = 100_000
_HINT = "Give a CSV or TSV with the columns word and category, or a .txt file with one word or phrase a line."


@dataclass(slots=True)
class Read:
    """What stands in a file.

    Attributes:
        entries: the categories of each word or phrase; none where it means any violation.
        blank: lines without a word.
        repeated: lines that say again what stands above them.
    """

    entries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    blank: int = 0
    repeated: int = 0


def read_words(path: Path, name: str, categories: Mapping[str, str], category: str | None) -> Read:
    """Read a word list, of which nothing is taken where anything is wrong with it.

    Args:
        path: where the file lies.
        name: what the person calls it; by its ending it is a table or plain text.
        categories: the policy's codes, with their names.
        category: what words stand for that the file gives no category; any violation without it.

    Raises:
        InvalidInputError: it cannot be read, has no words, or names a category that the policy lacks.
    """
    known = {name.casefold(): code for code, name in categories.items()}
    known |= {code.casefold(): code for code in categories}
    if category is not None and category.strip().casefold() not in known:
        raise _unknown(f"The policy has no category {category!r}.", categories)
    if path.is_file() and path.stat().st_size == 0:
        raise InvalidInputError(f"{name} is empty.", _HINT)
    found = Read()
    # The same phrase in other capitals is the same phrase.
    places: dict[tuple[str, ...], str] = {}
    for line, word, of in _lines(path, name):
        phrase = " ".join(_checked(name, line, word).split())
        tokens = as_words(phrase)
        if not tokens:
            found.blank += 1
            continue
        wanted = of.strip() or category
        code = None if wanted is None else known.get(wanted.strip().casefold())
        if wanted is not None and code is None:
            raise _unknown(
                f"Line {line:,} of {name}: the policy has no category {wanted[:60]!r}.", categories
            )
        first = places.setdefault(tokens, phrase)
        before = found.entries.get(first)
        after = tuple(sorted({*(before or ()), *([] if code is None else [code])}))
        found.repeated += after == before
        found.entries[first] = after
        if len(found.entries) > _MOST:
            raise InvalidInputError(
                f"{name} has more than {_MOST:,} words.", "Is it a word list? Posts go to Import."
            )
    if not found.entries:
        raise InvalidInputError(f"{name} has no word in it.", _HINT)
    return found


def _lines(path: Path, name: str) -> Iterator[tuple[int, str, str]]:
    """Each line's number, word, and category; the empty text where it gives none."""
    if Path(name).suffix.lower() == _TEXT:
        yield from _plain(path, name)
        return
    table = open_table(path, name)
    columns: dict[str, str] = {}
    for column in table.columns:
        columns.setdefault(column.strip().casefold(), column)
    if WORD not in columns:
        listed = ", ".join(column[:60] for column in table.columns[:8])
        raise InvalidInputError(f"{name} has no column {WORD}; it has: {listed}.", _HINT)
    for row in table.read():
        if isinstance(row, Broken):
            raise InvalidInputError(f"Line {row.line:,} of {name}: {row.why}.", "Mend the line.")
        cells: dict[str, Any] = row.cells
        yield row.line, as_text(cells.get(columns[WORD])), as_text(cells.get(columns.get(CATEGORY, "")))


def _plain(path: Path, name: str) -> Iterator[tuple[int, str, str]]:
    if not path.is_file():
        raise InvalidInputError(f"There is no file {path}.", "Check the name.")
    encoding = text_encoding(path, name)
    errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
    try:
        with path.open(encoding=encoding, errors=errors) as file:
            for number, line in enumerate(file, 1):
                yield number, line, ""
    except UnicodeError as error:
        raise InvalidInputError(
            f"{name} begins as Unicode text and then breaks off.", "Save it as UTF-8 and import that."
        ) from error


def _checked(name: str, line: int, word: str) -> str:
    try:
        check(WORD, word)
    except CellError as error:
        raise InvalidInputError(f"Line {line:,} of {name}: {error}.", "Save the file as UTF-8.") from error
    if len(word.strip()) > _LONGEST:
        raise InvalidInputError(
            f"Line {line:,} of {name} has {len(word.strip()):,} characters; a word or phrase has at most "
            f"{_LONGEST}.",
            _HINT,
        )
    return word


def _unknown(what: str, categories: Mapping[str, str]) -> InvalidInputError:
    return InvalidInputError(what, f"Its categories: {', '.join(categories)}. Nothing was imported.")
