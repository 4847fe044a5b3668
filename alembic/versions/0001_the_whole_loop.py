"""the whole loop

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

from backend.db import types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "projects",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("none_label", sa.String(length=200), nullable=True),
        sa.Column("blur", sa.Boolean(), nullable=False),
        sa.Column("champion_run_id", types.Id, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["champion_run_id"], ["runs.id"], name="fk_projects_champion_run_id", use_alter=True
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("name", name=op.f("uq_projects_name")),
    )
    op.create_table(
        "worker_beats",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("host", sa.String(length=200), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=False),
        sa.Column("beat_at", types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker_beats")),
    )
    op.create_table(
        "events",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_events_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
    )
    op.create_index("ix_events_project", "events", ["project_id", "id"], unique=False)

    op.create_table(
        "imports",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("file_name", sa.String(length=200), nullable=False),
        sa.Column("file_hash", sa.String(length=64), nullable=False),
        sa.Column("mapping", types.Json, nullable=False),
        sa.Column("counts", types.Json, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_imports_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_imports")),
    )
    op.create_index(op.f("ix_imports_project_id"), "imports", ["project_id"], unique=False)

    op.create_table(
        "jobs",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column(
            "kind",
            sa.Enum("train", "score", "teach", "export", name="jobkind", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column(
            "state",
            sa.Enum(
                "queued",
                "starting",
                "running",
                "stopping",
                "succeeded",
                "stopped",
                "failed",
                "interrupted",
                name="jobstate",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("payload", types.Json, nullable=False),
        sa.Column("result", types.Json, nullable=True),
        sa.Column("phase", sa.String(length=40), nullable=False),
        sa.Column("progress", sa.Double(), nullable=True),
        sa.Column("seconds_left", sa.Double(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("hint", sa.Text(), nullable=True),
        sa.Column("folder", sa.String(length=1000), nullable=True),
        sa.Column("pid", sa.Integer(), nullable=True),
        sa.Column("pid_started", sa.Double(), nullable=True),
        sa.Column("heartbeat_at", types.UtcDateTime(), nullable=True),
        sa.Column("interruptions", sa.Integer(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("started_at", types.UtcDateTime(), nullable=True),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_jobs_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
    )
    op.create_index("ix_jobs_project", "jobs", ["project_id", "id"], unique=False)
    op.create_index("ix_jobs_state", "jobs", ["state", "id"], unique=False)

    op.create_table(
        "policy_versions",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_policy_versions_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_policy_versions")),
        sa.UniqueConstraint("project_id", "number", name=op.f("uq_policy_versions_project_id_number")),
    )
    op.create_table(
        "categories",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("definition", sa.Text(), nullable=False),
        sa.Column("examples", types.StringTuple(), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_version_id"],
            ["policy_versions.id"],
            name=op.f("fk_categories_policy_version_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
        sa.UniqueConstraint("policy_version_id", "code", name=op.f("uq_categories_policy_version_id_code")),
    )
    op.create_table(
        "dataset_versions",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column(
            "handling",
            sa.Enum(
                "keep",
                "drop",
                "recheck-keep",
                "recheck-drop",
                "review",
                name="handling",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("include_unverified", sa.Boolean(), nullable=False),
        sa.Column("include_unanswered", sa.Boolean(), nullable=False),
        sa.Column("counts", types.Json, nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("last_judgement_id", types.Id, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_dataset_versions_policy_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_dataset_versions_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dataset_versions")),
        sa.UniqueConstraint("project_id", "number", name=op.f("uq_dataset_versions_project_id_number")),
    )
    op.create_table(
        "evaluation_sets",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column(
            "origin",
            sa.Enum("test-split", "imported", name="setorigin", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column("positive_labels", types.StringTuple(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("import_id", types.Id, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_evaluation_sets_import_id")),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_evaluation_sets_policy_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_evaluation_sets_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_sets")),
        sa.UniqueConstraint(
            "project_id", "name", "number", name=op.f("uq_evaluation_sets_project_id_name_number")
        ),
    )
    op.create_table(
        "items",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column(
            "split",
            sa.Enum("train", "validation", "test", name="split", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("source", sa.String(length=200), nullable=False),
        sa.Column("meta", types.Json, nullable=False),
        sa.Column("import_id", types.Id, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("held_out", sa.Boolean(), nullable=False),
        sa.Column(
            "agreement",
            sa.Enum(
                "unanswered",
                "invalid",
                "unverified",
                "agrees",
                "false-alarm",
                "missed",
                "other-labels",
                "dropped",
                name="agreement",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.Column("answer_id", types.Id, nullable=True),
        sa.Column("decision_id", types.Id, nullable=True),
        sa.Column("decision_source", sa.String(length=20), nullable=True),
        sa.Column("verdict", sa.String(length=20), nullable=True),
        sa.Column(
            "queue", sa.Enum("teacher", "scratch", name="queue", native_enum=False, length=20), nullable=True
        ),
        sa.Column("queue_rank", sa.Integer(), nullable=False),
        sa.Column("sent_back", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["answer_id"], ["teacher_answers.id"], name="fk_items_answer_id", use_alter=True
        ),
        sa.ForeignKeyConstraint(
            ["decision_id"], ["judgements.id"], name="fk_items_decision_id", use_alter=True
        ),
        sa.ForeignKeyConstraint(["import_id"], ["imports.id"], name=op.f("fk_items_import_id")),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_items_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_items")),
        sa.UniqueConstraint("project_id", "external_id", name=op.f("uq_items_project_id_external_id")),
        sa.UniqueConstraint("project_id", "text_hash", name=op.f("uq_items_project_id_text_hash")),
    )
    op.create_index("ix_items_project_agreement", "items", ["project_id", "agreement", "id"], unique=False)
    op.create_index("ix_items_project", "items", ["project_id", "id"], unique=False)
    op.create_index("ix_items_project_source", "items", ["project_id", "source", "id"], unique=False)
    op.create_index("ix_items_project_split", "items", ["project_id", "split", "id"], unique=False)
    op.create_index("ix_items_project_verdict", "items", ["project_id", "verdict", "id"], unique=False)
    op.create_index("ix_items_queue", "items", ["project_id", "queue", "queue_rank", "id"], unique=False)

    op.create_table(
        "teacher_runs",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column(
            "origin",
            sa.Enum("asked", "imported", name="teacherorigin", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("endpoint", sa.String(length=500), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("prompt_hash", sa.String(length=64), nullable=True),
        sa.Column("recheck", sa.Boolean(), nullable=False),
        sa.Column("wanted", sa.Integer(), nullable=False),
        sa.Column("job_id", types.Id, nullable=True),
        sa.Column("failed", types.Json, nullable=False),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.Column("finished_at", types.UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_teacher_runs_job_id")),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_teacher_runs_policy_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_teacher_runs_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teacher_runs")),
    )
    op.create_index(op.f("ix_teacher_runs_project_id"), "teacher_runs", ["project_id"], unique=False)

    op.create_table(
        "dataset_rows",
        sa.Column("version_id", types.Id, nullable=False),
        sa.Column("item_id", types.Id, nullable=False),
        sa.Column(
            "split",
            sa.Enum("train", "validation", "test", name="split", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("labels", types.StringTuple(), nullable=False),
        sa.Column("analysis", sa.Text(), nullable=True),
        sa.Column("harmful", types.StringTuple(), nullable=False),
        sa.Column("origin", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_dataset_rows_item_id")),
        sa.ForeignKeyConstraint(
            ["version_id"],
            ["dataset_versions.id"],
            name=op.f("fk_dataset_rows_version_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("version_id", "item_id", name=op.f("pk_dataset_rows")),
    )
    op.create_index(
        "ix_dataset_rows_version_split", "dataset_rows", ["version_id", "split", "item_id"], unique=False
    )

    op.create_table(
        "evaluation_rows",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("set_id", types.Id, nullable=False),
        sa.Column("item_id", types.Id, nullable=True),
        sa.Column("external_id", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("text_hash", sa.String(length=64), nullable=False),
        sa.Column("labels", types.StringTuple(), nullable=False),
        sa.Column("positive", sa.Boolean(), nullable=False),
        sa.Column("meta", types.Json, nullable=False),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name=op.f("fk_evaluation_rows_item_id")),
        sa.ForeignKeyConstraint(
            ["set_id"], ["evaluation_sets.id"], name=op.f("fk_evaluation_rows_set_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluation_rows")),
        sa.UniqueConstraint("set_id", "external_id", name=op.f("uq_evaluation_rows_set_id_external_id")),
    )
    op.create_index("ix_evaluation_rows_hash", "evaluation_rows", ["set_id", "text_hash"], unique=False)

    op.create_table(
        "item_labels",
        sa.Column("item_id", types.Id, nullable=False),
        sa.Column("code", sa.String(length=63), nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_item_labels_item_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_item_labels_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", "code", name=op.f("pk_item_labels")),
    )
    op.create_index("ix_item_labels_code", "item_labels", ["project_id", "code", "item_id"], unique=False)

    op.create_table(
        "leases",
        sa.Column("item_id", types.Id, nullable=False),
        sa.Column("session", sa.String(length=64), nullable=False),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("expires_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_leases_item_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("item_id", name=op.f("pk_leases")),
    )
    op.create_index("ix_leases_session", "leases", ["session"], unique=False)

    op.create_table(
        "runs",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("dataset_version_id", types.Id, nullable=False),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column("job_id", types.Id, nullable=False),
        sa.Column("base_model", sa.String(length=500), nullable=False),
        sa.Column("preset", sa.String(length=40), nullable=False),
        sa.Column("config", types.Json, nullable=False),
        sa.Column("seed", sa.Integer(), nullable=False),
        sa.Column("prompt_hash", sa.String(length=64), nullable=True),
        sa.Column("result", types.Json, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(
            ["dataset_version_id"], ["dataset_versions.id"], name=op.f("fk_runs_dataset_version_id")
        ),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_runs_job_id")),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_runs_policy_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_runs_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("project_id", "number", name=op.f("uq_runs_project_id_number")),
    )
    op.create_table(
        "teacher_answers",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("run_id", types.Id, nullable=False),
        sa.Column("item_id", types.Id, nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("labels", types.StringTuple(), nullable=True),
        sa.Column("analysis", sa.Text(), nullable=False),
        sa.Column("harmful", types.StringTuple(), nullable=False),
        sa.Column("raw", sa.Text(), nullable=False),
        sa.Column("error", sa.String(length=500), nullable=True),
        sa.Column("prompt_tokens", sa.Integer(), nullable=True),
        sa.Column("answer_tokens", sa.Integer(), nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_teacher_answers_item_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["run_id"], ["teacher_runs.id"], name=op.f("fk_teacher_answers_run_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_teacher_answers")),
        sa.UniqueConstraint(
            "run_id", "item_id", "round", name=op.f("uq_teacher_answers_run_id_item_id_round")
        ),
    )
    op.create_index("ix_teacher_answers_item", "teacher_answers", ["item_id", "round", "id"], unique=False)

    op.create_table(
        "evaluations",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("project_id", types.Id, nullable=False),
        sa.Column("set_id", types.Id, nullable=False),
        sa.Column(
            "model_kind",
            sa.Enum("base", "teacher", "run", name="modelkind", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("model", sa.String(length=500), nullable=False),
        sa.Column("run_id", types.Id, nullable=True),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column("prompt_hash", sa.String(length=64), nullable=True),
        sa.Column("thresholds", types.Json, nullable=False),
        sa.Column("metrics", types.Json, nullable=False),
        sa.Column("job_id", types.Id, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.Column("created_by", sa.String(length=200), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_evaluations_job_id")),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_evaluations_policy_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_evaluations_project_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name=op.f("fk_evaluations_run_id")),
        sa.ForeignKeyConstraint(
            ["set_id"], ["evaluation_sets.id"], name=op.f("fk_evaluations_set_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    op.create_index("ix_evaluations_set", "evaluations", ["set_id", "model_kind", "id"], unique=False)

    op.create_table(
        "judgements",
        sa.Column("id", types.Id, nullable=False),
        sa.Column("item_id", types.Id, nullable=False),
        sa.Column("policy_version_id", types.Id, nullable=False),
        sa.Column(
            "source",
            sa.Enum("gold", "review", "adjudication", name="source", native_enum=False, length=20),
            nullable=False,
        ),
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column(
            "verdict",
            sa.Enum(
                "right",
                "wrong-labels",
                "bad-reason",
                "cannot-tell",
                "discard",
                "from-scratch",
                "withdrawn",
                name="verdict",
                native_enum=False,
                length=20,
            ),
            nullable=True,
        ),
        sa.Column("labels", types.StringTuple(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("harmful", types.StringTuple(), nullable=False),
        sa.Column("answer_id", types.Id, nullable=True),
        sa.Column("supersedes_id", types.Id, nullable=True),
        sa.Column("created_at", types.UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["answer_id"], ["teacher_answers.id"], name=op.f("fk_judgements_answer_id")),
        sa.ForeignKeyConstraint(
            ["item_id"], ["items.id"], name=op.f("fk_judgements_item_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["policy_version_id"], ["policy_versions.id"], name=op.f("fk_judgements_policy_version_id")
        ),
        sa.ForeignKeyConstraint(
            ["supersedes_id"], ["judgements.id"], name=op.f("fk_judgements_supersedes_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_judgements")),
    )
    op.create_index("ix_judgements_item", "judgements", ["item_id", "id"], unique=False)
    op.create_index(
        "ix_judgements_person",
        "judgements",
        ["person", "id"],
        unique=False,
        sqlite_where=sa.text("verdict IS NOT NULL"),
        postgresql_where=sa.text("verdict IS NOT NULL"),
    )

    op.create_table(
        "predictions",
        sa.Column("evaluation_id", types.Id, nullable=False),
        sa.Column("row_id", types.Id, nullable=False),
        sa.Column("labels", types.StringTuple(), nullable=False),
        sa.Column("scores", types.Json, nullable=True),
        sa.Column("any_score", sa.Double(), nullable=True),
        sa.Column("flagged", sa.Boolean(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum(
                "right",
                "false-alarm",
                "missed",
                "other-labels",
                name="outcome",
                native_enum=False,
                length=20,
            ),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["evaluation_id"],
            ["evaluations.id"],
            name=op.f("fk_predictions_evaluation_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["row_id"], ["evaluation_rows.id"], name=op.f("fk_predictions_row_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("evaluation_id", "row_id", name=op.f("pk_predictions")),
    )
    op.create_index(
        "ix_predictions_outcome", "predictions", ["evaluation_id", "outcome", "row_id"], unique=False
    )
    # SQLite takes these circles inside the tables; elsewhere they come once both tables stand.
    if op.get_bind().dialect.name != "sqlite":
        op.create_foreign_key("fk_projects_champion_run_id", "projects", "runs", ["champion_run_id"], ["id"])
        op.create_foreign_key("fk_items_answer_id", "items", "teacher_answers", ["answer_id"], ["id"])
        op.create_foreign_key("fk_items_decision_id", "items", "judgements", ["decision_id"], ["id"])


def downgrade() -> None:
    raise NotImplementedError("The first migration is not taken back: remove the database instead.")
