"""Asking a teacher, and reading what it says."""
