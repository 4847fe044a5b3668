"""A policy as a document, and what one version changed, word by word."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher

from markupsafe import Markup

from backend.policies.service import CategoryChange, CategoryCount, ChangeKind
from training.policy import Category
from ui.components.labels import Looks
from ui.components.numbers import count, things
from ui.components.text import literal

_RULE = Markup(
    '<section class="ov-rule"><div><h3>{}</h3><p>{}</p>{}</div>'
    '<aside class="ov-small ov-faint">{}</aside></section>'
)
_WORDS = re.compile(r"\s+|\w+|[^\w\s]")
_CHANGED = {"name": "Name", "definition": "Definition", "examples": "Examples"}


def document(categories: Sequence[Category], counts: Mapping[str, CategoryCount], looks: Looks) -> Markup:
    """The rules, one after another, each with how often it occurs beside it."""
    return Markup("").join(_rule(category, counts.get(category.code), looks) for category in categories)


def _rule(category: Category, counted: CategoryCount | None, looks: Looks) -> Markup:
    definition = literal(category.definition) if category.definition else _NO_DEFINITION
    return _RULE.format(looks.chip(category.code), definition, examples(category.examples), _counts(counted))


_NO_DEFINITION = Markup(
    '<span class="ov-faint">No definition yet: teacher and student see the name alone.</span>'
)


def examples(quotes: Sequence[str]) -> Markup:
    """Examples of a rule, as literal text."""
    if not quotes:
        return Markup("")
    lines = Markup("").join(Markup('<li dir="auto">{}</li>').format(literal(quote)) for quote in quotes)
    return Markup('<ul class="ov-examples">{}</ul>').format(lines)


def _counts(counted: CategoryCount | None) -> Markup:
    if counted is None:
        return Markup("")
    lines = [
        f"{things(counted.decided, 'post')} decided",
        f"{count(counted.teacher_named)} named by the teacher",
        f"{count(counted.disagree)} where they differ",
    ]
    return Markup("<br>").join(Markup("{}").format(line) for line in lines)


def differences(changes: Sequence[CategoryChange], looks: Looks) -> Markup:
    """What changed between two versions."""
    if not changes:
        return Markup('<p class="ov-faint">The two versions say the same.</p>')
    return Markup("").join(_change(change, looks) for change in changes)


def _change(change: CategoryChange, looks: Looks) -> Markup:
    shell = Markup(
        '<section class="ov-rule"><div>'
        '<h3>{} <span class="ov-small ov-faint">{}</span></h3>{}</div></section>'
    )
    chip = looks.chip(change.code, change.after.name if change.after else None)
    if change.kind is ChangeKind.CHANGED and change.before is not None and change.after is not None:
        fields = Markup("").join(_field(name, change.before, change.after) for name in change.fields)
        return shell.format(chip, "changed", fields)
    said = change.after or change.before
    mark = Markup("<ins>{}</ins>") if change.kind is ChangeKind.ADDED else Markup("<del>{}</del>")
    body = (
        Markup("<p>{}</p>{}").format(mark.format(literal(said.definition)), examples(said.examples))
        if said
        else ""
    )
    return shell.format(chip, change.kind.value, body)


def _field(name: str, before: Category, after: Category) -> Markup:
    old, new = getattr(before, name), getattr(after, name)
    if name == "examples":
        old, new = "\n".join(old), "\n".join(new)
    return Markup('<div class="ov-small ov-faint">{}</div><p class="ov-change">{}</p>').format(
        _CHANGED[name], words(old, new)
    )


def words(before: str, after: str) -> Markup:
    """Two texts as one, with what went struck out and what came underlined."""
    old, new = _WORDS.findall(before), _WORDS.findall(after)
    pieces: list[Markup] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(literal("".join(old[a:b])))
            continue
        if a < b:
            pieces.append(Markup("<del>{}</del>").format(literal("".join(old[a:b]))))
        if c < d:
            pieces.append(Markup("<ins>{}</ins>").format(literal("".join(new[c:d]))))
    return Markup("").join(pieces)
