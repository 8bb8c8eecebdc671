"""The process that executes runs and pumps connectors."""

from pumphouse.worker.plugin import PumphousePlugin

__all__ = ["PumphousePlugin"]
