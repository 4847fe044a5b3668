"""What every table shares."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, ClassVar

from sqlalchemy import Enum, ForeignKey, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, mapped_column

from backend.db.types import Id, UtcDateTime


class Base(DeclarativeBase):
    """Named constraints, so that a migration can name what it changes."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {datetime: UtcDateTime()}


def now() -> datetime:
    """The present time in UTC."""
    return datetime.now(UTC)


PrimaryKey = Annotated[int, mapped_column(Id, primary_key=True)]
Name = Annotated[str, mapped_column(String(200))]
Person = Annotated[str, mapped_column(String(200))]
Hash = Annotated[str, mapped_column(String(64))]
LongText = Annotated[str, mapped_column(Text)]
CreatedAt = Annotated[datetime, mapped_column(UtcDateTime(), default=now)]


def choice(enum: type[StrEnum], *, length: int = 20) -> Enum:
    """A column of an enum's values, kept as text so that a new value needs no new type."""
    return Enum(
        enum,
        native_enum=False,
        create_constraint=False,
        length=length,
        values_callable=lambda members: [member.value for member in members],
    )


def reference(column: str, *, cascade: bool = False) -> ForeignKey:
    """A foreign key; with `cascade` the row goes when what it belongs to goes."""
    return ForeignKey(column, ondelete="CASCADE" if cascade else None)
