"""Where events come from. Nothing in here knows of Temporal."""

from pumphouse.connectors.contract import Ack, ConnectorConstructor, ConnectorConsumer, Reshardable
from pumphouse.connectors.errors import InvalidEvent, MissingExtra, PumphouseError
from pumphouse.connectors.event import ConnectorEvent

__all__ = [
    "Ack",
    "ConnectorConstructor",
    "ConnectorConsumer",
    "ConnectorEvent",
    "InvalidEvent",
    "MissingExtra",
    "PumphouseError",
    "Reshardable",
]
