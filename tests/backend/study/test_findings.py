"""What follows from students that are known to be better, worse, or alike."""

import re
from dataclasses import replace

from backend.study.findings import findings
from backend.study.means import difference, level
from backend.study.report import markdown, page
from backend.study.scored import Results, Scored
from backend.study.tables import Section, Shown
from tests.backend.study.build import TEST, cell, results, scored

SEEDS = (0, 1, 2)


def section(found: Results, title: str) -> Section:
    [wanted] = [one for one in findings(found) if one.title == title]
    return wanted


def students(**noise: float) -> list[Scored]:
    return [
        scored(cell(name.replace("_", "-"), seed=seed), each + seed / 100)
        for name, each in noise.items()
        for seed in SEEDS
    ]


def test_a_handling_wins_where_it_is_ahead_of_all_others() -> None:
    [sentence] = section(results(*students(keep=2.0, drop=1.9, review=0.9)), "Which handling wins").sentences
    assert sentence.startswith("On test, each with all its rows: review wins (macro-F1 .")
    assert "ahead of keep (+." in sentence and "and drop (+." in sentence


def test_handlings_are_compared_by_how_they_rank_posts_too() -> None:
    found = results(*students(keep=2.0, drop=1.9, review=0.5))
    ranked = section(found, "Which handling ranks posts best")
    assert ranked.sentences[0].startswith("On test, each with all its rows: review wins (macro-AUPRC 1.00")
    assert ranked.tables[0].heads == ("handling", "macro-AUPRC")
    every = section(found, "All settings, and other models").tables[0]
    assert every.heads[-2:] == ("macro-F1", "macro-AUPRC")
    yes_no = replace(TEST, yes_no=True)
    abroad = results(*(replace(one, of=yes_no) for one in students(keep=1.0)))
    heads = section(abroad, "All settings, and other models").tables[0].heads
    assert heads[-2:] == ("F1 on any violation", "AUPRC of any violation")


def test_nobody_wins_where_the_lead_is_not_clear() -> None:
    [sentence] = section(
        results(*students(keep=2.0, drop=1.0, review=0.999)), "Which handling wins"
    ).sentences
    assert "no handling clearly wins" in sentence
    assert "clearly ahead of keep" in sentence and "not clearly ahead of" in sentence


def test_every_pair_that_is_clearly_apart_stands_out_in_the_table() -> None:
    found = section(results(*students(keep=2.0, drop=1.0, review=0.999)), "Which handling wins")
    shown = {name: value for name, value in found.tables[0].rows if isinstance(value, Shown)}
    assert {name for name, value in shown.items() if value.clear} == {"keep − drop", "keep − review"}
    told = markdown("A study", [], [found])
    assert re.search(r"\| keep − drop \| \*\*−\.\d\d \(.+\)\*\* \|", told)
    assert re.search(r"\| drop − review \| [^*]+ \|", told)
    assert page("A study", [], [found]).count("<strong>−.") == 2


def test_handlings_that_teach_the_very_same_do_not_differ() -> None:
    [sentence] = section(results(*students(keep=1.0, recheck_keep=1.0)), "Which handling wins").sentences
    assert "no handling differs from another" in sentence


def test_simulated_handlings_are_apart_and_say_so() -> None:
    best = [
        replace(one, cell=cell("recheck-drop", seed=one.cell.seed, repaired=0.5))
        for one in students(recheck_drop=0.4)
    ]
    found = section(results(*students(keep=2.0, drop=1.0), *best), "Which handling wins")
    real, simulated = found.sentences
    assert "drop wins" in real and "simulated" not in real
    assert "the simulated ones among them: recheck-drop (simulated) wins" in simulated


def test_matched_sizes_are_compared_with_each_other_only() -> None:
    matched = [
        replace(one, cell=replace(one.cell, rows=60, matched=True)) for one in students(keep=0.5, drop=2.0)
    ]
    free, even = section(results(*students(keep=2.0, drop=0.5), *matched), "Which handling wins").sentences
    assert "each with all its rows: drop wins" in free
    assert "all with as many rows: keep wins" in even


def test_reasons_are_judged_by_the_label_alone_and_with_a_reason_first() -> None:
    plain = [scored(cell("keep", "direct", seed), 1.5 + seed / 100) for seed in SEEDS]
    both = [scored(cell("keep", "both", seed), 0.7 + seed / 100) for seed in SEEDS]
    reasoned = [
        scored(cell("keep", "both", seed), 3.0 + seed / 100, inference="reasoned", by_itself=False)
        for seed in SEEDS
    ]
    said = section(results(*plain, *both, *reasoned), "Whether reasons help").sentences
    assert len(said) == 3
    assert "asked for the label only, against taught labels only: macro-F1 clearly better (+." in said[0]
    assert "asked for a reason first, against taught labels only: macro-F1 clearly worse (−." in said[1]
    assert "against asked for the label only: macro-F1 clearly worse" in said[2]


def test_overfitting_is_what_learned_posts_are_ahead_of_held_out_ones() -> None:
    plain = [scored(cell("keep", "direct", seed), 1.0 + seed / 100, learned=0.99) for seed in SEEDS]
    both = [scored(cell("keep", "both", seed), 1.0 + seed / 100, learned=0.90) for seed in SEEDS]
    found = section(results(*plain, *both), "How far training and held-out scores part")
    gap = 0.99 - level(plain, lambda one: one.main).value  # type: ignore[union-attr]
    assert f"they part by .{round(gap * 100):02d} (" in found.sentences[0]
    assert "clearly less (−.09" in found.sentences[2]


def test_more_posts_and_other_languages_and_a_category_never_shown() -> None:
    small = [scored(cell(seed=seed, rows=20), 2.5 + seed / 100) for seed in SEEDS]
    large = [scored(cell(seed=seed), 0.7 + seed / 100) for seed in SEEDS]
    german = replace(TEST, id=2, name="hasoc", in_distribution=False, language="de")
    abroad = [scored(cell(seed=seed), 3.0 + seed / 100, of=german) for seed in SEEDS]
    never = [scored(cell(seed=seed, leave_out="c1"), 3.0 + seed / 100) for seed in SEEDS]
    found = results(*small, *large, *abroad, *never)
    assert (
        "keep with all its rows instead of 20: macro-F1 clearly better"
        in section(found, "What more posts bring").sentences[0]
    )
    english, other = section(found, "Other languages").sentences
    assert english.startswith("In en (test): F1 on any violation .")
    assert other.startswith("In de (hasoc): F1 on any violation .")
    matched = results(*(replace(one, cell=replace(one.cell, rows=9, matched=True)) for one in large))
    assert section(matched, "Other languages").sentences[0].startswith("In en (test): F1 on any violation .")
    [unseen] = section(found, "A category that training never showed").sentences
    assert unseen.startswith("Scam on test, never shown in training: AUPRC .")
    assert "where it was shown: −." in unseen and "To guess would give ." in unseen


def test_a_seed_that_lacks_a_setting_does_not_count_and_what_is_missing_is_said() -> None:
    keep, drop = students(keep=2.0), students(drop=1.0)
    whole = difference(drop, keep, lambda one: one.main, lambda one: one.cell.answers)
    without = difference(drop[:2], keep, lambda one: one.main, lambda one: one.cell.answers)
    assert whole is not None and without is not None
    assert (whole.seeds, without.seeds) == (3, 2)
    assert level([*keep, *drop[:2]], lambda one: one.main).seeds == 2  # type: ignore[union-attr]
    assert difference([], keep, lambda one: one.main, lambda one: None) is None
    said = section(results(*keep, missing=(cell("drop", seed=1),)), "What was trained").sentences
    assert "Missing: drop, direct, seed 1." in said
    [table] = section(results(*keep), "What was trained").tables
    assert table.rows[0][table.heads.index("left out as leaks")] == "3"


def test_without_any_student_the_report_says_so() -> None:
    [only] = findings(Results([cell()], [cell()], [], [], [], {}))
    assert only.sentences[0] == "Trained: 0 of 1 student."
    assert only.tables == ()


def test_one_seed_is_said() -> None:
    one = section(results(scored(cell(), 1.0)), "What was trained").sentences
    assert any("one seed" in sentence for sentence in one)
    three = section(results(*students(keep=1.0)), "What was trained").sentences
    assert not any("one seed" in sentence for sentence in three)
    assert level(students(keep=1.0), lambda each: each.main).seeds == 3  # type: ignore[union-attr]


def test_no_interval_reaches_beyond_what_a_figure_can_be() -> None:
    two = [scored(cell(seed=seed), noise) for seed, noise in ((0, 0.3), (1, 3.0))]
    found = level(two, lambda one: one.main)
    assert found is not None
    assert (found.low, found.high) == (0.0, 1.0)
