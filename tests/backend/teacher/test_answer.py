"""Reading answers in all the shapes that models give them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.teacher.answer import Parts, UnreadableAnswerError, read_answer, storable
from training.policy import Category, Policy

POLICY = Policy(
    categories=(
        Category(code="harassment", name="Discrimination and insult"),
        Category(code="hate_speech", name="Hate"),
        Category(code="scam", name="Scam"),
    )
)

ANSWER = {
    "analysis": "It asks for a fee.",
    "harmful_information": ["pay the 1.99 fee"],
    "classification": ["scam"],
}
PARTS = Parts(("scam",), "It asks for a fee.", ("pay the 1.99 fee",))
TEXT = """\
Analysis: It asks for a fee.
Harmful information: "pay the 1.99 fee"
Classification: scam"""


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ANSWER),
        f"```json\n{json.dumps(ANSWER, indent=2)}\n```",
        f"Sure! Here is my judgement:\n\n{json.dumps(ANSWER)}\n\nLet me know {{if}} you need more.",
        f'<think>Perhaps {{"classification": ["hate"]}}?</think>{json.dumps(ANSWER)}',
        f'First thought: {{"classification": ["hate"]}}. Now the answer: {json.dumps(ANSWER)}',
        json.dumps({**ANSWER, "classification": "scam"}),
        json.dumps({**ANSWER, "classification": ["Scam."]}),
        json.dumps(ANSWER).replace("harmful_information", "Harmful information"),
        TEXT,
        TEXT.lower().replace("it asks", "It asks"),
        TEXT.replace("\n", "\n\n") + "\n\nNote: this is only my opinion, none of it is certain.",
        TEXT.replace("Analysis:", "**Analysis process:**").replace("Classification:", "**Classification:**"),
        "### Analysis\nIt asks for a fee.\n### Harmful information\n- “pay the 1.99 fee”\n"
        "### Classification result\n- Scam",
        "1. Analysis: It asks for a fee.\n2. Harmful content: pay the 1.99 fee\n3. Classification: `scam`",
        TEXT.replace("scam", "[scam]"),
        TEXT.replace("Classification: scam", "Classification:\nscam"),
        f"Analysis: a draft\nClassification: hate\n\n{TEXT}",
    ],
)
def test_reads_json_and_headings(text: str) -> None:
    assert read_answer(text, POLICY) == PARTS


@pytest.mark.parametrize(
    ("said", "labels"),
    [
        ("none", ()),
        ("None.", ()),
        ("no violation", ()),
        ("[]", ()),
        ("normal", ()),
        ("scam, hate", ("hate_speech", "scam")),
        ("Hate_Speech", ("hate_speech",)),
        ("hate speech", ("hate_speech",)),
        ("scam and hate", ("hate_speech", "scam")),
        ("Scam / Hate", ("hate_speech", "scam")),
        ("Discrimination and insult", ("harassment",)),
        ("discrimination and insult, scam", ("harassment", "scam")),
        ("- scam\n- hate", ("hate_speech", "scam")),
        ('"scam"; "hate"', ("hate_speech", "scam")),
        ("scam, scam", ("scam",)),
    ],
)
def test_reads_what_teachers_call_categories(said: str, labels: tuple[str, ...]) -> None:
    assert read_answer(f"Classification: {said}", POLICY, none_label="normal").labels == labels
    as_json = json.dumps({"classification": said})
    assert read_answer(as_json, POLICY, none_label="normal").labels == labels


@pytest.mark.parametrize("empty", [[], ["none"], [""], ["No violation"]])
def test_an_empty_list_is_no_violation(empty: list[str]) -> None:
    assert read_answer(json.dumps({"classification": empty}), POLICY).labels == ()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ("<think>hm", "empty"),
        ("I would say this is a scam.", "neither JSON nor"),
        ("scam", "neither JSON nor"),
        ('{"label": "scam"}', "neither JSON nor"),
        ('{"analysis": "x", "classification": ["sc', "neither JSON nor"),
        ("{" * 5000, "neither JSON nor"),
        ('{"a":' * 5000, "neither JSON nor"),
        ("Classification:", "empty"),
        ("Classification: \n\n", "empty"),
        ("Classification: spam", "no category 'spam'"),
        ("Classification: scam, spam", "no category 'spam'"),
        ("Classification: it is a scam", "no category"),
        ("Classification: none, scam", "both"),
        ('{"classification": null}', "neither a text nor"),
        ('{"classification": ""}', "empty"),
        ('{"classification": {"scam": true}}', "neither a text nor"),
        ('{"classification": [["scam"]]}', "neither a text nor"),
        ('{"classification": ["codes of the broken rules"]}', "no category"),
    ],
)
def test_says_why_it_cannot_read(text: str, why: str) -> None:
    with pytest.raises(UnreadableAnswerError, match=why):
        read_answer(text, POLICY)


@pytest.mark.parametrize(
    ("harmful", "quotes"),
    [
        ("none", ()),
        ("None.", ()),
        ("N/A", ()),
        ('"one" and "two"', ("one", "two")),
        ("“one” | “two”", ("one", "two")),
        ("one | two", ("one", "two")),
        ("\n- one\n- two", ("one", "two")),
        ("«one»", ("one",)),
    ],
)
def test_reads_quoted_passages(harmful: str, quotes: tuple[str, ...]) -> None:
    text = f"Analysis: x\nHarmful information: {harmful}\nClassification: scam"
    assert read_answer(text, POLICY).harmful == quotes


def test_harmful_information_of_another_type_does_no_harm() -> None:
    answer = read_answer('{"harmful_information": 7, "analysis": 3, "classification": ["scam"]}', POLICY)
    assert answer == Parts(("scam",))


def test_what_no_database_keeps_is_taken_out() -> None:
    answer = read_answer(r'{"analysis": "a\u0000b\ud800c", "classification": []}', POLICY)
    assert answer.analysis == "a�b?c"
    assert storable("a\x00b\ud800") == "a�b?"


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for answer in (text, f"Analysis: {text}\nClassification: scam", f'{{"classification": {text}'):
        try:
            read_answer(answer, POLICY).analysis.encode()
        except UnreadableAnswerError as error:
            assert str(error)


@given(
    st.text(),
    st.lists(st.text(min_size=1)),
    st.lists(st.sampled_from(POLICY.codes), unique=True),
)
def test_json_comes_back_as_it_went(analysis: str, harmful: list[str], labels: list[str]) -> None:
    answer = {"analysis": analysis, "harmful_information": harmful, "classification": labels}
    parts = read_answer(f"Here:\n```\n{json.dumps(answer)}\n```", POLICY)
    assert parts.labels == POLICY.in_order(labels)
    assert parts.analysis == storable(analysis).strip()


@pytest.mark.parametrize("sign", ["\n", " ", "-", "#", "*", '"', "{", "Analysis:\n", "1. "])
def test_long_nonsense_is_read_quickly(sign: str) -> None:
    with pytest.raises(UnreadableAnswerError):
        read_answer(sign * 30_000 + "x", POLICY)
