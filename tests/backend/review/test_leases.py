"""Two people never get the same item, however many ask at once."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from sqlalchemy import select, text

from backend.db.engine import Database
from backend.db.models import Judgement
from backend.db.models.base import now
from backend.db.models.content import Queue
from backend.db.models.review import Source, Verdict
from backend.items.repository import ItemRepository
from backend.review.repository import last_by_query, next_free_query
from backend.review.service import ReviewService
from tests.backend.build import add_answer, add_item, add_judgement, add_project, add_teacher_run

ITEMS = 48
WORKERS = 6


def fill(database: Database) -> int:
    with database.write() as session:
        project, policy = add_project(session)
        run = add_teacher_run(session, project, policy)
        ids = []
        for number in range(ITEMS):
            item = add_item(session, project, f"post {number}")
            add_answer(session, run, item, ("scam",))
            if number % 3 == 0:
                add_judgement(session, policy, item, ())
            ids.append(item.id)
        ItemRepository(session).refresh(ids)
    return project.id


def work_off(database: Database, project_id: int, worker: int) -> list[int]:
    """Ask and decide in transactions of their own until nothing is left."""
    done = []
    while True:
        with database.write() as session:
            service = ReviewService(session, person=f"p{worker}", browser=f"b{worker}", lease_minutes=5)
            item = service.next(project_id)
        if item is None:
            return done
        with database.write() as session:
            service = ReviewService(session, person=f"p{worker}", browser=f"b{worker}", lease_minutes=5)
            service.decide(item.id, Verdict.RIGHT)
        done.append(item.id)


def work_off_alone(url: str, project_id: int, worker: int) -> list[int]:
    database = Database(url)
    try:
        return work_off(database, project_id, worker)
    finally:
        database.dispose()


def require_each_once(database: Database, done: list[list[int]]) -> None:
    handled = Counter(item for items in done for item in items)
    with database.read() as session:
        stored = Counter(session.scalars(select(Judgement.item_id).where(Judgement.source == Source.REVIEW)))
    assert len(handled) == ITEMS
    assert set(handled.values()) == {1}
    assert stored == handled


def test_threads_drain_a_queue_each_item_once(database: Database) -> None:
    project_id = fill(database)
    with ThreadPoolExecutor(WORKERS) as pool:
        done = list(pool.map(lambda worker: work_off(database, project_id, worker), range(WORKERS)))
    require_each_once(database, done)


@pytest.mark.slow
def test_processes_drain_a_queue_each_item_once(database: Database) -> None:
    project_id = fill(database)
    pool: Executor = ProcessPoolExecutor(3, mp_context=multiprocessing.get_context("spawn"))
    with pool:
        waiting = [pool.submit(work_off_alone, database.url, project_id, worker) for worker in range(3)]
        done = [future.result() for future in waiting]
    require_each_once(database, done)


def test_leases_that_expire_at_once_still_lose_and_double_no_decision(database: Database) -> None:
    project_id = fill(database)

    def hurry(worker: int) -> list[int]:
        done = []
        while True:
            with database.write() as session:
                service = ReviewService(session, person=f"p{worker}", browser=f"b{worker}", lease_minutes=0)
                item = service.next(project_id)
                if item is None:
                    return done
                service.decide(item.id, Verdict.RIGHT)
                done.append(item.id)

    with ThreadPoolExecutor(WORKERS) as pool:
        require_each_once(database, list(pool.map(hurry, range(WORKERS))))


def test_the_next_item_and_the_last_judgement_come_from_an_index(sqlite_database: Database) -> None:
    def plan(query: object) -> str:
        with sqlite_database.read() as session:
            sql = query.compile(sqlite_database.engine, compile_kwargs={"literal_binds": True})  # type: ignore[attr-defined]
            return " | ".join(row.detail for row in session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))

    with sqlite_database.write() as session:
        project, _ = add_project(session)
    next_free = plan(next_free_query(project.id, Queue.TEACHER, now()))
    assert "COVERING INDEX ix_items_queue" in next_free
    assert "TEMP B-TREE" not in next_free
    last = plan(last_by_query("ada", project.id))
    assert "ix_judgements_person (person=?)" in last
    assert "TEMP B-TREE" not in last
