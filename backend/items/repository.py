"""The items' derived columns, kept in step with answers and judgements."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from backend.db.models import Item, ItemLabel, Judgement, TeacherAnswer
from backend.db.models.content import Split
from backend.items.decision import Answered, Said, State, derive

# SQLite takes at most 32,766 values in one statement.
_CHUNK = 2_000


class ItemRepository:
    """Reads what was said of items and writes what follows from it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def judgements(self, item_ids: Sequence[int]) -> dict[int, list[Said]]:
        """Everything that people said of some items, the oldest first; nothing is said of the others."""
        rows = self._session.execute(
            select(
                Judgement.item_id,
                Judgement.id,
                Judgement.source,
                Judgement.person,
                Judgement.labels,
                Judgement.verdict,
                Judgement.supersedes_id,
            )
            .where(Judgement.item_id.in_(item_ids))
            .order_by(Judgement.id)
        )
        found: dict[int, list[Said]] = defaultdict(list)
        for item_id, judgement_id, source, person, labels, verdict, supersedes_id in rows:
            said = Said(judgement_id, source, person, labels, verdict, supersedes_id)
            found[item_id].append(said)
        return found

    def refresh(self, item_ids: Iterable[int]) -> None:
        """Derive the state of these items anew; call it after adding answers or judgements."""
        self._session.flush()
        ids = sorted(set(item_ids))
        for start in range(0, len(ids), _CHUNK):
            self._refresh(ids[start : start + _CHUNK])

    def _refresh(self, ids: Sequence[int]) -> None:
        judgements = self.judgements(ids)
        answers = self._answers(ids)
        items = self._session.execute(
            select(Item.id, Item.project_id, Item.sent_back, Item.split).where(Item.id.in_(ids))
        ).all()
        states = {
            item.id: derive(
                judgements[item.id],
                answers.get(item.id),
                sent_back=item.sent_back,
                test=item.split is Split.TEST,
            )
            for item in items
        }
        if not states:
            return
        self._session.connection().execute(
            _UPDATE, [_values(item_id, state) for item_id, state in states.items()]
        )
        self._session.execute(delete(ItemLabel).where(ItemLabel.item_id.in_(ids)))
        labels = [
            {"item_id": item.id, "project_id": item.project_id, "code": code}
            for item in items
            for code in states[item.id].labels
        ]
        if labels:
            self._session.execute(insert(ItemLabel), labels)
        # Objects that were loaded before would still show the old state.
        for instance in self._session.identity_map.values():
            if isinstance(instance, Item) and instance.id in states:
                self._session.expire(instance)

    def _answers(self, ids: Sequence[int]) -> dict[int, Answered]:
        """The first answer of the newest run, a readable one where there is one."""
        rows = self._session.execute(
            select(TeacherAnswer.item_id, TeacherAnswer.id, TeacherAnswer.labels)
            .where(TeacherAnswer.item_id.in_(ids), TeacherAnswer.round == 0)
            .order_by(TeacherAnswer.run_id, TeacherAnswer.id)
        )
        found: dict[int, Answered] = {}
        for item_id, answer_id, labels in rows:
            if labels is not None or item_id not in found or found[item_id].labels is None:
                found[item_id] = Answered(answer_id, labels)
        return found


_UPDATE = (
    update(Item.__table__)  # type: ignore[arg-type]
    .where(Item.__table__.c.id == bindparam("item_id"))
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                "agreement",
                "answer_id",
                "decision_id",
                "decision_source",
                "verdict",
                "queue",
                "queue_rank",
            )
        }
    )
)


def _values(item_id: int, state: State) -> dict[str, object]:
    return {
        "item_id": item_id,
        "new_agreement": state.agreement,
        "new_answer_id": state.answer_id,
        "new_decision_id": state.decision_id,
        "new_decision_source": state.decision_source,
        "new_verdict": state.verdict,
        "new_queue": state.queue,
        "new_queue_rank": state.queue_rank,
    }
