"""What the preference step learns: people's frozen answers over the teacher's."""

import pandas as pd
import pytest
from sqlalchemy.orm import Session

from backend.curation import pair_repository
from backend.curation.pairs import Both, Corrected, PairCounts, corrected
from backend.curation.service import CurationService
from backend.db.engine import Database
from backend.db.models import Item, TeacherAnswer
from backend.db.models.content import Split
from backend.db.models.curation import Handling
from backend.db.models.review import Source
from backend.errors import NotFoundError
from backend.items.repository import ItemRepository
from backend.policies.service import PolicyService
from tests.backend.build import add_judgement
from tests.backend.curation.posts import POSTS, Post, add_posts, fill

CODES = ("hate", "scam")


def build(session: Session, project_id: int, handling: Handling = Handling.REVIEW) -> int:
    return CurationService(session).build(project_id, handling, person="ada").version.id


def pairs(session: Session, version_id: int, split: Split = Split.TRAIN) -> dict[str, dict[str, object]]:
    frames = list(CurationService(session).pair_frame(version_id, split))
    if not frames:
        return {}
    rows = pd.concat(frames).to_dict("records")
    return {str(row["text"]).removeprefix("the post "): {str(k): v for k, v in row.items()} for row in rows}


@pytest.mark.parametrize(
    ("both", "what"),
    [
        (Both(("hate",), "people", ("scam",), False), Corrected.LABELS),
        (Both((), "people", ("scam",), True), Corrected.LABELS),
        (Both(("hate", "scam"), "people", ("scam", "hate"), False), None),
        (Both(("hate",), "teacher", ("hate",), True), Corrected.REASON),
        (Both(("hate",), "teacher", ("hate",), False), None),
        # The teacher's own second answer, and one that it gave after the version was frozen.
        (Both(("hate",), "recheck", ("scam",), False), None),
        (Both(("hate",), "teacher", ("scam",), False), None),
        (Both(("hate",), "people", None, False), None),
        (Both(("hate",), "people", ("spam",), False), None),
    ],
)
def test_a_pair_is_what_people_corrected(both: Both, what: Corrected | None) -> None:
    assert corrected(both, CODES) is what


def test_reasons_count_only_for_a_student_that_learns_reasons() -> None:
    counts = PairCounts(labels=3, reasons=2)
    assert [counts.learned(answers) for answers in ("direct", "reasoned", "both")] == [3, 5, 5]


def test_a_review_version_gives_peoples_answers_over_the_teachers(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Chunks of two, so that their seams are seen.
    monkeypatch.setattr(pair_repository, "CHUNK", 2)
    project_id, ids = fill(database)
    with database.write() as session:
        version = build(session, project_id)
        assert CurationService(session).pair_counts(version) == PairCounts(labels=4, reasons=1)
        found = pairs(session, version)
    assert found.keys() == {"wrong", "mended", "wrong again", "corrected", "bad reason"}
    assert found["wrong"]["labels"] == []
    assert found["wrong"]["rejected_labels"] == ["scam"]
    assert found["wrong"]["id"] == str(ids["wrong"])
    # The first answer is rejected, not the second.
    assert found["mended"]["rejected_analysis"] == "why mended"
    assert found["corrected"]["analysis"] == "person's reason"
    assert found["corrected"]["rejected_harmful"] == ["post"]
    assert found["bad reason"]["labels"] == found["bad reason"]["rejected_labels"] == ["scam"]
    assert (found["bad reason"]["analysis"], found["bad reason"]["rejected_analysis"]) == (
        "better reason",
        "why bad reason",
    )


def test_validation_posts_have_pairs_of_their_own(database: Database) -> None:
    posts = (*POSTS, Post("held", ("scam",), (), split=Split.VALIDATION))
    with database.write() as session:
        project_id, _ = add_posts(session, posts=posts)
        version = build(session, project_id)
        assert pairs(session, version, Split.VALIDATION).keys() == {"held"}
        assert "held" not in pairs(session, version)


def test_other_handlings_teach_no_persons_answer(database: Database) -> None:
    project_id, _ = fill(database)
    with database.write() as session:
        for handling in Handling:
            if handling is not Handling.REVIEW:
                version = build(session, project_id, handling)
                assert CurationService(session).pair_counts(version) == PairCounts()
                assert pairs(session, version) == {}
        with pytest.raises(NotFoundError):
            CurationService(session).pair_counts(99)


def test_peoples_side_stays_as_it_was_frozen(database: Database) -> None:
    project_id, ids = fill(database)
    with database.write() as session:
        version = build(session, project_id)
        policy = PolicyService(session).newest(project_id)
        for name, labels in (("corrected", ("hate", "scam")), ("bad reason", ("scam",))):
            item = session.get_one(Item, ids[name])
            add_judgement(session, policy, item, labels, source=Source.ADJUDICATION, reason="another")
        answer = session.get_one(TeacherAnswer, session.get_one(Item, ids["wrong"]).answer_id)
        answer.labels = None
        ItemRepository(session).refresh(ids.values())
        found = pairs(session, version)
    assert (found["corrected"]["labels"], found["corrected"]["analysis"]) == (["hate"], "person's reason")
    # Whose reason the row has cannot be told any more; an answer that cannot be read rejects nothing.
    assert "bad reason" not in found
    assert "wrong" not in found
