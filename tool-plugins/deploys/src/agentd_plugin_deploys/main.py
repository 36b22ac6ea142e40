"""The deploys plugin as a process."""

import logging
import shutil
import sys

from .settings import Settings
from .tools import make


def main() -> None:
    """Serves until it is told to stop; 2 on wrong settings."""
    if shutil.which("git") is None:
        sys.exit("plugin-deploys: the program git is not on PATH; install it")
    try:
        settings = Settings.from_environment()
    except ValueError as faults:
        logging.basicConfig(stream=sys.stderr)
        logging.getLogger("agentd_plugin").error("deploys: the settings are wrong: %s", faults)
        sys.exit(2)
    make(settings).run()


if __name__ == "__main__":
    main()
