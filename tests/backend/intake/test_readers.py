"""Odd files as people really have them."""

import csv
import json
import random
from pathlib import Path
from typing import Any

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.intake.raw import Broken, Row
from backend.intake.readers import open_table
from tests.backend.intake.files import write, write_csv, write_jsonl


def rows(path: Path) -> list[dict[str, Any]]:
    return [row.cells for row in open_table(path).read() if isinstance(row, Row)]


def broken(path: Path) -> list[Broken]:
    return [row for row in open_table(path).read() if isinstance(row, Broken)]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_told_from_the_records(tmp_path: Path, delimiter: str) -> None:
    path = write_csv(tmp_path / "a.csv", [["id", "text"], ["007", "one, two; three"], ["8", "NA"]], delimiter)
    assert rows(path) == [{"id": "007", "text": "one, two; three"}, {"id": "8", "text": "NA"}]


def test_strings_stay_strings(tmp_path: Path) -> None:
    words = ["NA", "null", "None", "nan", "007", "1e5", "True", " x ", ""]
    path = write_csv(tmp_path / "a.csv", [["id", "text"], *([word, "t"] for word in words)])
    assert [row["id"] for row in rows(path)] == words


def test_one_column_needs_no_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text\nhello, world; and | more\n"two\nlines"\n')
    assert rows(path) == [{"text": "hello, world; and | more"}, {"text": "two\nlines"}]


def test_a_spreadsheets_hint_is_no_header(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "sep=;\r\nid;text\r\n1;a, b\r\n")
    table = open_table(path)
    assert table.columns == ("id", "text")
    assert [(row.line, row.cells) for row in table.read() if isinstance(row, Row)] == [
        (3, {"id": "1", "text": "a, b"})
    ]


def test_lines_are_those_at_which_records_start(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,text\n1,"a\nb\nc"\n\n2,d\n3\n4,e,f\n5,g,,\n6,h\n')
    table = open_table(path)
    found = list(table.read())
    assert [(row.line, isinstance(row, Row)) for row in found] == [
        (2, True),
        (6, True),
        (7, False),
        (8, False),
        (9, True),
        (10, True),
    ]
    assert [one.why.split(";")[0] for one in broken(path)] == [
        "it has 1 cells and the header 2",
        "it has 3 cells and the header 2",
    ]


def test_a_quote_that_is_never_closed_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,text\n1,a\n2,"b\n3,c\n4,d\n')
    assert [row["id"] for row in rows(path)] == ["1"]
    assert broken(path) == [Broken(3, "a quote that opens here is never closed, lines 3 to 5 read as one")]


def test_a_long_post_is_read_and_not_cut(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [["id", "text"], ["1", "x" * 10_000_000], ["2", "y"]])
    assert [len(row["text"]) for row in rows(path)] == [10_000_000, 1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_files(tmp_path: Path, encoding: str) -> None:
    text = "id,text\n1,grüß dich – “na” 🙂 žluťoučký\n2,plain text that goes on for a while, no,t\n".replace(
        ", no,t", ""
    )
    path = write(tmp_path / "a.csv", text, encoding)
    assert rows(path)[0]["text"] == "grüß dich – “na” 🙂 žluťoučký"
    assert open_table(path).columns == ("id", "text")


def test_latin_1_and_windows_quotes(tmp_path: Path) -> None:
    assert rows(write(tmp_path / "a.csv", "id,text\n1,déjà vu\n", "latin-1"))[0]["text"] == "déjà vu"
    assert rows(write(tmp_path / "b.csv", "id,text\n1,“so”\n", "cp1252"))[0]["text"] == "“so”"
    assert rows(write(tmp_path / "c.csv", b"id,text\n1,\x81\xe9\n"))[0]["text"] == "\x81é"


def test_a_broken_byte_does_not_turn_utf_8_into_latin_1(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text\n1,grüße aus köln\n".encode() + b"2,bro\xffken\n")
    assert rows(path) == [{"id": "1", "text": "grüße aus köln"}, {"id": "2", "text": "bro\udcffken"}]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("blank.csv", b"\n \n"),
        ("zip.csv", b"PK\x03\x04" + bytes(range(256))),
        ("random.csv", random.Random(1).randbytes(5_000)),
        ("zeros.csv", bytes(1_000)),
        ("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(100)),
        ("no.parquet", b"PAR1 not really"),
        ("no.xlsx", b"PK\x03\x04 not really"),
        ("text.xlsx", b"id,text\n1,a\n"),
        ("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
        ("cut.json", b'[{"text": "a"}, {"text": '),
        ("word.json", b'"text"'),
        ("no_list.json", b'{"a": {"b": 1},\n "c": 2}'),
        ("garbage.json", b"{[}"),
        ("odd.csv", b"\xff\xfei\x00d\x00,\x00\xd8"),
    ],
)
def test_what_cannot_be_read_says_so(tmp_path: Path, name: str, content: bytes) -> None:
    path = write(tmp_path / name, content)
    with pytest.raises(InvalidInputError) as error:
        list(open_table(path).read())
    assert error.value.message
    assert error.value.hint


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no file"):
        open_table(tmp_path / "nothing.csv")


def test_headers_become_unique_names(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,,id, text \n1,2,3,4\n")
    assert open_table(path).columns == ("id", "column 2", "id (2)", "text")


OBJECTS = [
    {"id": "007", "text": "a", "labels": ["x"], "n": 1.5},
    {"id": "8", "text": "b\n“c”", "deep": {"k": [1]}},
]


@pytest.mark.parametrize("indent", [None, 2])
def test_json_in_its_shapes(tmp_path: Path, indent: int | None) -> None:
    plain = write(tmp_path / "a.json", json.dumps(OBJECTS, indent=indent))
    wrapped = {"version": 2, "about": {"n": [1]}, "data": OBJECTS}
    inside = write(tmp_path / "b.json", json.dumps(wrapped, indent=indent))
    lines = write_jsonl(tmp_path / "c.jsonl", OBJECTS)
    misnamed = write_jsonl(tmp_path / "d.json", OBJECTS)
    turned = write(tmp_path / "f.jsonl", json.dumps(OBJECTS, indent=indent))
    single = write_jsonl(tmp_path / "e.json", OBJECTS[:1])
    unnamed = write(tmp_path / "posts", json.dumps(OBJECTS, indent=indent))
    assert (
        rows(plain)
        == rows(inside)
        == rows(lines)
        == rows(misnamed)
        == rows(turned)
        == rows(unnamed)
        == OBJECTS
    )
    assert rows(single) == OBJECTS[:1]
    assert open_table(misnamed).format == "jsonl"
    assert open_table(plain).columns == ("id", "text", "labels", "n", "deep")


def test_json_has_line_numbers_across_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.intake.objects._BLOCK", 7)
    path = write(tmp_path / "a.json", '[\n{"text": "a"},\n3,\n{"text":\n "b", "n": 12345678901}\n]\n')
    found = [(row.line, isinstance(row, Row)) for row in open_table(path).read()]
    assert found == [(2, True), (3, False), (4, True)]
    assert rows(path)[1] == {"text": "b", "n": 12345678901}


def test_a_line_that_is_no_object_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n\n[1]\n{"text": \n{"text": "b"}\n')
    assert [row["text"] for row in rows(path)] == ["a", "b"]
    assert [one.line for one in broken(path)] == [3, 4]


def test_a_file_without_one_object_says_why(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="can be read: line 1: it is not a JSON object"):
        open_table(write(tmp_path / "a.jsonl", "words\nmore words\n"))


def test_broken_files_are_refused_whatever_the_libraries_raise(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["1", "2"], "text": ["a", "b"], "label": ["x", "none"]})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    chance = random.Random(7)
    for name in ("a.parquet", "a.xlsx") * 60:
        content = bytearray((tmp_path / name).read_bytes())
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path = write(tmp_path / f"broken_{name}", bytes(content))
        try:
            list(open_table(path).read())
        except InvalidInputError as error:
            assert name in error.message


def test_deep_nesting_is_no_crash(tmp_path: Path) -> None:
    deep = "[" * 100_000
    lines = write(tmp_path / "a.jsonl", f'{{"text": "a"}}\n{{"text": {deep}\n')
    assert [one.line for one in broken(lines)] == [2]
    with pytest.raises(InvalidInputError):
        open_table(write(tmp_path / "a.json", f'[{{"text": {deep}'))


def test_parquet_keeps_lists_and_numbers(tmp_path: Path) -> None:
    table = pa.table({"id": [1, 2, None], "text": ["a", None, "NA"], "labels": [["x"], [], None]})
    pq.write_table(table, tmp_path / "a.parquet")
    found = list(open_table(tmp_path / "a.parquet").read())
    assert [row.line for row in found] == [1, 2, 3]
    assert rows(tmp_path / "a.parquet")[0] == {"id": 1, "text": "a", "labels": ["x"]}
    assert rows(tmp_path / "a.parquet")[2] == {"id": None, "text": "NA", "labels": None}


def test_a_frame_written_by_pandas_reads_the_same_in_every_format(tmp_path: Path) -> None:
    frame = pd.DataFrame({"id": ["1", "2"], "text": ["a\nb", 'c "d"'], "label": ["x", "y"]})
    frame.to_csv(tmp_path / "a.csv", index=False)
    frame.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    frame.to_json(tmp_path / "a.json", orient="records")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_excel(tmp_path / "a.xlsx", index=False)
    for suffix in ("csv", "tsv", "json", "jsonl", "parquet", "xlsx"):
        path = tmp_path / f"a.{suffix}"
        assert open_table(path).format == suffix
        assert rows(path) == frame.to_dict("records"), suffix


def test_a_sheet_has_its_own_row_numbers(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for record in (["id", "text", None], [7, "a"], [], [8.0, None], [9, "b", "more"]):
        sheet.append(record)
    book.save(tmp_path / "a.xlsx")
    found = list(open_table(tmp_path / "a.xlsx").read())
    assert [(row.line, isinstance(row, Row)) for row in found] == [(2, True), (4, True), (5, False)]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=8), st.sampled_from(",;\t|"))
def test_what_a_csv_writer_wrote_comes_back(
    tmp_path: Path, records: list[tuple[str, str]], delimiter: str
) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=delimiter, quoting=csv.QUOTE_ALL)
        writer.writerows([("id", "text"), *records])
    assert [(row["id"], row["text"]) for row in rows(path)] == records


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(
    st.binary(max_size=400), st.sampled_from(["a.csv", "a.tsv", "a.json", "a.jsonl", "a.parquet", "a.xlsx"])
)
def test_no_bytes_at_all_make_a_reader_fall_over(tmp_path: Path, content: bytes, name: str) -> None:
    path = write(tmp_path / name, content)
    try:
        for row in open_table(path).read():
            assert row.line >= 1
    except InvalidInputError as error:
        assert error.message
