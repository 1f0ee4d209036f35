"""The command ``sfic-bench``, and ``python -m sfic_bench``."""

import gc
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    # Imports make many objects and no garbage; looking for it as often as Python does by itself takes a
    # tenth of a short command's time.
    gc.set_threshold(100_000)
    from sfic_bench.cli.main import main as run

    try:
        run()
    finally:
        gc.freeze()  # Python would go through everything once more on its way out


if __name__ == "__main__":
    main()
