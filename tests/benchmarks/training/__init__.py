"""Benchmarks of the trainer: `python -m tests.benchmarks.training --help`."""
