"""Policy versions on both databases, and what becomes of decisions when a category goes."""

import pytest
from sqlalchemy import select

from backend.db.engine import Database
from backend.db.models import Item, ItemLabel, Judgement, PolicyVersion, Project, TeacherAnswer
from backend.db.models.content import Agreement, Queue
from backend.db.models.review import Source, Verdict
from backend.errors import InvalidInputError, NotFoundError
from backend.items.repository import ItemRepository
from backend.policies.service import CategoryCount, ChangeKind, PolicyService
from tests.backend.build import add_item, add_project, add_teacher_run
from training.policy import Category

HATE = Category(code="hate", name="Hate", definition="is hate.")
SCAM = Category(code="scam", name="Scam", definition="is scam.")
FRAUD = Category(code="fraud", name="Fraud")


@pytest.fixture
def project(database: Database) -> int:
    """Three decided items: scam by gold; scam and hate by review over gold; hate by gold."""
    with database.write() as session:
        found, policy = add_project(session, codes=("hate", "scam"))
        first, second, third = (add_item(session, found, text) for text in ("one", "two", "three"))
        run = add_teacher_run(session, found, policy)

        def judge(item: Item, source: Source, *labels: str) -> None:
            session.add(
                Judgement(
                    item_id=item.id,
                    policy_version_id=policy.id,
                    source=source,
                    person="import" if source is Source.GOLD else "bo",
                    verdict=None if source is Source.GOLD else Verdict.WRONG_LABELS,
                    labels=labels,
                    reason="because",
                    harmful=("o",),
                )
            )
            session.flush()

        judge(first, Source.GOLD, "scam")
        judge(second, Source.GOLD, "scam")
        judge(second, Source.REVIEW, "hate", "scam")
        judge(third, Source.GOLD, "hate")
        session.add(TeacherAnswer(run_id=run.id, item_id=first.id, labels=("scam",)))
        session.add(TeacherAnswer(run_id=run.id, item_id=second.id, labels=("scam",)))
        session.add(TeacherAnswer(run_id=run.id, item_id=third.id, labels=None))
        ItemRepository(session).refresh([first.id, second.id, third.id])
        return found.id


def change(database: Database, project: int, *categories: Category, **options: object) -> PolicyVersion:
    with database.write() as session:
        return PolicyService(session).create_version(project, categories, person="ada", **options)  # type: ignore[arg-type]


def labels(database: Database) -> dict[str, list[str]]:
    with database.read() as session:
        rows = session.execute(
            select(Item.text, ItemLabel.code)
            .join(ItemLabel, ItemLabel.item_id == Item.id)
            .order_by(ItemLabel.code)
        )
        found: dict[str, list[str]] = {}
        for text, code in rows:
            found.setdefault(text, []).append(code)
        return found


def test_versions_are_added_and_never_changed(database: Database, project: int) -> None:
    renamed = SCAM.model_copy(update={"name": "Swindle", "examples": ("pay now",)})
    version = change(database, project, renamed, HATE, note="clearer")
    assert (version.number, version.note, version.created_by) == (2, "clearer", "ada")
    again = change(database, project, renamed, HATE)
    assert again.id == version.id
    with database.read() as session:
        policies = PolicyService(session)
        newest, oldest = policies.versions(project)
        assert [one.name for one in newest.categories] == ["Swindle", "Hate"]
        assert [one.name for one in oldest.categories] == ["Hate", "Scam"]
        assert policies.get(oldest.id).number == 1
        assert policies.training_policy(newest).version == 2
        changes = policies.diff(oldest, newest)
        assert [(one.code, one.kind, one.fields) for one in changes] == [
            ("scam", ChangeKind.CHANGED, ("name", "examples"))
        ]
    assert labels(database) == {"one": ["scam"], "two": ["hate", "scam"], "three": ["hate"]}


def test_counts_of_people_and_teacher(database: Database, project: int) -> None:
    with database.read() as session:
        assert PolicyService(session).counts(project) == {
            "hate": CategoryCount(decided=2, teacher_named=0, disagree=1),
            "scam": CategoryCount(decided=2, teacher_named=2, disagree=0),
        }


def test_a_removed_category_needs_a_fate(database: Database, project: int) -> None:
    with pytest.raises(InvalidInputError, match="'scam' is no longer") as error:
        change(database, project, HATE)
    assert "scam=again" in error.value.hint
    with pytest.raises(InvalidInputError, match="no category 'spam'"):
        change(database, project, HATE, fates={"scam": "spam"})
    with pytest.raises(InvalidInputError, match="'hate' is not removed"):
        change(database, project, HATE, SCAM, FRAUD, fates={"hate": "scam"})
    with pytest.raises(InvalidInputError, match="at least one"):
        change(database, project)
    with database.read() as session:
        assert len(PolicyService(session).versions(project)) == 1


def test_decisions_move_to_the_code_that_takes_over(database: Database, project: int) -> None:
    version = change(database, project, HATE, FRAUD, fates={"scam": "fraud"})
    assert labels(database) == {"one": ["fraud"], "two": ["fraud", "hate"], "three": ["hate"]}
    with database.read() as session:
        added = session.scalars(
            select(Judgement)
            .where(Judgement.policy_version_id == version.id)
            .order_by(Judgement.item_id, Judgement.id)
        ).all()
        assert [(one.source, one.person, one.labels, one.reason) for one in added] == [
            (Source.GOLD, "import", ("fraud",), "because"),
            (Source.GOLD, "import", ("fraud",), "because"),
            (Source.REVIEW, "bo", ("hate", "fraud"), "because"),
        ]
        assert added[2].verdict is Verdict.WRONG_LABELS
        assert added[2].harmful == ("o",)


def test_two_categories_can_become_one(database: Database, project: int) -> None:
    change(database, project, FRAUD, fates={"scam": "fraud", "hate": "fraud"})
    assert labels(database) == {"one": ["fraud"], "two": ["fraud"], "three": ["fraud"]}


def test_what_cannot_be_mapped_is_judged_again(database: Database, project: int) -> None:
    change(database, project, HATE, fates={"scam": None})
    assert labels(database) == {"three": ["hate"]}
    with database.read() as session:
        items = {item.text: item for item in session.scalars(select(Item))}
        assert [items[name].sent_back for name in ("one", "two", "three")] == [True, True, False]
        assert (items["one"].queue, items["one"].queue_rank) == (Queue.TEACHER, 0)
        assert items["one"].agreement is Agreement.UNVERIFIED
        # The gold judgement under the review named the old code too, and must not rise again.
        assert items["two"].decision_id is None
        history = session.scalars(select(Judgement).where(Judgement.item_id == items["two"].id)).all()
        assert len(history) == 4


def test_a_policy_of_another_project_is_left_alone(database: Database, project: int) -> None:
    with database.write() as session:
        other, policy = add_project(session, name="Other", codes=("hate", "scam"))
        item = add_item(session, other, "elsewhere")
        session.add(
            Judgement(
                item_id=item.id,
                policy_version_id=policy.id,
                source=Source.GOLD,
                person="import",
                labels=("scam",),
            )
        )
        ItemRepository(session).refresh([item.id])
    change(database, project, HATE, fates={"scam": None})
    assert labels(database)["elsewhere"] == ["scam"]


def test_there_may_be_none(database: Database) -> None:
    with database.write() as session:
        session.add(Project(name="bare", created_by="ada"))
    with database.read() as session:
        for ask in (PolicyService(session).newest, PolicyService(session).get):
            with pytest.raises(NotFoundError):
                ask(1)


def test_yaml_there_and_back(database: Database, project: int) -> None:
    fancy = Category(code="scam", name="Scam", definition="a: 'b' # c\n- d", examples=("x: y", "no", "é 🙂"))
    version = change(database, project, HATE, fancy)
    with database.read() as session:
        policies = PolicyService(session)
        text = policies.to_yaml(policies.get(version.id))
        assert policies.categories_from_yaml(text) == [HATE, fancy]
    assert text.startswith("# Policy, version 2\ncategories:\n")
