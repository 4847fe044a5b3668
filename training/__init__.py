"""The trainer: a job folder in, a job folder out.

It stands alone: it imports neither `backend` nor `ui`. Its modules `policy`, `prompt`, `job`
and `thresholds` import without torch, so the application can render prompts and write jobs.
"""
