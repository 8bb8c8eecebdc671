"""The table that the flights' events go through."""

import sqlalchemy as sa

_METADATA = sa.MetaData()

EVENTS = sa.Table(
    "flight_events",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("foreign_id", sa.Text, nullable=False, index=True),
    sa.Column("type", sa.Text, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
)
