"""What the student sees: the one renderer for training, scoring and serving.

A prompt is rendered in three parts that are tokenised apart, so that every example of one
policy and form begins with the very same tokens:

    prefix   system message with the policy, up to where the post begins
    post     the post's text as literal text: a special token written in it is plain characters
    suffix   from the post's end to where the answer begins

The answer follows, closed by the model's end token. Everything here works without torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer

from training.errors import LastingError
from training.policy import NONE_NAME, Policy

Form = Literal["direct", "reasoned", "explained"]
"""How an answer is laid out: labels alone, reason then labels, or labels then reason."""
FORMS: tuple[Form, ...] = ("direct", "reasoned", "explained")
Answers = Literal["direct", "reasoned", "both", "explained"]
"""What a student learns of each row: one form, or "both", which is direct and reasoned once each."""

PROMPT_VERSION = 1
"""Raised whenever a word of the prompt or of the answer's layout changes."""

_INSTRUCTION: dict[Form, str] = {
    "direct": "Answer with the names of the broken rules, or none.",
    "reasoned": (
        "Answer in three lines: Analysis, Harmful information (quoted from the post, or none), "
        "Classification (the names of the broken rules, or none)."
    ),
    "explained": (
        "Answer in three lines: Classification (the names of the broken rules, or none), "
        "Analysis, Harmful information (quoted from the post, or none)."
    ),
}
_POST = "\ue000post\ue000"
_CUT = " […] "
CLASSIFICATION = "Classification:"
"""How the line with the labels begins: a reasoned answer's last, an explained one's first."""


class PromptError(LastingError):
    """A prompt cannot be rendered, or an example cannot be learned; the message says why."""


class UnreadableAnswerError(Exception):
    """A text is not an answer in the form that was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer's parts. `labels` are category codes in the policy's order."""

    labels: tuple[str, ...]
    analysis: str | None = None
    harmful: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Example:
    """One rendered example as token ids. The learned tokens are exactly `answer`.

    Each of them counts `weight` times in the loss and in what that is divided by.
    """

    prefix: tuple[int, ...]
    post: tuple[int, ...]
    suffix: tuple[int, ...]
    answer: tuple[int, ...]
    shortened: bool = False
    weight: float = 1.0

    @property
    def ids(self) -> tuple[int, ...]:
        """All token ids, (T,)."""
        return self.prefix + self.post + self.suffix + self.answer

    def __len__(self) -> int:
        return len(self.prefix) + len(self.post) + len(self.suffix) + len(self.answer)


def system_message(policy: Policy, form: Form) -> str:
    """The policy and what to answer, as the student reads it."""
    rules = "\n".join(
        f"- {category.answer_name}: {category.definition}".rstrip(" :") for category in policy.categories
    )
    return f"You moderate posts. The rules:\n{rules}\n{_INSTRUCTION[form]}"


def label_text(policy: Policy, labels: Sequence[str]) -> str:
    """The classification in words: names in the policy's order, or "none"."""
    names = [policy.by_code[code].answer_name for code in policy.in_order(labels)]
    return ", ".join(names) or NONE_NAME


def answer_text(policy: Policy, form: Form, answer: Answer) -> str:
    """The answer as it is learned, without the end token.

    Raises:
        PromptError: there is no analysis, and the form has one.
    """
    classification = label_text(policy, answer.labels)
    if form == "direct":
        return classification
    if not answer.analysis or not answer.analysis.strip():
        raise PromptError("an answer with a reason needs an analysis; this row has none")
    analysis = " ".join(answer.analysis.split())
    harmful = " | ".join(f'"{" ".join(span.split())}"' for span in answer.harmful) or NONE_NAME
    reason = f"Analysis: {analysis}\nHarmful information: {harmful}"
    labels = f"{CLASSIFICATION} {classification}"
    return f"{reason}\n{labels}" if form == "reasoned" else f"{labels}\n{reason}"


def forms_of(analysis: str | None, answers: Answers) -> tuple[Form, ...]:
    """The forms in which a row is learned. Without an analysis only the direct one can be."""
    if answers == "direct" or analysis is None or not analysis.strip():
        return ("direct",)
    return ("direct", "reasoned") if answers == "both" else (answers,)


def written_form(form: Form) -> Form:
    """The form in which reasons are written by a student that is scored in a form."""
    return "explained" if form == "explained" else "reasoned"


def parse_labels(policy: Policy, text: str) -> tuple[str, ...]:
    """Read "scam, gambling" or "none" back into codes.

    Raises:
        UnreadableAnswerError: a name is not in the policy, or "none" stands beside another.
    """
    names = [name.strip(" .\"'*`[]").lower() for name in re.split(r"[,;\n]", text)]
    names = [name for name in names if name]
    known = {category.answer_name: category.code for category in policy.categories}
    known |= {category.code: category.code for category in policy.categories}
    if names == [NONE_NAME]:
        return ()
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UnreadableAnswerError(f"{text.strip()[:80]!r} names no set of this policy's categories")
    return policy.in_order(known[name] for name in names)


_REASON_LINES = r"Analysis:\s*(?P<analysis>.+?)\s*\n\s*Harmful information:\s*(?P<harmful>.*?)"
_LABELS_LINE = r"Classification:\s*(?P<labels>.+?)"
_LINES = {
    "reasoned": re.compile(rf"\s*{_REASON_LINES}\s*\n\s*{_LABELS_LINE}\s*", re.DOTALL | re.IGNORECASE),
    "explained": re.compile(rf"\s*{_LABELS_LINE}\s*\n\s*{_REASON_LINES}\s*", re.DOTALL | re.IGNORECASE),
}


def parse_answer(policy: Policy, form: Form, text: str) -> Answer:
    """Read a student's answer; the inverse of `answer_text`.

    Raises:
        UnreadableAnswerError: the text does not have the form's parts.
    """
    if form == "direct":
        return Answer(parse_labels(policy, text))
    match = _LINES[form].fullmatch(text)
    if match is None:
        raise UnreadableAnswerError("the answer does not have its three parts")
    quoted = match["harmful"]
    spans = tuple(re.findall(r'"(.+?)"(?= \| |$)', quoted, re.DOTALL))
    return Answer(parse_labels(policy, match["labels"]), match["analysis"], spans)


class Renderer:
    """Renders and tokenises examples for one base model and one policy.

    Args:
        folder: a base model's folder with `tokenizer.json` and its configuration.
        policy: the policy version that the student works under.

    Raises:
        PromptError: the folder has no fast tokenizer, no chat template, or names no end token.
    """

    def __init__(self, folder: Path, policy: Policy) -> None:
        self.policy = policy
        path = folder / "tokenizer.json"
        if not path.is_file():
            raise PromptError(f"{folder} has no tokenizer.json; Overrule needs a model with a fast tokenizer")
        self._tokens = Tokenizer.from_file(str(path))
        # A post is untrusted: "<|im_end|>" in it must stay the characters that its author typed.
        self._literal = Tokenizer.from_file(str(path))
        self._literal.encode_special_tokens = True
        self._config = _tokenizer_config(folder)
        end = _token_text(self._config.get("eos_token"))
        end_id = self._tokens.token_to_id(end) if end else None
        if end_id is None:
            raise PromptError(
                f"the tokenizer in {folder} names no end token; name it as eos_token in its "
                "tokenizer_config.json, or choose another base model"
            )
        self.end_id = end_id
        if not self._config.get("chat_template"):
            raise PromptError(
                f"the tokenizer in {folder} has no chat template, so nothing says where a post ends "
                "and the answer begins; choose the model's instruct version, or put a chat_template.jinja "
                "into its folder"
            )

    @cached_property
    def _frames(self) -> dict[Form, tuple[str, str]]:
        return {form: self._frame(system_message(self.policy, form)) for form in FORMS}

    def _frame(self, system: str) -> tuple[str, str]:
        """What stands before and after the post, as text."""
        template = self._config["chat_template"]
        try:
            text = self._apply(
                template, [{"role": "system", "content": system}, {"role": "user", "content": _POST}]
            )
        except TemplateError:
            # Some chat templates know no system role; the rules then open the user's turn.
            text = self._apply(template, [{"role": "user", "content": f"{system}\n\n{_POST}"}])
        before, found, after = text.partition(_POST)
        if not found:
            raise PromptError("the base model's chat template leaves out the user's message")
        return before, after

    def _apply(self, template: str, messages: list[dict[str, str]]) -> str:
        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["raise_exception"] = _raise
        environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False}
        tokens = {name: _token_text(self._config.get(name)) or "" for name in ("bos_token", "eos_token")}
        rendered = environment.from_string(template).render(
            messages=messages, add_generation_prompt=True, **tokens
        )
        return str(rendered)

    @cached_property
    def hash(self) -> str:
        """The hash of a student of the direct form, the reasoned one, or both."""
        return self.hash_for("direct")

    def hash_for(self, answers: Answers) -> str:
        """sha256 (hex) over everything that shapes a student's prompts: forms, policy, chat frame, end token.

        Direct and reasoned count for every student. Explained counts for its own students alone,
        so that adapters which were trained before there was this form keep their hash.
        """
        forms: tuple[Form, ...] = FORMS if answers == "explained" else ("direct", "reasoned")
        every = Answer(self.policy.codes, "a", ("h",))
        shape = {
            "version": PROMPT_VERSION,
            "policy": self.policy.hash,
            "frames": {form: list(self._frames[form]) for form in forms},
            "answer": {form: answer_text(self.policy, form, every) for form in forms},
            "end": self._tokens.id_to_token(self.end_id),
        }
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()

    def frame_text(self, form: Form) -> tuple[str, str]:
        """What stands before and after the post, special tokens included."""
        return self._frames[form]

    def frame_ids(self, form: Form) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Token ids of prefix and suffix; the same for every post, so they are found once."""
        return self._frame_ids[form]

    @cached_property
    def _frame_ids(self) -> dict[Form, tuple[tuple[int, ...], tuple[int, ...]]]:
        return {
            form: (self._encode(before), self._encode(after))
            for form, (before, after) in self._frames.items()
        }

    def answer_ids(self, form: Form, answer: Answer) -> tuple[int, ...]:
        """Token ids of an answer and the end token: what is learned.

        Raises:
            PromptError: there is no analysis and the form has one, or the tokenizer lets a reason
                change how the labels before it are written.
        """
        ids = self._literal_ids(answer_text(self.policy, form, answer))
        if form == "explained":
            labels = self.label_ids(form, answer.labels)
            if ids[: len(labels)] != labels:
                raise PromptError("the base model's tokenizer joins words across the answer's first line")
        return (*ids, self.end_id)

    def label_ids(self, form: Form, labels: Sequence[str]) -> tuple[int, ...]:
        """Token ids of a classification with what closes it: no other classification begins with them.

        direct: the names and the end token.
        reasoned: the names and the end token; they follow `reason_end_ids`.
        explained: the heading, the names, and the token that holds the line break after them
            (whichever token that is: some tokenizers join it with the sign before).
        """
        if form == "direct":
            return self.answer_ids("direct", Answer(tuple(labels)))
        if form == "explained":
            ids = self._literal_ids(answer_text(self.policy, form, Answer(tuple(labels), "a")))
            length = bisect_left(range(len(ids)), True, key=lambda end: "\n" in self.decode(ids[:end]))
            return ids[:length]
        head = self._literal_ids(CLASSIFICATION)
        whole = self._literal_ids(f"{CLASSIFICATION} {label_text(self.policy, labels)}")
        if whole[: len(head)] != head:
            raise PromptError("the base model's tokenizer joins words across the answer's last line")
        return (*whole[len(head) :], self.end_id)

    @cached_property
    def reason_end_ids(self) -> tuple[int, ...]:
        """Token ids of what stands between a reason and its classification: a new line and its heading."""
        return self._literal_ids(f"\n{CLASSIFICATION}")

    def example(self, text: str, form: Form, answer: Answer | None, max_length: int) -> Example:
        """Render one post, with its answer to learn or without one to score.

        Only the post is ever shortened, from its middle, with "[…]" where it was cut.

        Args:
            max_length: tokens in all, the answer included.

        Raises:
            PromptError: policy and answer alone do not fit, or there is no analysis to learn.
        """
        prefix, suffix = self.frame_ids(form)
        answer_ids = self.answer_ids(form, answer) if answer is not None else ()
        post = self._literal_ids(text)
        room = max_length - len(prefix) - len(suffix) - len(answer_ids)
        if len(post) <= room:
            return Example(prefix, post, suffix, answer_ids)
        cut = self._encode(_CUT)
        keep = room - len(cut)
        if keep < 2:
            raise PromptError(
                f"policy and answer take {max_length - room} of {max_length} tokens and leave no room "
                "for the post; raise the sequence length or shorten the policy"
            )
        head = (keep + 1) // 2
        return Example(
            prefix, post[:head] + cut + post[len(post) - (keep - head) :], suffix, answer_ids, True
        )

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids as text, special tokens included."""
        return str(self._tokens.decode(list(ids), skip_special_tokens=False))

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokens.encode(text, add_special_tokens=False).ids)

    def _literal_ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._literal.encode(text, add_special_tokens=False).ids)


def _raise(message: str) -> None:
    raise TemplateError(message)


def _tokenizer_config(folder: Path) -> dict[str, Any]:
    path = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    template = folder / "chat_template.jinja"
    if template.is_file():
        config["chat_template"] = template.read_text("utf-8")
    return config


def _token_text(token: Any) -> str | None:
    """A special token's text: older configurations hold it as {"content": …}."""
    return token.get("content") if isinstance(token, dict) else token
