"""The migrations lead to the models, on both databases."""

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select

from backend.db.engine import Database
from backend.db.migrate import alembic_config, current_revision, migrate
from backend.db.models import Base, EvaluationRow, EvaluationSet, Item, Project, WordList
from backend.db.models.content import Queue, Split
from tests.backend.build import add_item, add_project
from tests.backend.evaluation.build import add_yes_no_set


def test_migrations_make_what_the_models_say(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []


def test_items_that_wait_get_their_new_place(database: Database) -> None:
    before = [(0, Split.TEST), (1, Split.TRAIN), (1, Split.TEST), (2, Split.VALIDATION), (3, Split.TEST)]
    config = alembic_config(database.url)
    command.downgrade(config, "0001")
    with database.write() as session:
        project, _ = add_project(session)
        for number, (rank, split) in enumerate(before):
            item = add_item(session, project, f"post {number}", split=split)
            item.queue, item.queue_rank = Queue.TEACHER, rank
    command.upgrade(config, "0002")
    with database.read() as session:
        assert session.scalars(select(Item.queue_rank).order_by(Item.id)).all() == [0, 1, 2, 3, 6]
    command.downgrade(config, "0001")
    with database.read() as session:
        assert session.scalars(select(Item.queue_rank).order_by(Item.id)).all() == [0, 1, 1, 2, 3]


def test_migrating_twice_changes_nothing(database: Database) -> None:
    newest = current_revision(database)
    assert newest is not None
    assert migrate(database) == (newest, newest)


def test_a_project_of_the_release_before_takes_a_word_list(database: Database) -> None:
    config = alembic_config(database.url)
    command.downgrade(config, "0003")
    with database.write() as session:
        project, _ = add_project(session)
    command.upgrade(config, "head")
    with database.write() as session:
        session.add(WordList(project_id=project.id, number=1, file_name="a", entries={}, created_by="ada"))
    with database.read() as session:
        assert session.scalars(select(WordList.entries)).all() == [{}]
    command.downgrade(config, "0003")
    command.upgrade(config, "head")
    with database.read() as session:
        assert session.scalars(select(WordList)).all() == []
        assert session.get(Project, project.id) is not None


def test_sets_and_their_posts_outlive_new_columns(database: Database) -> None:
    with database.write() as session:
        project, policy = add_project(session)
        add_yes_no_set(session, project, policy, [("a", True), ("b", False)])
    config = alembic_config(database.url)
    command.downgrade(config, "0002")
    command.upgrade(config, "head")
    with database.read() as session:
        [kept] = session.scalars(select(EvaluationSet)).all()
        assert (kept.rows, kept.language) == (2, None)
        assert len(session.scalars(select(EvaluationRow)).all()) == 2
