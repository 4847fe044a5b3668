"""The tables, a module for each room."""

from backend.db.models.base import Base
from backend.db.models.content import Category, Import, Item, ItemLabel, PolicyVersion, Project
from backend.db.models.curation import DatasetRow, DatasetVersion
from backend.db.models.evaluation import Evaluation, EvaluationRow, EvaluationSet, Prediction, WordList
from backend.db.models.jobs import Event, Job, Run, WorkerBeat
from backend.db.models.review import Judgement, Lease
from backend.db.models.teacher import TeacherAnswer, TeacherRun

__all__ = [
    "Base",
    "Category",
    "DatasetRow",
    "DatasetVersion",
    "Evaluation",
    "EvaluationRow",
    "EvaluationSet",
    "Event",
    "Import",
    "Item",
    "ItemLabel",
    "Job",
    "Judgement",
    "Lease",
    "PolicyVersion",
    "Prediction",
    "Project",
    "Run",
    "TeacherAnswer",
    "TeacherRun",
    "WordList",
    "WorkerBeat",
]
