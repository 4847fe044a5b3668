"""Rows are learned whole or refused by name."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tests.training.conftest import make_rows, write_rows
from training.data import DataError, Row, encode, epoch_batches, read_rows, require_some
from training.prompt import Answers, Renderer, forms_of


def test_rows_read_back(tmp_path: Path) -> None:
    rows = make_rows(10)
    write_rows(tmp_path / "train.parquet", rows)
    assert read_rows(tmp_path / "train.parquet", labelled=True) == rows
    bare = read_rows(tmp_path / "train.parquet", labelled=False)
    assert bare[0] == Row(rows[0].id, rows[0].text)


def test_each_form_once(renderer: Renderer) -> None:
    rows = make_rows(8)
    reasons = sum(row.analysis is not None for row in rows)
    assert len(encode(rows, renderer, "direct", 256).examples) == 8
    both = encode(rows, renderer, "both", 256)
    assert len(both.examples) == 8 + reasons
    assert both.rows_used == 8
    reasoned = encode(rows, renderer, "reasoned", 256)
    assert reasoned.forms.count("reasoned") == reasons
    assert reasoned.forms.count("direct") == 8 - reasons
    explained = encode(rows, renderer, "explained", 256)
    assert explained.forms.count("explained") == reasons
    assert explained.forms.count("direct") == 8 - reasons
    assert forms_of(" ", "both") == forms_of(None, "explained") == ("direct",)


@pytest.mark.parametrize("answers", ["both", "reasoned", "explained"])
def test_what_cannot_be_learned_is_refused_by_name_and_the_rest_goes_on(
    renderer: Renderer, answers: Answers
) -> None:
    good = make_rows(2)
    bad = [
        Row("no-labels", "hello", None),
        Row("no-text", None, ()),
        Row("blank", " \n", ()),
        Row("unknown", "hello", ("nonsense",)),
        Row("too-long", "hello", ("scam",), "word " * 400),
    ]
    encoded = encode([*good, *bad], renderer, answers, 256)
    assert encoded.rows_used == 2
    reasons = {refusal.id: refusal.reason for refusal in encoded.refused}
    assert set(reasons) == {row.id for row in bad}
    assert "nothing to learn" in reasons["no-labels"]
    assert "nonsense" in reasons["unknown"]
    assert "leave no room" in reasons["too-long"]
    assert sum(encoded.labels.values()) + encoded.without_labels == 2
    # No answer was cut: each ends as it was written.
    assert all(example.answer[-1] == renderer.end_id for example in encoded.examples)
    # The refused row is not learned in its direct form either: a row is used whole or not at all.
    assert "too-long" not in encoded.ids


def test_nothing_left_to_learn_fails_with_the_reason(renderer: Renderer) -> None:
    with pytest.raises(
        DataError, match=r"none of the 1 rows of train.parquet can be learned; row 'x': the row has no"
    ):
        require_some(encode([Row("x", "hello")], renderer, "direct", 256), "train.parquet")
    with pytest.raises(DataError, match="has no rows"):
        require_some(encode([], renderer, "direct", 256), "train.parquet")


def test_unusable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train.parquet is missing"):
        read_rows(tmp_path / "train.parquet", labelled=True)
    (tmp_path / "binary.parquet").write_bytes(b"\x00\x01nonsense")
    with pytest.raises(DataError, match="not a readable parquet"):
        read_rows(tmp_path / "binary.parquet", labelled=True)
    pd.DataFrame({"id": ["a"], "words": ["b"]}).to_parquet(tmp_path / "columns.parquet")
    with pytest.raises(DataError, match="no column 'text'"):
        read_rows(tmp_path / "columns.parquet", labelled=False)


def test_an_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    first, second = epoch_batches(23, 4, 7, 0), epoch_batches(23, 4, 7, 1)
    assert [len(batch) for batch in first] == [4, 4, 4, 4, 4, 3]
    assert sorted(index for batch in first for index in batch) == list(range(23))
    assert first != second
    assert first == epoch_batches(23, 4, 7, 0)
    assert first != epoch_batches(23, 4, 8, 0)
