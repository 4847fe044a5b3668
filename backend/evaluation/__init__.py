"""Evaluation sets, what each model got right on them, and how two models compare."""
