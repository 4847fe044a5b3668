import pytest

from backend.errors import InvalidInputError
from backend.runs.choices import CUSTOM, SettingsError, configure, nearest_preset, preset_name
from training.job import PRESETS, Preference


def test_changes_are_read_as_they_are_meant() -> None:
    config = configure(
        "standard", {"epochs": "7", "learning_rate": "2e-4", "targets": "q_proj, v_proj"}, seed=3
    )
    assert (config.epochs, config.learning_rate, config.targets) == (7, 2e-4, ("q_proj", "v_proj"))
    assert (config.seed, config.rank) == (3, PRESETS["standard"].rank)


def test_switches_are_read_from_words() -> None:
    config = configure("quick", {"rslora": "true", "dora": "no", "method": "qlora"})
    assert (config.rslora, config.dora, config.method) == (True, False, "qlora")


def test_patience_is_a_number_or_never() -> None:
    assert configure("quick", {"patience": "3", "choose": "macro_f1"}).patience == 3
    assert configure("quick", {"patience": "never"}).patience is None


@pytest.mark.parametrize(
    ("preset", "changes", "said"),
    [
        ("fast", {}, "no preset 'fast'"),
        ("quick", {"epoch": "3"}, "no setting 'epoch'"),
        ("quick", {"epochs": "many"}, "epochs cannot be 'many'"),
        ("quick", {"epochs": 0}, "epochs cannot be 0"),
        ("quick", {"method": "full", "dora": "yes"}, "kinds of LoRA"),
        ("quick", {"rank": "0"}, "rank cannot be '0'"),
        ("quick", {"learning_rate": "nan"}, "learning_rate cannot be 'nan'"),
        ("quick", {"targets": 3}, "targets cannot be 3"),
        ("quick", {"preference": "perhaps"}, "preference cannot be 'perhaps'"),
        ("quick", {"preference.beta": "-1"}, "preference.beta cannot be '-1'"),
        ("quick", {"preference.gamma": "1"}, "no setting 'preference.gamma'"),
        ("quick", {"epochs.beta": "1"}, "no setting 'epochs.beta'"),
    ],
)
def test_what_cannot_be_is_named(preset: str, changes: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidInputError, match=said):
        configure(preset, changes)


def test_all_that_is_wrong_is_told_by_the_settings_name() -> None:
    changes = {"rank": 0, "learning_rate": 5, "targets": 3, "preference.beta": -1}
    with pytest.raises(SettingsError) as refused:
        configure("quick", changes, names={"rank": "LoRA rank"})
    wrong = refused.value.wrong
    assert set(wrong) == set(changes)
    assert wrong["rank"].message.startswith("LoRA rank cannot be 0")
    assert refused.value.message in {why.message for why in wrong.values()}
    with pytest.raises(SettingsError) as refused:
        configure("quick", {"method": "full", "preference": "on"})
    assert list(refused.value.wrong) == ["method"]


@pytest.mark.parametrize("preset", PRESETS)
def test_the_nearest_preset_is_the_one_that_was_changed_a_little(preset: str) -> None:
    assert nearest_preset(configure(preset, {"max_grad_norm": 2, "seed": 7})) == preset


def test_a_preset_keeps_its_name_whatever_the_seed() -> None:
    assert preset_name("quick", configure("quick", seed=9)) == "quick"
    assert preset_name("quick", configure("quick", {"rank": 4})) == CUSTOM


def test_the_preference_step_is_switched_on_whole_or_by_one_of_its_settings() -> None:
    assert configure("quick").preference is None
    assert configure("quick", {"preference": "on"}).preference == Preference()
    assert configure("quick", {"preference": True}).preference == Preference()
    beta = {"preference.beta": "0.5"}
    assert configure("quick", beta).preference == Preference(beta=0.5)
    assert configure("quick", beta | {"preference": "true"}).preference == Preference(beta=0.5)
    assert configure("quick", beta | {"preference": "off"}).preference is None
    assert preset_name("quick", configure("quick", beta)) == CUSTOM
