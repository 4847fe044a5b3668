"""The body of a teaching job: ask, read, keep, compare; it can be cut off at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from backend.db.engine import Database
from backend.items.repository import ItemRepository
from backend.settings import Settings
from backend.teacher.assignment import Assignment, begin
from backend.teacher.client import AskFailedError, Reply, TeacherClient, TeacherStoppedError
from backend.teacher.endpoint import Endpoint
from backend.teacher.prompt import Message
from backend.teacher.repository import Post, TeacherRepository
from backend.teacher.results import Failure, TeachResult
from backend.teacher.tally import Answered, Outcome, Tally, Unanswered, read_reply

_log = logging.getLogger(__name__)

# Seconds between two looks at whether someone wants it to stop.
_LOOK = 0.2

_Done = TypeVar("_Done")


def teach(
    database: Database,
    job_id: int,
    settings: Settings,
    *,
    should_stop: Callable[[], bool],
    on_progress: Callable[[int, int], None],
) -> TeachResult:
    """Carry out a teaching job. Each answer is stored as it comes, so that nothing is asked twice.

    Args:
        database: where the job, the posts and the answers are.
        job_id: a job of kind TEACH; one that was cut off goes on in its own teacher run.
        settings: the teacher, where the job does not name another.
        should_stop: asked a few times a second, in another thread.
        on_progress: told how many posts are done and how many there are, in another thread.

    Raises:
        TeacherStoppedError: the teacher cannot be asked (key, model, address, server gone); what
            it answered before is kept, and the error's `result` counts it.
        InvalidInputError: the teacher's address, model or key cannot be used.
        NotFoundError: there is no such job.
    """
    with database.write() as session:
        assignment = begin(session, job_id, settings)
    return asyncio.run(_Teaching(database, assignment, on_progress).go(should_stop))


class _Teaching:
    """One pass over the posts. Everything but the waiting for servers happens in threads."""

    def __init__(
        self, database: Database, assignment: Assignment, on_progress: Callable[[int, int], None]
    ) -> None:
        self._database = database
        self._assignment = assignment
        self._on_progress = on_progress
        self._tally = Tally(assignment.wanted, assignment.rechecks)
        self._posts = assignment.posts(database)
        self._next = asyncio.Lock()
        self._failures = 0
        self._any_reply = False
        self._last_failure: AskFailedError | None = None
        self._outcomes: list[Outcome] = []
        self._storing = asyncio.Lock()
        self._keeping: set[asyncio.Task[Any]] = set()

    async def go(self, should_stop: Callable[[], bool]) -> TeachResult:
        """Ask until all posts are done, someone wants it to stop, or the teacher cannot be asked."""
        self._on_progress(0, self._tally.total)
        async with TeacherClient(self._assignment.endpoint, self._assignment.prompt.schema) as client:
            asking = asyncio.create_task(self._ask_all(client))
            watching = asyncio.create_task(_watch(should_stop))
            await asyncio.wait({asking, watching}, return_when=asyncio.FIRST_COMPLETED)
            stopped = not asking.done()
            asking.cancel()
            watching.cancel()
            ended = await asyncio.gather(asking, watching, return_exceptions=True)
            kept = await asyncio.gather(*self._keeping, return_exceptions=True)
        errors = [end for end in (*ended, *kept) if isinstance(end, Exception)]
        return self._finish(errors, stopped=stopped)

    def _finish(self, errors: Sequence[Exception], *, stopped: bool) -> TeachResult:
        run_id = self._assignment.run_id
        result = self._tally.result(run_id, stopped=stopped)
        with self._database.write() as session:
            TeacherRepository(session).set_failed(run_id, result.failed, finished=True)
        for error in errors:
            if isinstance(error, TeacherStoppedError):
                error.result = result
            raise error
        return result

    async def _ask_all(self, client: TeacherClient) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._assignment.endpoint.concurrency):
                    group.create_task(self._ask_on(client))
        except ExceptionGroup as errors:
            stopped, _ = errors.split(TeacherStoppedError)
            raise (stopped or errors).exceptions[0] from None
        if self._last_failure is not None and not self._any_reply:
            # So few posts that patience never ran out, but not one was answered.
            raise _given_up(self._assignment.endpoint, self._last_failure)

    async def _ask_on(self, client: TeacherClient) -> None:
        while (post := await self._take()) is not None:
            await self._ask_about(client, post)

    async def _take(self) -> Post | None:
        async with self._next:
            return await asyncio.to_thread(next, self._posts, None)

    async def _ask_about(self, client: TeacherClient, post: Post) -> None:
        """Ask once, and once more where the answer differs from the decision."""
        prompt, first = self._assignment.prompt, post.first
        if first is None:
            answer = await self._ask(
                client, post, 0, lambda structured: prompt.first(post.text, structured=structured)
            )
            if answer is None or not (self._assignment.payload.recheck and answer.wrong):
                return
            first = answer.reply.text
        said = first
        await self._ask(
            client, post, 1, lambda structured: prompt.again(post.text, said, structured=structured)
        )

    async def _ask(
        self, client: TeacherClient, post: Post, round_: int, render: Callable[[bool], list[Message]]
    ) -> Answered | None:
        try:
            reply = await client.ask(render)
        except AskFailedError as error:
            _log.info("post %d, round %d: %s: %s", post.item_id, round_, error.kind, error.message)
            await self._to_the_end(self._keep(Unanswered(post, round_, error.kind, error.message)))
            self._failures += 1
            self._last_failure = error
            if self._failures >= self._assignment.endpoint.patience:
                raise _given_up(self._assignment.endpoint, error) from error
            return None
        self._failures, self._any_reply = 0, True
        return await self._to_the_end(self._read(post, round_, reply))

    async def _to_the_end(self, work: Coroutine[Any, Any, _Done]) -> _Done:
        """Have it done, even where the one who asked is told to stop meanwhile."""
        keeping = asyncio.create_task(work)
        self._keeping.add(keeping)
        done = await asyncio.shield(keeping)
        self._keeping.discard(keeping)
        return done

    async def _read(self, post: Post, round_: int, reply: Reply) -> Answered:
        policy, none_label = self._assignment.prompt.policy, self._assignment.none_label
        answer = await asyncio.to_thread(read_reply, post, round_, reply, policy, none_label)
        await self._keep(answer)
        return answer

    async def _keep(self, outcome: Outcome) -> None:
        """Store all that is there in one transaction; who waited for it finds nothing left to do."""
        self._outcomes.append(outcome)
        async with self._storing:
            outcomes, self._outcomes = self._outcomes, []
            if outcomes:
                await asyncio.to_thread(self._write, outcomes)

    def _write(self, outcomes: Sequence[Outcome]) -> None:
        run_id = self._assignment.run_id
        answers = [outcome for outcome in outcomes if isinstance(outcome, Answered)]
        with self._database.write() as session:
            teacher = TeacherRepository(session)
            teacher.add_answers([answer.columns(answer.post.run_id or run_id) for answer in answers])
            ItemRepository(session).refresh(answer.post.item_id for answer in answers if answer.round == 0)
            self._tally.add(outcomes)
            if len(answers) < len(outcomes):
                teacher.set_failed(run_id, self._tally.failed, finished=False)
        self._on_progress(self._tally.done, self._tally.total)


async def _watch(should_stop: Callable[[], bool]) -> None:
    while not await asyncio.to_thread(should_stop):
        await asyncio.sleep(_LOOK)


def _given_up(endpoint: Endpoint, error: AskFailedError) -> TeacherStoppedError:
    """What to say after so many failures in a row that the next would be no other."""
    address = endpoint.address
    again = "Then start again: only posts without an answer are asked."
    match error.kind:
        case Failure.CONNECTION:
            what = f"The teacher at {address} cannot be reached"
            hint = f"Check the address and that the server runs. {again}"
        case Failure.GARBAGE:
            what = f"What answers at {address} is no OpenAI-compatible server"
            hint = f"Check the address; most end in /v1. {again}"
        case Failure.RATE_LIMIT:
            what = f"The teacher at {address} keeps refusing so many requests"
            hint = f"Wait a while, or lower OVERRULE_TEACHER_CONCURRENCY. {again}"
        case Failure.TIMEOUT:
            what = f"The teacher at {address} does not answer in time"
            hint = (
                "Raise OVERRULE_TEACHER_TIMEOUT, or lower OVERRULE_TEACHER_CONCURRENCY or "
                f"OVERRULE_TEACHER_ANSWER_TOKENS. {again}"
            )
        case _:
            what = f"The teacher at {address} refuses every request"
            hint = f"See what its server logs, or choose another model. {again}"
    return TeacherStoppedError(f"{what}: {error.message}.", hint)
