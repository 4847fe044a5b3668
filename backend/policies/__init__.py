"""Policies: the written rules, in versions that never change."""
