"""The command ``sfic-bench``, and ``python -m sfic_bench``."""

import gc
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    # Imports create many objects and no garbage, but Python would look for it for a tenth of a short command's time.
    gc.set_threshold(100_000)
    try:
        from sfic_bench.cli.main import main as run

        run()
    except KeyboardInterrupt:  # while the package is still being imported
        sys.exit(130)
    finally:
        gc.freeze()  # otherwise Python examines all objects once more when it exits


if __name__ == "__main__":
    main()
