"""``python -m evkit`` is the command ``evkit``."""

import sys

from evkit.cli import main

if __name__ == "__main__":
    sys.exit(main())
