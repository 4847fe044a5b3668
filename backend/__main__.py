"""`python -m backend …` is `overrule …`, for where the installed command's place is not known."""

from backend.cli import main

main()
