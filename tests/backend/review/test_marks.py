"""Where quotes lie in a post."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from backend.review.marks import compose_reason, spans


def marked(text: str, *quotes: str) -> list[str]:
    return [text[start:end] for start, end in spans(text, quotes)]


def test_a_quote_is_found_in_any_case_and_spacing() -> None:
    text = "Congratulations!!  Pay the\n 1.99   Fee here"
    assert marked(text, "pay the 1.99 fee here") == ["Pay the\n 1.99   Fee here"]
    assert marked(text, "CONGRATULATIONS!!") == ["Congratulations!!"]
    assert marked(text, "refund") == []


def test_other_quotation_marks_and_dashes_are_the_same() -> None:
    assert marked("it’s “free” – now", 'it\'s "free" - now') == ["it’s “free” – now"]
    assert marked("pay here", "“pay here”.") == ["pay here"]


def test_a_quote_with_its_middle_left_out_is_found_in_its_parts() -> None:
    assert marked("send all your money to me now", "send … to me now") == ["send", "to me now"]
    assert marked("send all of it now", "send [...] now") == ["send", "now"]


def test_every_whole_word_is_marked_and_a_part_of_a_word_only_once() -> None:
    assert marked("Win? You will win. Winter", "win") == ["Win", "win"]
    assert marked("unwinnable and rewinding", "win") == ["win"]


def test_letters_that_fold_to_several_keep_their_place() -> None:
    assert marked("Große STRASSE, große Straße", "grosse strasse") == ["Große STRASSE", "große Straße"]
    assert marked("ab👩‍💻cd", "👩‍💻") == ["👩‍💻"]


def test_nothing_to_look_for_marks_nothing() -> None:
    assert spans("a post", ["", "  ", "…", '""']) == []
    assert spans("", ["a"]) == []


def test_overlapping_quotes_are_one_mark() -> None:
    assert spans("pay the fee now", ["pay the fee", "the fee now"]) == [(0, 15)]


@given(st.text(max_size=60), st.lists(st.text(max_size=12), max_size=4))
def test_marks_are_in_order_apart_and_within_the_text(text: str, quotes: list[str]) -> None:
    found = spans(text, quotes)
    assert all(0 <= start < end <= len(text) for start, end in found)
    assert all(before[1] < after[0] for before, after in pairwise(found))


@given(st.text(max_size=60), st.data())
def test_a_piece_of_the_text_is_always_found(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    piece = text[start : start + data.draw(st.integers(0, 20))]
    if any(character.isalnum() for character in piece):
        assert spans(text, [piece])


def test_a_reason_names_span_and_rule() -> None:
    rule = "tricks people out of money."
    assert (
        compose_reason(["Scam"], " 1.99  fee ", rule)
        == '"1.99 fee" breaks the rule on scam: tricks people out of money.'
    )
    assert (
        compose_reason(["Hate", "Threats", "Scam"], "", "")
        == "The post breaks the rules on hate, threats and scam."
    )
    assert compose_reason([], "", "") == "The post breaks no rule."
    assert compose_reason([], "bomb", "") == '"bomb" may look harmful, but the post breaks no rule.'
