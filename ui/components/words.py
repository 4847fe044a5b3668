"""What the program's values are called on a page."""

from __future__ import annotations

from backend.db.models.content import Agreement, Split
from backend.db.models.curation import Handling
from backend.db.models.jobs import JobState
from backend.db.models.review import Verdict

SPLITS = {Split.TRAIN: "training", Split.VALIDATION: "validation", Split.TEST: "test"}

AGREEMENTS = {
    Agreement.AGREES: "agrees",
    Agreement.FALSE_ALARM: "false alarm",
    Agreement.MISSED: "missed",
    Agreement.OTHER_LABELS: "other categories",
    Agreement.UNVERIFIED: "no decision yet",
    Agreement.INVALID: "unreadable answer",
    Agreement.UNANSWERED: "not answered",
    Agreement.DROPPED: "dropped",
}

VERDICTS = {
    Verdict.RIGHT: "teacher is right",
    Verdict.WRONG_LABELS: "labels corrected",
    Verdict.BAD_REASON: "reason corrected",
    Verdict.CANNOT_TELL: "cannot tell",
    Verdict.DISCARD: "discarded",
    Verdict.FROM_SCRATCH: "judged from scratch",
    Verdict.WITHDRAWN: "taken back",
}

HANDLINGS = {
    Handling.KEEP: ("Keep", "Wrong answers are taught as they are."),
    Handling.DROP: ("Drop", "Posts with a wrong answer are left out."),
    Handling.RECHECK_KEEP: ("Recheck, keep", "The teacher's second answer is taught, right or wrong."),
    Handling.RECHECK_DROP: (
        "Recheck, drop",
        "The second answer is taught; wrong again, and the post is left out.",
    ),
    Handling.REVIEW: (
        "Review",
        "People's labels win: a right answer keeps the teacher's reason, a wrong one gets people's.",
    ),
}

STATES = {
    JobState.QUEUED: "waiting",
    JobState.STARTING: "starting",
    JobState.RUNNING: "running",
    JobState.STOPPING: "stopping",
    JobState.SUCCEEDED: "finished",
    JobState.STOPPED: "stopped",
    JobState.FAILED: "failed",
    JobState.INTERRUPTED: "interrupted",
}

PHASES = {
    "": "preparing",
    "loading": "loading the model",
    "training": "training",
    "validating": "validating",
    "preferring": "learning preferences",
    "scoring": "scoring the posts",
    "running": "under way",
    "done": "done",
}

ANSWERS = {
    "direct": "labels only",
    "reasoned": "reason, then labels",
    "both": "each post in both forms",
    "explained": "labels, then reason",
}

INFERENCES = {"direct": "Label only", "reasoned": "Reason first, then label"}

METHODS = {"lora": "LoRA", "qlora": "QLoRA (base model in 4 bits)", "full": "all weights"}

PRECISIONS = {"auto": "automatic", "float32": "fp32"}

CHOICES = {"loss": "lowest loss", "macro_f1": "highest macro-F1"}


def phase(name: str | None) -> str:
    """What a job is doing, in words."""
    return PHASES.get(name or "", (name or "").replace("_", " "))


def handling(value: Handling) -> str:
    """A handling's name."""
    return HANDLINGS[value][0]


def version(number: int, value: Handling) -> str:
    """A dataset version: "version 1 (Review)"."""
    return f"version {number} ({handling(value)})"
