from pathlib import Path

import pytest

from backend.base_models import DEFAULT_NAME, checked_name, display_name, local_folder
from backend.errors import InvalidInputError
from backend.settings import Settings
from training import base_model


def test_both_sides_mean_the_same_default_and_the_same_folder(tmp_path: Path) -> None:
    assert DEFAULT_NAME == base_model.DEFAULT_NAME
    folder = tmp_path / "models" / DEFAULT_NAME.replace("/", "--")
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (folder / name).write_text("{}")
    settings = Settings(home=tmp_path, model_cache=tmp_path / "models")
    assert local_folder("default", settings) == base_model.resolve("default", settings.models) == folder
    assert local_folder("some/other", settings) is None


def test_a_name_is_kept_so_that_everybody_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine").mkdir()
    assert checked_name("mine") == checked_name("./mine") == str(tmp_path / "mine")
    assert checked_name(DEFAULT_NAME) == checked_name(" default ") == "default"
    assert checked_name("some/model") == "some/model"
    assert display_name("default") == "SmolLM2-135M-Instruct"
    assert display_name(str(tmp_path / "mine")) == "mine"


@pytest.mark.parametrize("name", ["", "./elsewhere", "/no/such/folder", "a/b/c", "~/no-such-folder"])
def test_a_path_that_is_not_there_is_said_at_once(name: str) -> None:
    with pytest.raises(InvalidInputError):
        checked_name(name)
