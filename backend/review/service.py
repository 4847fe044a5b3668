"""What can be done in review: get the next post, decide, undo, send back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from backend.db.models import Item, Judgement
from backend.db.models.base import now
from backend.db.models.content import Queue
from backend.db.models.review import Source, Verdict
from backend.errors import ConflictError, InvalidInputError, NotFoundError
from backend.items.decision import Said, standing
from backend.items.repository import ItemRepository
from backend.review.repository import COUNT_UP_TO, Given, ReviewRepository
from backend.review.verdicts import Judged, Shown, judge, why_shown
from backend.review.views import Earlier, QueueProgress, ReviewAnswer, ReviewItem, Saved, Undone

# SQLite takes at most 32,766 values in one statement.
_CHUNK = 2_000


class ReviewService:
    """One person at one browser session, in one transaction.

    Args:
        session: a writing transaction; nothing is committed here.
        person: who decides.
        browser: names the browser session; it holds at most one item at a time.
        lease_minutes: how long an item that is open waits for its decision.
    """

    def __init__(self, session: Session, *, person: str, browser: str, lease_minutes: float) -> None:
        self._session = session
        self._repository = ReviewRepository(session)
        self._derived = ItemRepository(session)
        self._person = person
        self._browser = browser
        self._lease = timedelta(minutes=lease_minutes)

    def next(self, project_id: int, queue: Queue = Queue.TEACHER) -> ReviewItem | None:
        """The item to judge now, leased to this browser session; None where none is free.

        A session that asks again without having decided gets the same item again.
        """
        item_id = self._take_own(project_id, queue) or self._take_free(project_id, queue)
        self._repository.drop_leases(self._browser, keep=item_id)
        return None if item_id is None else self._show(item_id, queue)

    def decide(
        self,
        item_id: int,
        verdict: Verdict,
        *,
        labels: Collection[str] | None = None,
        reason: str | None = None,
        harmful: Sequence[str] | None = None,
        answer_id: int | None = None,
    ) -> Saved:
        """Store what the person says of an item.

        Args:
            item_id: the item.
            verdict: what they say of the teacher's answer.
            labels: category codes; needed for `WRONG_LABELS` and `FROM_SCRATCH`, empty for none.
            reason: the person's own reason; needed for `BAD_REASON`.
            harmful: quotes from the post; None leaves the teacher's where its labels are right.
            answer_id: the answer that was shown; the item's present one where not given.

        Raises:
            NotFoundError: there is no such item or answer.
            InvalidInputError: the parts do not fit the verdict, the policy or the post.
            ConflictError: somebody else has the item open, or has judged it meanwhile.
        """
        item = self._repository.lock(item_id)
        if item is None:
            raise NotFoundError("This post does not exist.", "Go on with the next one.")
        self._require_not_leased(item)
        policy_version_id, codes = self._repository.policy(item.project_id)
        judged = judge(
            verdict,
            text=item.text,
            answer=self._shown(item, answer_id),
            codes=codes,
            labels=labels,
            reason=reason,
            harmful=harmful,
        )
        earlier = self._repository.judgements(item_id)
        if item.queue is None:
            return self._already_judged(judged, earlier)
        mine = [
            said for said in _live(earlier) if said.source == Source.REVIEW and said.person == self._person
        ]
        saved = self._add(item, judged, policy_version_id, mine[-1].id if mine else None)
        item.sent_back = False
        self._repository.drop_lease(item_id)
        self._derived.refresh([item_id])
        return Saved(saved.id, saved.created_at)

    def undo(self, project_id: int) -> Undone | None:
        """Take back this person's last judgement in the project; None where there is none.

        The item goes back to its queue, leased to this browser session, and comes next. What a
        policy change carried over to other labels is not taken back: what stood before it names
        a category that is gone.

        Raises:
            ConflictError: somebody else judged the item since, or has it open.
        """
        last = self._repository.last_by(self._person, project_id)
        item = self._repository.lock(last.item_id) if last is not None else None
        if last is None or item is None:
            return None
        self._require_not_leased(item)
        judgements = self._repository.judgements(item.id)
        if self._carried_over(last, judgements, project_id):
            return None
        stands = standing([_said(judgement) for judgement in judgements])
        if stands is not None and stands.id != last.id:
            raise ConflictError(
                f"{stands.person} judged this post after you.", "Your judgement no longer stands for it."
            )
        taken_back = Judged(Verdict.WITHDRAWN, None, None, (), last.answer_id)
        self._add(item, taken_back, last.policy_version_id, last.id)
        self._derived.refresh([item.id])
        if item.queue is None:
            # It was in the queue because somebody had sent it back, which the decision cleared.
            item.sent_back = True
            self._derived.refresh([item.id])
        self._take(item.id)
        self._repository.drop_leases(self._browser, keep=item.id)
        assert item.queue is not None, "what was sent back waits in a queue"
        return Undone(item.id, item.queue)

    def progress(self, project_id: int, queue: Queue = Queue.TEACHER) -> QueueProgress:
        """How far a queue is; the same small cost at any number of items."""
        left = self._repository.waiting(project_id, queue)
        return QueueProgress(
            done=self._repository.done(project_id, queue),
            left=min(left, COUNT_UP_TO),
            differing_left=min(self._repository.waiting(project_id, queue, differing=True), COUNT_UP_TO),
            more=left > COUNT_UP_TO,
        )

    def send_back(self, item_ids: Iterable[int]) -> int:
        """Put items before all others into their queue, decided or not.

        Returns:
            How many were not there already.
        """
        ids = sorted(set(item_ids))
        sent = 0
        for start in range(0, len(ids), _CHUNK):
            items = self._repository.items(ids[start : start + _CHUNK])
            new = [item for item in items if not item.sent_back]
            for item in new:
                item.sent_back = True
            self._derived.refresh(item.id for item in new)
            sent += len(new)
        return sent

    def release(self) -> None:
        """Give back what this browser session has open."""
        self._repository.drop_leases(self._browser)

    def _take_own(self, project_id: int, queue: Queue) -> int | None:
        own = self._repository.own(self._browser, project_id, queue)
        return own if own is not None and self._take(own) else None

    def _take_free(self, project_id: int, queue: Queue) -> int | None:
        # Where another session was faster its lease is stored by now, so the search moves on.
        while (item_id := self._repository.next_free(project_id, queue, now())) is not None:
            if self._take(item_id):
                return item_id
        return None

    def _take(self, item_id: int) -> bool:
        moment = now()
        return self._repository.take(
            item_id, browser=self._browser, person=self._person, now=moment, until=moment + self._lease
        )

    def _require_not_leased(self, item: Item) -> None:
        lease = self._repository.lease(item.id)
        if lease is not None and lease.session != self._browser and lease.expires_at > now():
            raise ConflictError(
                f"{lease.person} has this post open: it waited too long here.",
                "Nothing was saved; go on with the next one.",
            )

    def _already_judged(self, judged: Judged, earlier: Sequence[Judgement]) -> Saved:
        """The judgement that is there, if it is this very one: a button was pressed twice."""
        live = _live(earlier)
        last = live[-1] if live else None
        if last is not None and last.person == self._person and _same(last, judged):
            return Saved(last.id, last.created_at)
        who = "It" if last is None else f"{last.person} judged this post at {last.created_at:%H:%M} UTC; it"
        raise ConflictError(
            f"{who} no longer waits for review.",
            "Nothing was saved; go on with the next one, or send it back to judge it again.",
        )

    def _carried_over(self, last: Judgement, judgements: Sequence[Judgement], project_id: int) -> bool:
        _, codes = self._repository.policy(project_id)
        before = [judgement for judgement in judgements if judgement.id == last.supersedes_id]
        return any(not set(judgement.labels or ()) <= set(codes) for judgement in before)

    def _add(
        self, item: Item, judged: Judged, policy_version_id: int, supersedes_id: int | None
    ) -> Judgement:
        return self._repository.add(
            Judgement(
                item_id=item.id,
                policy_version_id=policy_version_id,
                source=Source.REVIEW,
                person=self._person,
                verdict=judged.verdict,
                labels=judged.labels,
                reason=judged.reason,
                harmful=judged.harmful,
                answer_id=judged.answer_id,
                supersedes_id=supersedes_id,
            )
        )

    def _shown(self, item: Item, answer_id: int | None) -> Shown | None:
        """The answer that was judged, where it can be read."""
        wanted = answer_id if answer_id is not None else item.answer_id
        found = self._repository.answer(wanted) if wanted is not None else None
        if answer_id is not None and (found is None or found.answer.item_id != item.id):
            raise InvalidInputError("The answer that was judged is not this post's.", "Load the post again.")
        if found is None or found.answer.labels is None:
            return None
        return Shown(found.answer.id, found.answer.labels, found.answer.harmful)

    def _show(self, item_id: int, queue: Queue) -> ReviewItem:
        item = self._repository.lock(item_id)
        lease = self._repository.lease(item_id)
        assert item is not None and lease is not None, "it was leased a moment ago"
        judgements = self._repository.judgements(item_id)
        decision = standing([_said(judgement) for judgement in judgements])
        gold = standing([_said(judgement) for judgement in judgements if judgement.source == Source.GOLD])
        by_id = {judgement.id: judgement for judgement in judgements}
        first = self._repository.answer(item.answer_id) if item.answer_id is not None else None
        again = self._repository.recheck(first.answer) if first else None
        return ReviewItem(
            id=item.id,
            external_id=item.external_id,
            text=item.text,
            source=item.source,
            meta=item.meta,
            split=item.split,
            queue=queue,
            agreement=item.agreement,
            why=why_shown(item.agreement, decision.source if decision else None, sent_back=item.sent_back),
            answer=_answer(first),
            recheck=_answer(first._replace(answer=again) if first and again else None),
            gold_labels=gold.labels if gold else None,
            gold_reason=by_id[gold.id].reason if gold else None,
            earlier=_earlier(by_id[decision.id]) if decision and decision.source is not Source.GOLD else None,
            leased_until=lease.expires_at,
            progress=self.progress(item.project_id, queue),
        )


def _said(judgement: Judgement) -> Said:
    return Said(
        judgement.id,
        judgement.source,
        judgement.person,
        judgement.labels,
        judgement.verdict,
        judgement.supersedes_id,
    )


def _live(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Without withdrawals and what they took back."""
    withdrawn = {said.supersedes_id for said in judgements if said.verdict == Verdict.WITHDRAWN}
    return [said for said in judgements if said.verdict != Verdict.WITHDRAWN and said.id not in withdrawn]


def _same(judgement: Judgement, judged: Judged) -> bool:
    stored = (judgement.verdict, judgement.labels, judgement.reason, judgement.harmful, judgement.answer_id)
    return stored == (judged.verdict, judged.labels, judged.reason, judged.harmful, judged.answer_id)


def _answer(found: Given | None) -> ReviewAnswer | None:
    if found is None or found.answer.labels is None:
        return None
    answer = found.answer
    return ReviewAnswer(
        answer.id, found.answer.labels, answer.analysis, answer.harmful, found.model, found.policy_version
    )


def _earlier(judgement: Judgement) -> Earlier:
    return Earlier(
        judgement.person,
        judgement.verdict,
        judgement.labels,
        judgement.reason,
        judgement.harmful,
        judgement.created_at,
    )
