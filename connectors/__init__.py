"""Where events come from. Nothing in here knows of Temporal."""

from pumphouse.connectors.contract import (
    Ack,
    ConnectorConstructor,
    ConnectorConsumer,
    Findable,
    Positioned,
    Reshardable,
    Seekable,
)
from pumphouse.connectors.errors import (
    InvalidCursor,
    InvalidEvent,
    InvalidPosition,
    MissingExtra,
    PumphouseError,
)
from pumphouse.connectors.event import ConnectorEvent

__all__ = [
    "Ack",
    "ConnectorConstructor",
    "ConnectorConsumer",
    "ConnectorEvent",
    "Findable",
    "InvalidCursor",
    "InvalidEvent",
    "InvalidPosition",
    "MissingExtra",
    "Positioned",
    "PumphouseError",
    "Reshardable",
    "Seekable",
]
