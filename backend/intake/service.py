"""What can be done with files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from backend import events
from backend.db.models import Import
from backend.db.models.content import Split
from backend.errors import InvalidInputError
from backend.intake.answers import AnswerImport, Said, Voice
from backend.intake.columns import ColumnMapping, Purpose, guess_mapping
from backend.intake.kept_sets import About, keep_set
from backend.intake.own_labels import own_labels
from backend.intake.place import Place, Places
from backend.intake.posts import PostImport
from backend.intake.preview import preview
from backend.intake.readers import Table, open_table
from backend.intake.reports import AnswerReport, ImportReport, Rejected, SetReport
from backend.intake.repository import IntakeRepository
from backend.intake.rows import Answered, Post, read_answer, read_post
from backend.intake.scan import Scan, parse, scan
from backend.intake.sets import SetBuilder, check_language, check_name, check_positive
from backend.items.repository import ItemRepository
from backend.projects.service import ProjectService
from backend.text import things

__all__ = ["IntakeService", "preview"]

Progress = Callable[[int, int | None], None]
T = TypeVar("T")

_CHUNK = 2_000
_TEACHER = "teacher"
# So many reasons are told where not one row could be used.
_TOLD = 3


class IntakeService:
    """Reads files in. Each call belongs in one transaction: a file that fails changes nothing."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._repository = IntakeRepository(session)
        self._projects = ProjectService(session)
        self._places = Places(session)

    def import_posts(
        self,
        project: str,
        source: Path,
        *,
        file_name: str | None = None,
        mapping: ColumnMapping | None = None,
        none_label: str | None = None,
        add_categories: bool = False,
        model: str | None = None,
        person: str,
        on_progress: Progress | None = None,
    ) -> ImportReport:
        """Import posts, with the teacher's answers where the file has them.

        Args:
            project: name or number; a name that no project has makes one.
            mapping: which column is what; guessed where it is not given.
            none_label: the label that means "no violation"; guessed where it is not given.
            add_categories: make a new policy version for labels that the policy does not know.
            model: the teacher's name, where the file's answers do not say it.

        Raises:
            InvalidInputError: the file cannot be read, or none of its rows can be used.
        """
        table, mapping = _opened(source, file_name, mapping, Purpose.POSTS)
        found = _looked_through(table, mapping)
        place = self._places.find_or_make(
            project, found, none_label, add_categories=add_categories, person=person
        )
        note = self._note(place, table, mapping, source, person)
        voice = _voice(place, model, person)
        answers = AnswerImport(self._repository, voice)
        posts = PostImport(self._repository, answers, voice, import_id=note.id)
        items = ItemRepository(self._session)
        for done, rows, rejected in _chunks(parse(table, mapping, read_post)):
            for one in rejected:
                posts.reject(one.line, one.why)
            items.refresh(posts.add(rows))
            if on_progress is not None:
                on_progress(done, found.rows)
        report = _report(table, mapping, place, found, posts, answers)
        _refuse_useless(report.rows, report.rejected_count, report.rejected, report.unknown_labels)
        if report.changed:
            note.counts = _counts(report)
            events.record(self._session, place.project.id, person, _told(report))
        else:
            self._repository.forget_import(note)
        return report

    def unknown_labels(
        self, project_id: int, labels: Collection[str], none_label: str | None
    ) -> tuple[str, ...]:
        """Those of a file's labels that the project's policy does not know; changes nothing."""
        return self._places.unknown(self._projects.get(project_id), labels, none_label)

    def import_answers(
        self,
        project_id: int,
        source: Path,
        *,
        file_name: str | None = None,
        mapping: ColumnMapping | None = None,
        model: str | None = None,
        person: str,
        on_progress: Progress | None = None,
    ) -> AnswerReport:
        """Import a teacher's answers to posts that the project has, joined by id or by text.

        Args:
            model: the teacher's name, where no column says it.

        Raises:
            InvalidInputError: the file cannot be read, or none of its rows can be used.
        """
        table, mapping = _opened(source, file_name, mapping, Purpose.ANSWERS)
        found = _looked_through(table, mapping)
        place = self._places.find(self._projects.get(project_id), found, None)
        answers = AnswerImport(self._repository, _voice(place, model, person))
        items = ItemRepository(self._session)
        for done, rows, rejected in _chunks(parse(table, mapping, read_answer)):
            for one in rejected:
                answers.reject(one.line, one.why)
            items.refresh(answers.add(self._joined(project_id, rows, answers)))
            if on_progress is not None:
                on_progress(done, found.rows)
        report = answers.report(found.rows)
        _refuse_useless(report.rows, report.rejected_count, report.rejected, {})
        if report.changed:
            given = things(report.added + report.updated, "teacher's answer")
            events.record(self._session, project_id, person, f"Imported {given} from {table.name}.")
        return report

    def import_evaluation_set(
        self,
        project_id: int,
        source: Path,
        *,
        name: str,
        file_name: str | None = None,
        mapping: ColumnMapping | None = None,
        positive: Sequence[str] | None = None,
        label_map: Mapping[str, str] | None = None,
        language: str | None = None,
        none_label: str | None = None,
        person: str,
    ) -> SetReport:
        """Import an evaluation set; the project's items that occur in it leave training for good.

        Args:
            positive: in a set that knows only yes and no, the labels that mean yes.
            label_map: in a set with labels of its own, the label that stands for each of the
                policy's codes.
            language: the posts', as a BCP 47 tag.

        Raises:
            InvalidInputError: the file cannot be read, or none of its rows can be used.
        """
        name, language = check_name(name), check_language(language)
        if positive is not None and label_map is not None:
            raise InvalidInputError(
                "A set that only says yes and no has no labels to map.",
                "Say which label means yes (--positive), or what each label stands for (--map).",
            )
        table, mapping = _opened(source, file_name, mapping, Purpose.SET)
        found = _looked_through(table, mapping)
        if positive is not None:
            check_positive(positive, found.labels)
        # Labels that are not the policy's say nothing of it.
        policys = positive is None and label_map is None
        project = self._projects.get(project_id)
        place = self._places.find(
            project, found if policys else Scan(), none_label if label_map is None else None
        )
        own = None
        if label_map is not None:
            own = own_labels(
                label_map,
                found.labels,
                place.vocabulary,
                none_label=none_label,
                stored_none=project.none_label,
            )
        builder = SetBuilder(place.vocabulary, positive, own)
        builder.add(parse(table, mapping, read_post))
        # Without one row that breaks a rule nothing can be measured: the labels mean something else.
        useless = bool(builder.unknown_labels) and not any(row.positive for row in builder.rows)
        rejected = found.rows if useless else builder.counts["rejected"]
        _refuse_useless(found.rows, rejected, builder.rejected, builder.unknown_labels)
        groups = builder.groups(mapping.group)
        about = About(
            label_map=None if own is None else own.by_code,
            group_by=mapping.group if groups else None,
            groups=groups,
            language=language,
        )

        def note() -> Import:
            row = self._note(place, table, mapping, source, person)
            row.counts = {"rows": len(builder.rows), "rejected_count": builder.counts["rejected"]}
            return row

        kept = keep_set(
            self._session, builder, place, about, name=name, file_name=table.name, note=note, person=person
        )
        return SetReport(
            project_id=project_id,
            set_id=kept.set.id,
            name=name,
            number=kept.set.number,
            created=kept.created,
            updated=kept.updated,
            mapping=mapping,
            rows=len(builder.rows),
            positive=sum(row.positive for row in builder.rows),
            duplicates=builder.counts["duplicates"],
            held_out=kept.held_out,
            rejected_count=builder.counts["rejected"],
            rejected=builder.rejected,
            unknown_labels=dict(builder.unknown_labels.most_common()),
            positive_labels=builder.positive,
            none_label=None if positive is not None else (own or place).none.label,
            none_guessed=positive is None and (own or place).none.guessed,
            label_map=about.label_map,
            unmapped=own.unmapped if own is not None else (),
            group_by=kept.set.group_by,
            groups=len(set(groups.values()) - {""}),
            not_grouped=None if groups else mapping.group,
            language=kept.set.language,
        )

    def _note(self, place: Place, table: Table, mapping: ColumnMapping, source: Path, person: str) -> Import:
        with source.open("rb") as file:
            file_hash = hashlib.file_digest(file, "sha256").hexdigest()
        return self._repository.add_import(
            place.project.id,
            file_name=table.name,
            file_hash=file_hash,
            mapping=asdict(mapping),
            person=person,
        )

    def _joined(self, project_id: int, rows: Sequence[Answered], answers: AnswerImport) -> list[Said]:
        """The rows with the items that they answer; the others are reported."""
        items = self._repository.items(
            project_id,
            external_ids={row.external_id for row in rows if row.external_id is not None},
            hashes={row.text_hash for row in rows if row.text_hash is not None},
        )
        by_name = {item.external_id: item for item in items}
        by_hash = {item.text_hash: item for item in items}
        said: list[Said] = []
        for row in rows:
            item = by_name.get(row.external_id or "") or by_hash.get(row.text_hash or "")
            if item is None:
                which = "with this text" if row.external_id is None else repr(row.external_id)
                answers.unknown(row.line, f"the project has no post {which}")
            elif row.text_hash not in (None, item.text_hash):
                answers.reject(row.line, f"the post {row.external_id!r} has another text in the project")
            else:
                said.append(Said(item.id, row.line, row.answer))
        return said


def _opened(
    source: Path, file_name: str | None, mapping: ColumnMapping | None, purpose: Purpose
) -> tuple[Table, ColumnMapping]:
    table = open_table(source, file_name)
    mapping = mapping or guess_mapping(table.columns, table.sample, purpose)
    mapping.check(table.columns, purpose)
    return table, mapping


def _looked_through(table: Table, mapping: ColumnMapping) -> Scan:
    found = scan(table.read(), mapping)
    if found.rows == 0:
        raise InvalidInputError(f"{table.name} has no rows.", "Below its header it needs at least one.")
    return found


def _voice(place: Place, model: str | None, person: str) -> Voice:
    return Voice(place.project.id, place.version.id, place.vocabulary, model or _TEACHER, person)


def _chunks(rows: Iterable[T | Rejected]) -> Iterator[tuple[int, list[T], list[Rejected]]]:
    """Rows in chunks, what cannot be used apart, with how many rows were read so far."""
    source, done = iter(rows), 0
    while chunk := list(islice(source, _CHUNK)):
        done += len(chunk)
        rejected = [one for one in chunk if isinstance(one, Rejected)]
        yield done, [one for one in chunk if not isinstance(one, Rejected)], rejected


def _report(
    table: Table, mapping: ColumnMapping, place: Place, found: Scan, posts: PostImport, answers: AnswerImport
) -> ImportReport:
    counts = posts.counts
    return ImportReport(
        project_id=place.project.id,
        project=place.project.name,
        project_created=place.created,
        file_name=table.name,
        format=table.format,
        encoding=table.encoding,
        mapping=mapping,
        policy_version=place.version.number,
        rows=found.rows,
        added=counts["added"],
        updated=counts["updated"],
        unchanged=counts["unchanged"],
        duplicates=counts["duplicates"],
        conflicting=counts["conflicting"],
        split_kept=counts["split_kept"],
        held_out=counts["held_out"],
        labelled=counts["labelled"],
        splits={split: posts.splits[split] for split in Split if posts.splits[split]},
        rejected_count=counts["rejected"],
        rejected=posts.rejected(lambda wanted: _first_lines(table, mapping, wanted)),
        none_label=place.none.label,
        none_guessed=place.none.guessed,
        new_categories=place.new_categories,
        unknown_labels=dict(posts.unknown_labels.most_common()),
        answers=answers.report(found.rows) if mapping.has_answers else None,
    )


def _first_lines(table: Table, mapping: ColumnMapping, wanted: Mapping[str, str]) -> dict[str, int]:
    """The lines at which posts with these ids, and the texts that go with them, stand first."""
    found: dict[str, int] = {}
    for row in parse(table, mapping, read_post):
        if isinstance(row, Post) and row.external_id and wanted.get(row.external_id) == row.text_hash:
            found.setdefault(row.external_id, row.line)
            if len(found) == len(wanted):
                break
    return found


def _refuse_useless(
    rows: int, rejected_count: int, rejected: Sequence[Rejected], unknown_labels: Mapping[str, int]
) -> None:
    """Refuse a file of which not one row could be used, and with it everything it would change."""
    if rejected_count < rows:
        return
    why = "; ".join(f"line {one.line}: {one.why}" for one in rejected[:_TOLD])
    hint = "Mend the file, or say which column is what."
    if unknown_labels:
        labels = ", ".join(f"{label} ({count:,})" for label, count in list(unknown_labels.items())[:10])
        hint = (
            f"Labels that the policy does not know: {labels}. Add them as categories "
            "(--add-categories), say which one means no violation (--none-label), or, for a set "
            "that only says yes and no, which one means yes (--positive), or what a set's own labels "
            "stand for (--map CATEGORY=LABEL)."
        )
    raise InvalidInputError(f"None of the {rows:,} rows could be used: {why}.", hint)


def _counts(report: ImportReport) -> dict[str, int]:
    names = ("rows", "added", "updated", "unchanged", "duplicates", "held_out", "rejected_count")
    return {name: getattr(report, name) for name in names}


def _told(report: ImportReport) -> str:
    parts = [f"Imported {things(report.added, 'post')} from {report.file_name}"]
    if report.updated:
        parts.append(f"{report.updated:,} with new labels")
    if report.answers is not None and report.answers.changed:
        parts.append(things(report.answers.added + report.answers.updated, "teacher's answer"))
    return ", ".join(parts) + "."
