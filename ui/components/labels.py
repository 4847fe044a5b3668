"""Categories as chips: a word, and a colour that stays on every page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup
from sqlalchemy.orm import Session

from backend.policies.service import PolicyService
from ui.components.text import literal

NO_VIOLATION = "no violation"

# (text on light, tint on light, text on dark, tint on dark): each pair is at least 4.5 to 1.
COLOURS: tuple[tuple[str, str, str, str], ...] = (
    ("#1d5a8a", "#e1eef8", "#9cc9ec", "#1c3346"),
    ("#9a3412", "#fdeadd", "#f3b08c", "#472616"),
    ("#166548", "#dff3e9", "#86d1ae", "#173a2b"),
    ("#7b2d8b", "#f5e6f8", "#dba4e6", "#40204a"),
    ("#7a5a00", "#f8efcf", "#e0c36a", "#3d320f"),
    ("#a11d4d", "#fce5ed", "#f2a0bd", "#481a2c"),
    ("#0f6470", "#dcf2f4", "#80cdd8", "#133a40"),
    ("#4b42a8", "#e9e8fa", "#b6b0f2", "#2a2654"),
    ("#55601c", "#eef2d8", "#c3cf80", "#31370f"),
    ("#5f4b3b", "#f1eae4", "#cfb8a6", "#392d24"),
    ("#8a2a2a", "#fae4e4", "#eda3a3", "#452020"),
    ("#3f5566", "#e6edf2", "#adc3d3", "#28343d"),
)
NEUTRAL = ("#4f565c", "#eceef0", "#b9c0c6", "#2c3238")

_CHIP = Markup('<span class="ov-chip ov-c{}">{}</span>')
_NONE = Markup('<span class="ov-chip ov-none">{}</span>')


@dataclass(frozen=True, slots=True)
class Looks:
    """Names and colours of a project's categories, in the order in which the codes came to be.

    Attributes:
        names: by code, of every version.
        codes: of every version, the oldest first; their place is their colour.
        rules: the newest version's definitions, by code.
        current: the newest version's codes, in its order.
        newest: the newest version's number.
        older: the definitions of the versions before it, by number and code.
    """

    names: dict[str, str]
    codes: tuple[str, ...]
    rules: dict[str, str] = field(default_factory=dict)
    current: tuple[str, ...] = ()
    newest: int = 1
    older: dict[int, dict[str, str]] = field(default_factory=dict)

    def name(self, code: str) -> str:
        """The category's name as it is now; the code itself where no version knows it."""
        return self.names.get(code, code)

    def rule(self, code: str, version: int | None = None) -> str:
        """The category's definition as it is now, or as a version had it; empty where there is none."""
        return self.older.get(version or self.newest, self.rules).get(code, "")

    def position(self, code: str) -> int | None:
        """Which of the colours the category has."""
        return self.codes.index(code) % len(COLOURS) if code in self.codes else None

    def colour(self, code: str) -> str:
        """The colour that charts draw the category in; it stands out on light and on dark."""
        position = self.position(code)
        return (NEUTRAL if position is None else COLOURS[position])[0]

    def chip(self, code: str, name: str | None = None) -> Markup:
        """One category; under another name where it is just being given one."""
        position = self.position(code)
        return _CHIP.format("x" if position is None else position, literal(name or self.name(code)))

    def chips(self, codes: Sequence[str] | None, *, none: str = NO_VIOLATION) -> Markup:
        """An item's categories; `none` where there are none, a dash where nobody knows."""
        if codes is None:
            return Markup('<span class="ov-faint">–</span>')
        if not codes:
            return none_chip(none)
        return Markup(" ").join(self.chip(code) for code in codes)

    def words(self, codes: Sequence[str] | None, *, none: str = NO_VIOLATION) -> str:
        """The same as plain text, for tables."""
        if codes is None:
            return "–"
        return ", ".join(self.name(code) for code in codes) or none


def none_chip(word: str = NO_VIOLATION) -> Markup:
    """The chip that says that no rule is broken."""
    return _NONE.format(literal(word))


def load(session: Session, project_id: int) -> Looks:
    """The looks of a project's categories.

    Codes keep the order in which versions brought them, so a new category never takes
    another one's colour.
    """
    versions = sorted(PolicyService(session).versions(project_id), key=lambda version: version.number)
    names: dict[str, str] = {}
    for version in versions:
        names.update({category.code: category.name for category in version.categories})
    rules = {
        version.number: {category.code: category.definition for category in version.categories}
        for version in versions
    }
    newest = max(rules, default=1)
    current = rules.pop(newest, {})
    return Looks(names, tuple(names), current, tuple(current), newest, rules)


def styles() -> str:
    """The style sheet's lines for the colours."""
    rules = [_rule(str(position), colours) for position, colours in enumerate(COLOURS)]
    return "\n".join([*rules, _rule("x", NEUTRAL)])


def _rule(name: str, colours: Iterable[str]) -> str:
    light, light_tint, dark, dark_tint = colours
    colour, ground = f"light-dark({light}, {dark})", f"light-dark({light_tint}, {dark_tint})"
    chip = f".ov-c{name} {{ color: {colour}; background: {ground}; }}"
    pick = f'[class*="st-key-ov-pick-c{name}-"] button::before {{ background: {colour}; }}'
    return f"{chip}\n{pick}"
