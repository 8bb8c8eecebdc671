"""All that every supported SQL database has to pass."""

from tests.unit.connectors.sql_ack_cases import SqlAckCases
from tests.unit.connectors.sql_cursor_cases import SqlCursorCases
from tests.unit.connectors.sql_position_cases import SqlPositionCases
from tests.unit.connectors.sql_reading_cases import SqlReadingCases
from tests.unit.connectors.sql_unreadable_cases import SqlUnreadableCases


class SqlCases(SqlReadingCases, SqlUnreadableCases, SqlAckCases, SqlPositionCases, SqlCursorCases):
    """A subclass gives the fixture `database`: an empty database for each test."""
