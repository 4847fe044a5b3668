"""What follows from a study, in plain sentences and tables. Values in, values out.

All figures are means over seeds with the intervals of `backend.study.intervals`. Settings are compared
pair by pair: the same seed, and the same in all that is not compared. A seed that lacks any of the
settings in a mean does not count in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from backend.evaluation.comparison import share_text, with_interval
from backend.study.grid import Cell
from backend.study.handlings import handlings
from backend.study.intervals import Estimate, Figure
from backend.study.means import difference, level, setting
from backend.study.measures import (
    JUDGED,
    RANKED,
    Measure,
    but_answers,
    but_left_out,
    but_size,
    main,
    on,
    ranking,
)
from backend.study.scored import Results, Scored
from backend.study.tables import Section, Shown, Table, Value, inside, span
from backend.text import things


def findings(results: Results) -> list[Section]:
    """Every question that the cells can answer; the others are not raised."""
    sections = (
        _trained(results),
        handlings(results, "Which handling wins", JUDGED),
        handlings(results, "Which handling ranks posts best", RANKED),
        _reasons(results, "Whether reasons help", JUDGED),
        _reasons(results, "Whether reasons help to rank posts", RANKED),
        _overfitting(results),
        _sizes(results),
        _languages(results),
        _left_out(results),
        _all(results),
    )
    return [section for section in sections if section is not None]


def _trained(results: Results) -> Section:
    done = len(results.cells) - len(results.missing)
    sentences = [f"Trained: {done:,} of {things(len(results.cells), 'student')}."]
    if results.missing:
        sentences.append(f"Missing: {'; '.join(cell.name for cell in results.missing)}.")
    if len({cell.seed for cell in results.cells}) == 1:
        sentences.append(
            "There is one seed: the intervals are for other posts only, and what another seed would give "
            "is not known."
        )
    by_setting: dict[tuple[str, ...], list[Scored]] = {}
    for one in results.scored:
        if one.by_itself and one.of.id == results.scored[0].of.id:
            cell = one.cell
            key = (cell.handling_name, cell.answers, cell.size, cell.leave_out or "")
            by_setting.setdefault(key, []).append(one)
    rows = tuple(
        (
            *key,
            _range(one.rows.rows for one in found),
            _range(one.rows.reasoned for one in found),
            _range(one.rows.leaking for one in found),
            ", ".join(str(one.run.number) for one in found),
        )
        for key, found in by_setting.items()
    )
    heads = (
        *("handling", "answers", "size", "without", "training rows", "rows with a reason"),
        *("left out as leaks", "runs"),
    )
    about = (
        "What was learned; rows with a reason are counted with those for validation. Leaks are posts that "
        "nearly repeat one of a set; neither training nor validation has them."
    )
    table = Table(about, heads, rows)
    return Section("What was trained", (*sentences, *results.notes), (table,) if rows else ())


def _reasons(results: Results, title: str, by: Measure) -> Section | None:
    sentences, rows = [], []
    for of in results.sets:
        found = [one for one in on(results, of) if one.cell.leave_out is None]
        for words, one, other in _comparisons(found):
            apart = difference(one, other, by.figure, but_answers)
            if apart is None:
                continue
            name = by.name(of)
            rows.append((of.name, words, name, Shown(level(one, by.figure)), Shown(apart, signed=True)))
            sentences.append(f"On {of.name}, {words}: {name} {_verdict(apart)}.")
    if not rows:
        return None
    table = Table(
        "Of a set that knows no categories the figure is that of any violation.",
        ("set", "compared", "measure", "figure", "difference"),
        tuple(rows),
    )
    return Section(title, tuple(sentences), (table,))


def _comparisons(found: Sequence[Scored]) -> Iterator[tuple[str, list[Scored], list[Scored]]]:
    """Each way to learn reasons or to ask for them, beside labels alone."""

    def those(answers: str, inference: str) -> list[Scored]:
        return [one for one in found if one.cell.answers == answers and one.inference == inference]

    plain = those("direct", "direct")
    yield (
        "taught both and asked for the label only, against taught labels only",
        those("both", "direct"),
        plain,
    )
    yield (
        "taught both and asked for a reason first, against taught labels only",
        those("both", "reasoned"),
        plain,
    )
    yield (
        "taught reasons and asked for one first, against taught labels only",
        those("reasoned", "reasoned"),
        plain,
    )
    yield "taught labels then reasons, against taught labels only", those("explained", "explained"), plain
    yield (
        "taught both, asked for a reason first against asked for the label only",
        those("both", "reasoned"),
        those("both", "direct"),
    )


def _overfitting(results: Results) -> Section | None:
    found = [
        one
        for one in results.scored
        if one.learned is not None and one.of.in_distribution and one.cell.leave_out is None
    ]
    kinds = dict.fromkeys(one.cell.answers for one in found)
    groups = {kind: [one for one in found if one.cell.answers == kind] for kind in kinds}
    gaps = {kind: level(group, _gap, least=-1.0) for kind, group in groups.items()}
    if not any(gaps.values()):
        return None
    sentences = [
        f"Taught {_taught(kind)}, students score {span(level(groups[kind], _on_learned))} on posts that they "
        f"learned and {span(level(groups[kind], main))} on held-out ones: they part by {span(gap)}."
        for kind, gap in gaps.items()
        if gap is not None
    ]
    rows: list[tuple[Value, ...]] = [
        (
            _taught(kind),
            Shown(level(group, _on_learned)),
            Shown(level(group, main)),
            Shown(gaps[kind], signed=True),
        )
        for kind, group in groups.items()
    ]
    for kind in kinds:
        if kind != "direct" and "direct" in groups:
            apart = difference(groups[kind], groups["direct"], _gap, but_answers)
            if apart is not None:
                sentences.append(
                    f"That students taught {_taught(kind)} part more or less than those taught labels only: "
                    f"{_verdict(apart, up='more', down='less')}."
                )
    sentences.append(
        "Learned posts are judged by the labels that were taught, held-out ones by people's. Where a "
        "handling teaches wrong labels, or drops the posts that the teacher found hard, part of the gap is "
        "that, the same for all kinds of answers."
    )
    table = Table("Macro-F1.", ("taught", "learned posts", "held-out posts", "gap"), tuple(rows))
    return Section("How far training and held-out scores part", tuple(sentences), (table,))


def _sizes(results: Results) -> Section | None:
    sentences, tables = [], []
    for of in results.sets:
        found = [
            one
            for one in on(results, of)
            if one.by_itself and one.cell.leave_out is None and not one.cell.matched
        ]
        sizes = sorted({one.cell.rows for one in found if one.cell.rows is not None})
        if not sizes:
            continue
        handlings = dict.fromkeys(one.cell.handling_name for one in found)
        rows: list[tuple[Value, ...]] = []
        for name in handlings:
            group = [one for one in found if one.cell.handling_name == name]
            points = {
                rows_: [one for one in group if one.cell.rows == rows_]
                for rows_ in (*sizes, None)
                if any(one.cell.rows == rows_ for one in group)
            }
            for size, these in points.items():
                words = f"{size:,}" if size is not None else f"all ({_range(one.rows.rows for one in these)})"
                rows.append((name, words, Shown(level(these, main))))
            first, last = next(iter(points)), list(points)[-1]
            apart = difference(points[last], points[first], main, but_size)
            if first is not None and first != last and apart is not None:
                most = "all its rows" if last is None else f"{last:,} rows"
                sentences.append(
                    f"On {of.name}, {name} with {most} instead of {first:,}: {of.measure} {_verdict(apart)}."
                )
        tables.append(
            Table(
                f"{_capital(of.measure)} on {of.name} by training rows.",
                ("handling", "training rows", of.measure),
                tuple(rows),
            )
        )
    return Section("What more posts bring", tuple(sentences), tuple(tables)) if tables else None


def _languages(results: Results) -> Section | None:
    known = dict.fromkeys(of.language for of in results.sets if of.language is not None)
    if not known:
        return None
    whole = any(one.cell.size == "all" for one in results.scored)
    size, words = ("all", "with all their rows") if whole else ("matched", "with as many rows")
    sentences, rows = [], []
    for language in known:
        sets = [of for of in results.sets if of.language == language]
        found = [
            one
            for of in sets
            for one in on(results, of)
            if one.by_itself and one.cell.leave_out is None and one.cell.size == size
        ]
        estimate = level(found, lambda one: one.any_violation)
        names = ", ".join(of.name for of in sets)
        sentences.append(f"In {language} ({names}): F1 on any violation {span(estimate)}.")
        rows.append((str(language), names, Shown(estimate)))
    heads = ("language", "sets", "F1 on any violation")
    table = Table(f"Mean over all students {words}, and over the sets.", heads, tuple(rows))
    return Section("Other languages", tuple(sentences), (table,))


def _left_out(results: Results) -> Section | None:
    sentences, rows = [], []
    for code in dict.fromkeys(one.cell.leave_out for one in results.scored if one.cell.leave_out is not None):
        name = results.categories.get(code, code)
        for of in results.sets:
            found = [one for one in on(results, of) if one.by_itself and code in one.auprc]
            never = [one for one in found if one.cell.leave_out == code]
            shown = [one for one in found if one.cell.leave_out is None and one.cell.size == "all"]
            if not never:
                continue

            def auprc(one: Scored, code: str = code) -> Figure | None:
                return one.auprc.get(code)

            apart = difference(never, shown, auprc, but_left_out)
            having = next(each.support for each in never[0].metrics.categories if each.code == code)
            chance = having / never[0].metrics.posts
            unseen, seen = level(never, auprc), level(shown, auprc)
            against = (
                ""
                if apart is None
                else f", against {span(seen)} where it was shown: {span(apart, signed=True)}"
            )
            sentences.append(
                f"{name} on {of.name}, never shown in training: AUPRC {span(unseen)}{against}. "
                f"To guess would give {share_text(chance)}."
            )
            rows.append(
                (name, of.name, Shown(unseen), Shown(seen), Shown(apart, signed=True), share_text(chance))
            )
    if not rows:
        return None
    table = Table(
        "AUPRC, which needs no threshold: they are chosen on validation posts, which show the category.",
        ("category", "set", "never shown", "shown", "difference", "a guess"),
        tuple(rows),
    )
    return Section("A category that training never showed", tuple(sentences), (table,))


def _all(results: Results) -> Section | None:
    tables = []
    for of in results.sets:
        settings: dict[tuple[Hashable, ...], list[Scored]] = {}
        for one in on(results, of):
            settings.setdefault(setting(one), []).append(one)
        rows: list[tuple[Value, ...]] = [
            (
                _words(found[0].cell),
                found[0].inference,
                str(len(found)),
                Shown(level(found, main)),
                Shown(level(found, ranking)),
            )
            for found in settings.values()
        ]
        rows += [
            (
                row.name,
                "",
                "",
                *(
                    (with_interval(row.any_f1, row.any_f1_interval), share_text(row.any_auprc))
                    if of.yes_no
                    else (
                        with_interval(row.macro_f1, row.macro_f1_interval),
                        with_interval(row.macro_auprc, row.macro_auprc_interval),
                    )
                ),
            )
            for where, row in results.others
            if where.id == of.id
        ]
        if rows:
            heads = ("student", "asked", "seeds", of.measure, of.ranking)
            tables.append(
                Table(f"{of.name}, version {of.number}, {things(of.posts, 'post')}.", heads, tuple(rows))
            )
    return Section("All settings, and other models", (), tuple(tables)) if tables else None


def _on_learned(one: Scored) -> Figure | None:
    return one.learned


def _gap(one: Scored) -> Figure | None:
    return None if one.learned is None else one.learned - one.main


def _taught(answers: str) -> str:
    return {
        "direct": "labels only",
        "reasoned": "reasons then labels",
        "both": "both forms",
        "explained": "labels then reasons",
    }[answers]


def _words(cell: Cell) -> str:
    return cell.name.rsplit(", seed", 1)[0]


def _verdict(apart: Estimate, *, up: str = "better", down: str = "worse") -> str:
    if apart.value == apart.low == apart.high == 0:
        return "no difference"
    if apart.clear:
        return f"clearly {up if apart.value > 0 else down} ({inside(apart, signed=True)})"
    return f"no clear difference ({inside(apart, signed=True)})"


def _range(numbers: Iterable[int]) -> str:
    found = sorted(set(numbers))
    return f"{found[0]:,}" if len(found) == 1 else f"{found[0]:,} to {found[-1]:,}"


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
