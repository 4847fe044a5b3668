"""Judging posts one after another: queues, leases, verdicts, undo."""
