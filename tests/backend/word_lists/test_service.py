"""Lists from odd files, refused or taken whole, on both databases."""

from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from backend import events
from backend.db.engine import Database
from backend.db.models import Project, WordList
from backend.errors import InvalidInputError
from backend.word_lists.service import WordListReport, WordListService
from tests.backend.build import add_project


def write(folder: Path, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def take(session: Session, project: Project, path: Path, category: str | None = None) -> WordListReport:
    return WordListService(session).import_file(project.id, path, category=category, person="ada")


def entries(session: Session, project: Project) -> dict[str, list[str]]:
    found = WordListService(session).newest(project.id)
    assert found is not None
    return found.entries


def test_a_table_of_words_and_categories(database: Database, tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "blocked.csv",
        'Word,Category\nclown,hate\n"free money",SCAM\nCLOWN,hate\nclown,scam\n,hate\nbad word,\n\n',
    )
    with database.write() as session:
        project, _ = add_project(session, codes=("hate", "scam"))
        report = take(session, project, path)
        assert report == WordListReport(
            number=1,
            file_name="blocked.csv",
            words=3,
            by_category={"hate": 1, "scam": 2},
            any_violation=1,
            blank=1,
            repeated=1,
            changed=True,
        )
        expected = {"clown": ["hate", "scam"], "free money": ["scam"], "bad word": []}
        assert entries(session, project) == expected
        assert events.latest(session, project.id)[0].text == "Word list of 3 words imported"


def test_plain_text_stands_for_any_violation_or_one_category(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path, "blocked.txt", "\ufeffclown\r\n\r\n  free   money \r\nClown\r\n")
    with database.write() as session:
        project, _ = add_project(session, codes=("hate", "scam"))
        report = take(session, project, path)
        assert entries(session, project) == {"clown": [], "free money": []}
        assert (report.any_violation, report.blank, report.repeated) == (2, 1, 1)
        report = take(session, project, path, "Scam")
        assert entries(session, project) == {"clown": ["scam"], "free money": ["scam"]}
        assert (report.number, report.any_violation) == (2, 0)


def test_another_list_takes_the_place_and_the_same_changes_nothing(
    database: Database, tmp_path: Path
) -> None:
    first, second = write(tmp_path, "a.txt", "one\n"), write(tmp_path, "b.txt", "two\n")
    with database.write() as session:
        project, _ = add_project(session)
        other, _ = add_project(session, name="Another")
        assert WordListService(session).newest(project.id) is None
        numbers = [take(session, project, path).number for path in (first, first, second, first)]
        assert numbers == [1, 1, 2, 3]
        assert not take(session, project, first).changed
        assert entries(session, project) == {"one": []}
        assert session.query(WordList).count() == 3, "what evaluations were made with stays"
        assert take(session, other, second).number == 1


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "cp1252"])
@pytest.mark.parametrize("name", ["words.txt", "words.tsv"])
def test_files_in_other_encodings(database: Database, tmp_path: Path, encoding: str, name: str) -> None:
    lines = "Müll\nblöd\n" if name.endswith("txt") else "word\tcategory\nMüll\t\nblöd\t\n"
    with database.write() as session:
        project, _ = add_project(session)
        take(session, project, write(tmp_path, name, lines, encoding))
        assert entries(session, project) == {"Müll": [], "blöd": []}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "", "a.txt is empty"),
        ("a.csv", "", "a.csv is empty"),
        ("a.txt", " \n\n", "a.txt is empty|a.txt has no word in it"),
        ("a.csv", "word,category\n", "a.csv has no word in it"),
        ("a.csv", "word,category\n ,hate\n", "a.csv has no word in it"),
        ("a.csv", "clown\nidiot\n", "a.csv has no column word; it has: clown"),
        ("a.csv", "word,category\nclown,hate\nidiot,hat\n", "Line 3 of a.csv: the policy has no category"),
        ("a.csv", "word,category\nclown,hate,more\n", "Line 2 of a.csv: it has 3 cells"),
        ("a.txt", "x" * 201, "Line 1 of a.txt has 201 characters"),
        ("a.txt", "one\ntw\0o\n", "Line 2 of a.txt: word has a NUL byte"),
        ("a.txt", "größe äöü\n".encode() + b"br\xffoken", "Line 2 of a.txt: word has bytes"),
        ("a.txt", b"PK\x03\x04 and so on", "a.txt is not text: it is a ZIP archive"),
        ("a.xls", "x", "old or other workbook"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_changes_nothing(
    database: Database, tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    good = write(tmp_path, "good.txt", "good\n")
    with database.write() as session:
        project, _ = add_project(session)
        take(session, project, good)
        with pytest.raises(InvalidInputError, match=said) as refused:
            take(session, project, write(tmp_path, name, content))
        assert refused.value.hint
        assert entries(session, project) == {"good": []}


def test_an_unknown_category_for_all_words(database: Database, tmp_path: Path) -> None:
    with database.write() as session:
        project, _ = add_project(session)
        with pytest.raises(InvalidInputError, match="no category 'spam'") as refused:
            take(session, project, write(tmp_path, "a.txt", "one\n"), "spam")
        assert refused.value.hint == "Its categories: hate, scam. Nothing was imported."
        with pytest.raises(InvalidInputError, match="There is no file"):
            take(session, project, tmp_path / "gone.txt")
