"""A policy as a YAML file that people can read, change and give back."""

from __future__ import annotations

from typing import Any

import yaml
from pydantic import ValidationError

from backend.errors import InvalidInputError
from training.policy import Category, Policy

_HINT = "A policy file holds a list `categories`, each with code, name, definition and examples."
# Beyond this it is no policy that anyone reads; a stray file is refused before it is parsed.
_LONGEST = 1_000_000


def to_yaml(policy: Policy) -> str:
    """The policy's categories as YAML under a line that says which version they are."""
    document = {
        "categories": [
            category.model_dump(mode="json", exclude_defaults=True) for category in policy.categories
        ]
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return f"# Policy, version {policy.version}\n{text}"


def categories_from_yaml(text: str) -> list[Category]:
    """The categories that a YAML file holds; other keys beside `categories` are left alone.

    Raises:
        InvalidInputError: it is not YAML or not a policy; the message names the line.
    """
    if len(text) > _LONGEST:
        raise InvalidInputError("The policy file has more than a million characters.", _HINT)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        document = yaml.safe_load(text)
    except yaml.MarkedYAMLError as error:
        where = f"Line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise InvalidInputError(f"{where}this is not YAML ({error.problem}).", _HINT) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInputError(f"This is not YAML: {str(error).splitlines()[0]}.", _HINT) from error
    node, entries = _entries(root, document)
    categories = [
        _category(entry, child.start_mark.line + 1) for entry, child in zip(entries, node.value, strict=True)
    ]
    check(categories)
    return categories


def check(categories: list[Category]) -> None:
    """Refuse categories that make no policy: none at all, or a code or name twice.

    Raises:
        InvalidInputError: with the reason.
    """
    try:
        Policy(categories=tuple(categories))
    except ValidationError as error:
        if not categories:
            raise InvalidInputError("A policy needs at least one category.", _HINT) from error
        raise InvalidInputError(f"The policy cannot be used: {_reasons(error)}.", _HINT) from error


def _entries(root: yaml.Node | None, document: Any) -> tuple[yaml.SequenceNode, list[Any]]:
    if isinstance(root, yaml.MappingNode):
        for key, value in root.value:
            if key.value == "categories":
                root, document = value, document["categories"]
                break
    if not isinstance(root, yaml.SequenceNode):
        raise InvalidInputError("The file holds no list of categories.", _HINT)
    return root, document


def _category(entry: Any, line: int) -> Category:
    if not isinstance(entry, dict):
        raise InvalidInputError(f"Line {line}: a category has code and name; this is {entry!r:.80}.", _HINT)
    try:
        return Category.model_validate({key: value for key, value in entry.items() if value is not None})
    except ValidationError as error:
        raise InvalidInputError(f"Line {line}: {_reasons(error)}.", _HINT) from error


def _reasons(error: ValidationError) -> str:
    found = []
    for detail in error.errors():
        where = ".".join(str(part) for part in detail["loc"])
        message = detail["msg"].removeprefix("Value error, ")
        found.append(f"{where}: {message}" if where else message)
    return "; ".join(found)
