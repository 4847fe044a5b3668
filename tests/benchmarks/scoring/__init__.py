"""The benchmark of scoring: `python -m tests.benchmarks.scoring --help`."""

import os

# As the trainer has it, before torch is loaded: threads that wait must sleep, for everyone here.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
