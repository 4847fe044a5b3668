import threading
from pathlib import Path

from backend.jobs.queue import JobQueue
from backend.jobs.states import Lane


def test_the_lower_id_goes_first_and_lanes_do_not_wait_for_each_other(tmp_path: Path) -> None:
    seen: list[int] = []
    done, long_one = threading.Event(), threading.Event()

    def run(job_id: int) -> None:
        seen.append(job_id)
        if job_id == 2:
            long_one.wait(10)
        if len(seen) == 4:
            done.set()

    with JobQueue(tmp_path / "queue.db") as writer:
        for job_id in (5, 2, 9):
            writer.enqueue(job_id, Lane.TRAINER)
        writer.enqueue(7, Lane.THREAD)
        assert writer.waiting() == {2, 5, 7, 9}
    with JobQueue(tmp_path / "queue.db", run) as queue:
        consumers = queue.consumers({Lane.TRAINER: 1, Lane.THREAD: 1})
        for consumer in consumers:
            for _, thread in consumer.worker_threads:
                thread.start()
        try:
            while not {2, 7} <= set(seen):
                done.wait(0.01)
            assert set(seen) == {2, 7}
            long_one.set()
            assert done.wait(10)
        finally:
            for consumer in consumers:
                consumer.stop_flag.set()
                for _, thread in consumer.worker_threads:
                    thread.join()
        assert [job_id for job_id in seen if job_id != 7] == [2, 5, 9]
        assert queue.waiting() == set()
