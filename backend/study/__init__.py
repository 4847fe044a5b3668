"""The paper's study as ordinary runs: its grid, what came out, and how sure that is."""
