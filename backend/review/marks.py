"""Where quoted spans lie in a post, and a reason composed from a span and a rule."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

# Models and people quote with other quotation marks, dashes and dots than the post has.
_SAME = str.maketrans({"‘": "'", "’": "'", "“": '"', "”": '"', "„": '"', "–": "-", "—": "-", "\u200b": None})
_AROUND = " \t\n\"'‘’“”„`.,;:!?()[]…"
_ELLIPSIS = re.compile(r"\s*(?:\[…\]|\[\.\.\.\]|…|\.\.\.)\s*")


def spans(text: str, quotes: Sequence[str]) -> list[tuple[int, int]]:
    """Where the quotes lie in the text, tolerant of case, white space and quotation marks.

    A quote that leaves out its middle ("send … now") is looked for in its parts.

    Returns:
        Ranges (start, end) in order; those that overlap or touch are one.
    """
    folded, origin = _fold(text)
    found = [span for quote in quotes for span in _places(folded, origin, quote)]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(found):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def compose_reason(policy_names: Sequence[str], span: str, rule: str) -> str:
    """A short reason tied to the post: the span that breaks a rule, and the rule.

    Args:
        policy_names: names of the categories that were chosen; none means no violation.
        span: what is quoted from the post; may be empty.
        rule: the categories' definition; may be empty.
    """
    what = f'"{" ".join(span.split())}"' if span.strip() else "The post"
    if not policy_names:
        return f"{what} may look harmful, but the post breaks no rule." if span.strip() else _NO_RULE
    rules = "rule" if len(policy_names) == 1 else "rules"
    reason = f"{what} breaks the {rules} on {_listed([name.lower() for name in policy_names])}"
    rule = " ".join(rule.split()).rstrip(".")
    return f"{reason}: {rule}." if rule else f"{reason}."


_NO_RULE = "The post breaks no rule."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _places(folded: str, origin: Sequence[int], quote: str) -> Iterator[tuple[int, int]]:
    whole = list(_find(folded, origin, quote))
    if whole:
        yield from whole
        return
    parts = [part for part in _ELLIPSIS.split(quote) if part.strip(_AROUND)]
    if len(parts) > 1:
        for part in parts:
            yield from _find(folded, origin, part)


def _find(folded: str, origin: Sequence[int], quote: str) -> Iterator[tuple[int, int]]:
    """Every place where the quote stands as whole words, else the first where it stands at all."""
    for candidate in (quote.strip(), quote.strip(_AROUND)):
        wanted = _fold(candidate)[0].strip()
        if not wanted:
            continue
        pattern = re.escape(wanted)
        places = list(re.finditer(rf"(?<!\w){pattern}(?!\w)", folded))
        if not places:
            first = re.search(pattern, folded)
            places = [first] if first else []
        if places:
            for place in places:
                yield origin[place.start()], origin[place.end() - 1] + 1
            return


def _fold(text: str) -> tuple[str, list[int]]:
    """The text in one case with single spaces, and where each of its characters came from."""
    characters: list[str] = []
    origin: list[int] = []
    for index, character in enumerate(text):
        if character.isspace():
            if not characters or characters[-1] != " ":
                characters.append(" ")
                origin.append(index)
            continue
        # One character may fold to several ("ß" to "ss"); all of them came from this place.
        for piece in character.translate(_SAME).casefold():
            characters.append(piece)
            origin.append(index)
    return "".join(characters), origin
