"""Which handling of the teacher's wrong answers wins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

from backend.evaluation.results import SIGNIFICANCE
from backend.evaluation.significance import holm
from backend.study.intervals import Estimate, Figure
from backend.study.means import difference, level
from backend.study.measures import Measure, but_handling, on
from backend.study.scored import Results, Scored
from backend.study.tables import Section, Shown, Table, inside


def handlings(results: Results, title: str, by: Measure) -> Section | None:
    """Handlings side by side on each set, with all their rows and with as many; None where there is one."""
    sentences: list[str] = []
    tables = []
    for of in results.sets:
        for size, words in (("all", "each with all its rows"), ("matched", "all with as many rows")):
            for simulated in (False, True):
                found = [
                    one
                    for one in on(results, of)
                    if one.by_itself and one.cell.size == size and one.cell.leave_out is None
                ]
                real = [one for one in found if one.cell.repaired is None]
                names = list(dict.fromkeys(one.cell.handling_name for one in (found if simulated else real)))
                if len(names) < 2 or (simulated and len(found) == len(real)):
                    continue
                about = f"{of.name}, {words}{', the simulated ones among them' if simulated else ''}"
                sentence, table = _compared(
                    about, by.name(of), by.figure, found if simulated else real, names
                )
                sentences.append(sentence)
                tables.append(table)
    return Section(title, tuple(sentences), tuple(tables)) if tables else None


def _compared(
    about: str,
    measure: str,
    figure: Callable[[Scored], Figure | None],
    scored: Sequence[Scored],
    names: Sequence[str],
) -> tuple[str, Table]:
    groups = {name: [one for one in scored if one.cell.handling_name == name] for name in names}
    levels = {name: level(group, figure) for name, group in groups.items()}
    pairs = list(combinations(names, 2))
    apart = {(a, b): difference(groups[a], groups[b], figure, but_handling) for a, b in pairs}
    chances = holm([one.p if one is not None else None for one in apart.values()])
    clear = {pair for pair, p in zip(pairs, chances, strict=True) if p is not None and p < SIGNIFICANCE}
    rows = tuple((name, Shown(levels[name])) for name in names)
    rows += tuple(
        (f"{a} − {b}", Shown(one, signed=True, clear=(a, b) in clear)) for (a, b), one in apart.items()
    )
    caption = f"{_capital(measure)} on {about}."
    if clear:
        caption += " In bold what is clear of all pairs together."
    table = Table(caption, ("handling", measure), rows)
    return _winner(about, measure, levels, apart, clear), table


def _winner(
    about: str,
    measure: str,
    levels: Mapping[str, Estimate | None],
    apart: Mapping[tuple[str, str], Estimate | None],
    clear: set[tuple[str, str]],
) -> str:
    """Who wins, every pair having been looked at (Holm)."""
    known = {name: one for name, one in levels.items() if one is not None}
    if len(known) < 2:
        return f"On {about}: too few students are there to compare."
    best = max(known, key=lambda name: known[name].value)
    ahead = {a if b == best else b: (a, b) for a, b in apart if best in (a, b)}
    won = [name for name, pair in ahead.items() if pair in clear and _lead(best, pair, apart) > 0]
    rest = [name for name in ahead if name not in won and name in known]
    figure = f"{measure} {inside(known[best])}"
    if not rest:
        return f"On {about}: {best} wins ({figure}), {_leads(best, won, ahead, apart)}."
    same = all(_lead(best, ahead[name], apart) == 0 for name in rest) and not won
    if same:
        return f"On {about}: no handling differs from another ({figure})."
    start = f"On {about}: no handling clearly wins. {best} is highest ({figure})"
    beaten = f"; clearly {_leads(best, won, ahead, apart)}" if won else ""
    return f"{start}{beaten}; not clearly {_leads(best, rest, ahead, apart)}."


def _leads(
    best: str,
    names: Sequence[str],
    ahead: Mapping[str, tuple[str, str]],
    apart: Mapping[tuple[str, str], Estimate | None],
) -> str:
    return "ahead of " + " and ".join(
        f"{name} ({inside(_towards(best, ahead[name], apart), signed=True)})" for name in names
    )


def _lead(best: str, pair: tuple[str, str], apart: Mapping[tuple[str, str], Estimate | None]) -> float:
    found = _towards(best, pair, apart)
    return 0.0 if found is None else found.value


def _towards(
    best: str, pair: tuple[str, str], apart: Mapping[tuple[str, str], Estimate | None]
) -> Estimate | None:
    """The difference of a pair with the best one first."""
    found = apart[pair]
    if found is None or pair[0] == best:
        return found
    low, high = (None if end is None else -end for end in (found.high, found.low))
    return Estimate(-found.value, low, high, found.p, found.seeds)


def _capital(words: str) -> str:
    return words[0].upper() + words[1:]
