"""`adapter/README.md`: what a student is, in Hugging Face's model card format.

Made of what the job knows and nothing else: the same job gives the same text, and no post is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from training.adapter import Card
from training.base_model import hub_name, license_of
from training.data import Encoded
from training.job import Config
from training.prompt import Renderer

README = "README.md"

_FEW_POSTS = 20
"""With fewer validation posts a category's figures are said to be uncertain."""

_LORA_SETTINGS = {"rank", "alpha", "rslora", "dora", "targets"}
_ANSWERS = {
    "direct": "It answers with the names of the broken rules, or none.",
    "reasoned": "It writes its reason first, and then the names of the broken rules, or none.",
    "explained": "It names the broken rules, or none, and gives its reason after.",
}


def model_card(
    card: Card,
    renderer: Renderer,
    base_model: Path,
    *,
    hashes: Mapping[str, Any],
    train: Encoded,
    validation: Mapping[str, Any] | None,
) -> str:
    """The model card as markdown with a YAML header.

    Args:
        card: what `overrule.json` says, with thresholds.
        renderer: of the prompt that the student was trained under.
        base_model: the base model's folder.
        hashes: sha256 by what was hashed, as in `result.json`.
        train: what was learned.
        validation: figures on the posts that chose the thresholds; None where there were none.
    """
    parts = [
        _header(card, base_model),
        _about(card),
        _policy(card),
        _training(card, hashes, train),
        _figures(card, validation),
        _use(card, renderer),
        _limits(card.config, validation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _header(card: Card, base_model: Path) -> str:
    from huggingface_hub import ModelCardData

    full = card.config.method == "full"
    data = ModelCardData(
        base_model=hub_name(card.base_model.name, base_model),
        license=license_of(card.base_model.name, base_model),
        library_name="transformers" if full else "peft",
        pipeline_tag="text-generation",
        tags=["overrule", "content-moderation", card.config.method],
    )
    return f"---\n{data.to_yaml()}\n---"


def _about(card: Card) -> str:
    name = Path(card.base_model.name).name
    what = "All weights of" if card.config.method == "full" else "An adapter for"
    return (
        f"# A moderation student on {_literal(name)}\n\n"
        f"{what} a language model that says which rules of a written policy a post breaks. It learned from "
        f"a teacher's answers and people's decisions, with Overrule. {_ANSWERS[card.form]}"
    )


def _policy(card: Card) -> str:
    rules = "\n".join(
        f"- **{_literal(category.name)}** (`{category.code}`): {_literal(category.definition) or '–'}"
        for category in card.policy.categories
    )
    return f"## Policy\n\nVersion {card.policy.version}. A post has any number of these, or none.\n\n{rules}"


def _preferred(card: Card) -> str:
    preference = card.config.preference
    if preference is None:
        return ""
    return (
        " A preference step followed: DPO on people's corrected answers over the teacher's wrong ones, with "
        f"β = {preference.beta:g}. The loss is that of the weights after it."
    )


def _training(card: Card, hashes: Mapping[str, Any], train: Encoded) -> str:
    settings = card.config.model_dump(mode="json")
    if card.config.method == "full":
        settings = {name: value for name, value in settings.items() if name not in _LORA_SETTINGS}
    counts = [(f"`{code}`", f"{train.labels[code]:,}") for code in card.policy.codes]
    loss = "–" if card.validation_loss is None else f"{card.validation_loss:.4f}"
    facts = [("base model, configuration", card.base_model.config_hash), ("policy", card.policy_hash)]
    if card.base_model.weights_hash is not None:
        facts.insert(1, ("base model, weights in samples", card.base_model.weights_hash))
    facts += [("prompt", card.prompt_hash), ("job", str(hashes["job"]))]
    facts += [(name, digest) for name, digest in sorted(hashes["data"].items())]
    return "\n\n".join(
        (
            "## Training",
            f"{train.rows_used:,} posts made {len(train.examples):,} examples with {train.learned_tokens:,} "
            f"learned tokens. The weights are those after step {card.step}, with a validation loss of {loss} "
            f"a token.{_preferred(card)}",
            _table(("label", "training posts"), [*counts, ("none", f"{train.without_labels:,}")]),
            _table(("setting", "value"), [(f"`{name}`", _value(value)) for name, value in settings.items()]),
            _table(("of what", "sha256"), [(name, f"`{digest}`") for name, digest in facts]),
        )
    )


def _figures(card: Card, validation: Mapping[str, Any] | None) -> str:
    if not validation:
        return ""
    rows = [
        (
            f"`{code}`",
            f"{found['support']:,}",
            f"{card.thresholds[code]:.4f}",
            _figure(found["f1"]),
            _figure(found["auprc"]),
        )
        for code, found in validation["categories"].items()
    ]
    macro = (
        "macro average",
        f"{validation['posts']:,}",
        "",
        _figure(validation["macro_f1"]),
        _figure(validation["macro_auprc"]),
    )
    return (
        "## Figures on validation\n\n"
        f"The thresholds were chosen on these same posts, for {card.config.aim.in_words}, so figures "
        "elsewhere are likely to be lower. A category counts as named from its threshold on. The "
        "probability that an answer is a valid one at all is "
        f"{validation['valid_mass']:.3f} on average.\n\n"
        + _table(("category", "posts", "threshold", "F1", "AUPRC"), [*rows, macro])
    )


def _use(card: Card, renderer: Renderer) -> str:
    before, after = renderer.frame_text(card.form)
    code = _LOADING[card.config.method].format(base=card.base_model.name) + _ANSWERING.format(
        before=before, after=after
    )
    return (
        "## How to use it\n\n"
        "In Overrule, which checks prompt, policy and base model by their hashes and gives probabilities; "
        "or in plain transformers, run in this folder. The prompt must be this one to the letter. This code "
        "prints the answer that the student would write. Overrule's labels, and all figures, come from "
        "probabilities at the thresholds above instead, so that the two can differ.\n\n"
        f"```python\n{code}```"
    )


_LOADING = {
    "lora": """import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

BASE = {base!r}
tokenizer = AutoTokenizer.from_pretrained(BASE)
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE), ".").eval()
""",
    "qlora": """import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig

BASE = {base!r}
tokenizer = AutoTokenizer.from_pretrained(BASE)
nf4 = BitsAndBytesConfig(
    load_in_4bit=True,
    bnb_4bit_quant_type="nf4",
    bnb_4bit_use_double_quant=True,
    bnb_4bit_compute_dtype=torch.bfloat16,
)
model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.bfloat16, quantization_config=nf4)
model = PeftModel.from_pretrained(model, ".").eval()
""",
    "full": """import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained(".")
model = AutoModelForCausalLM.from_pretrained(".").eval()
""",
}
_ANSWERING = """
BEFORE = {before!r}
AFTER = {after!r}


def ids_of(text, **options):
    return tokenizer(text, add_special_tokens=False, **options)["input_ids"]


def answer(post):
    # What looks like a special token in a post stays the characters that its author typed.
    prompt = torch.tensor([ids_of(BEFORE) + ids_of(post, split_special_tokens=True) + ids_of(AFTER)])
    prompt = prompt.to(model.device)
    written = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=256,
        do_sample=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )
    return tokenizer.decode(written[0, prompt.shape[1] :], skip_special_tokens=True)


print(answer("the post"))
"""


def _limits(config: Config, validation: Mapping[str, Any] | None) -> str:
    lines = [
        "It is meant to help people who moderate: to sort what they should look at. It is not meant to "
        "punish anyone without a person's decision.",
        "It knows the rules above and no others, as the training posts show them. Other languages, other "
        "places and new ways of speaking were not tested.",
        "Its scores hold under this prompt and this policy alone. When the policy changes, train again.",
    ]
    if config.answers != "direct":
        lines.append(
            "Its reasons are text that it learned to write; they need not be what its labels came from."
        )
    if validation is None or not validation:
        lines.append("No validation posts were at hand: how good it is has not been measured.")
    else:
        few = [code for code, found in validation["categories"].items() if found["support"] < _FEW_POSTS]
        if few:
            codes = ", ".join(f"`{code}`" for code in few)
            lines.append(
                f"The figures of {codes} are uncertain: fewer than {_FEW_POSTS} validation posts each."
            )
    return "## Intended use and limits\n\n" + "\n".join(f"- {line}" for line in lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _literal(text: str) -> str:
    """A policy's words on one line, with nothing in them that markdown or HTML would read."""
    return re.sub(r"([\\`*_{}\[\]<>|#!&~])", r"\\\1", " ".join(text.split()))


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_value(of)}" for name, of in value.items())
    return _literal(", ".join(map(str, value)) if isinstance(value, list) else str(value))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
