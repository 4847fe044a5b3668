"""`python -m training JOB`: do one job. Exit 0 done, 3 stopped on request, else failed."""

from __future__ import annotations

import argparse
import sys

from training.machine import use_huge_pages
from training.stop import Stop


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training", description="Do one training or scoring job.")
    parser.add_argument("job", help="the job's folder: a path, or any fsspec address")
    given = parser.parse_args(arguments)
    # Before anything heavy is imported, so that a request is never lost.
    stop = Stop()
    stop.listen()
    from training.run import run

    return run(given.job, stop)


if __name__ == "__main__":
    use_huge_pages()
    sys.exit(main())
