"""`python -m pumphouse.worker` is the command `pumphouse`."""

from pumphouse.worker.command import main

main()
