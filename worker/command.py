"""The entry point of the command `pumphouse`."""

import os
import sys
import traceback
from typing import NoReturn

from pumphouse.connectors.errors import MissingExtra


def main() -> NoReturn:
    """Run the command line, and leave with its exit status.

    The process leaves by `os._exit`: the Temporal SDK crashes now and then when the interpreter is torn down
    (sdk-python issue 300), and the exit status would lie.
    """
    status = _run()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run() -> int:
    try:
        from pumphouse.worker.cli import app  # noqa: PLC0415 - of an extra
    except ModuleNotFoundError as error:
        if error.name not in {"typer", "rich"}:
            raise
        sys.stderr.write(f"pumphouse: {MissingExtra(error.name, 'cli')}\n")
        return 1
    try:
        app()
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    except Exception:  # noqa: BLE001 - the interpreter would print it too, and then be torn down
        traceback.print_exc()
        return 1
    return 0
