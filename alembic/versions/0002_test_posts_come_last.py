"""test posts come last in each part of the queue

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # 0 was sent back and stays first. 1, 2 and 3 differed, were unverified, agreed.
    op.execute(
        "UPDATE items SET queue_rank = 2 * queue_rank - 1 + CASE WHEN split = 'test' THEN 1 ELSE 0 END "
        "WHERE queue IS NOT NULL AND queue_rank > 0"
    )


def downgrade() -> None:
    op.execute(
        "UPDATE items SET queue_rank = (queue_rank + 1) / 2 WHERE queue IS NOT NULL AND queue_rank > 0"
    )
