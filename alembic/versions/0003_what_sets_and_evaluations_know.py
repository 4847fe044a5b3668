"""sets made from sets, their groups, language and mapping; how a student was asked

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

from backend.db import types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OF_SETS = {
    "made_from_id": types.Id,
    "group_by": sa.String(length=200),
    "language": sa.String(length=20),
    "label_map": types.Json,
}


def upgrade() -> None:
    for name, kind in _OF_SETS.items():
        op.add_column("evaluation_sets", sa.Column(name, kind, nullable=True))
    op.add_column("evaluations", sa.Column("inference", sa.String(length=20), nullable=True))


def downgrade() -> None:
    op.drop_column("evaluations", "inference")
    for name in reversed(_OF_SETS):
        op.drop_column("evaluation_sets", name)
