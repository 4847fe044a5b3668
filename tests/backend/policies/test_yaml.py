"""Policy files as people write them, and what is said of mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.errors import InvalidInputError
from backend.policies.yaml import categories_from_yaml, to_yaml
from training.policy import Category, Policy


def test_other_keys_and_a_bare_list_are_fine() -> None:
    assert categories_from_yaml("name: Rules\ncategories:\n- {code: a, name: A}\n") == [
        Category(code="a", name="A")
    ]
    assert categories_from_yaml("- code: a\n  name: A\n  definition:\n  examples:\n") == [
        Category(code="a", name="A")
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no list of categories"),
        ("categories: 3", "no list of categories"),
        ("categories: []", "at least one"),
        ("categories:\n- code: a\n  name: [", "Line 3: this is not YAML"),
        ("categories:\n- just words\n", "Line 2: a category has code and name"),
        ("categories:\n- code: a\n  name: A\n- name: B\n", "Line 4: code: Field required"),
        ("categories:\n- code: Not a slug\n  name: A\n", "Line 2: code: the code 'Not a slug' must be"),
        ("categories:\n- code: no\n  name: A\n", "Line 2: code: Input should be a valid string"),
        ("categories:\n- code: a\n  name: A\n  colour: red\n", "Line 2: colour: Extra inputs"),
        ("- {code: a, name: A}\n- {code: a, name: B}\n", "the code 'a' is given to more than one"),
        ("- {code: a, name: A}\n- {code: b, name: a}\n", "the name 'a' is given to more than one"),
        ("a: \x00", "not YAML"),
        ("- !!python/object:os.system {}\n", "not YAML"),
        ("[" * 5_000, "not YAML"),
        ("x" * 1_000_001, "million"),
    ],
)
def test_mistakes_are_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInputError, match=message) as error:
        categories_from_yaml(text)
    assert error.value.hint


@given(st.text(max_size=200))
def test_no_text_makes_it_fall_over(text: str) -> None:
    try:
        assert categories_from_yaml(text)
    except InvalidInputError as error:
        assert error.message


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40), max_size=3))
def test_any_wording_survives(examples: list[str]) -> None:
    policy = Policy(categories=(Category(code="a", name="A", examples=tuple(examples)),))
    assert categories_from_yaml(to_yaml(policy)) == list(policy.categories)
