"""The command ``sfic-bench``, and ``python -m sfic_bench``."""

import atexit
import gc
import os
import sys
import threading
from contextlib import suppress
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line."""
    # Imports create many objects and no garbage, but Python would look for it for a tenth of a short command's time.
    gc.set_threshold(100_000)
    try:
        from sfic_bench.cli.main import main as run

        run()
    except KeyboardInterrupt:  # while the package is still being imported
        _leave(130)
    except SystemExit as stopped:
        if not isinstance(stopped.code, int):
            raise
        _leave(stopped.code)


def _leave(status: int) -> NoReturn:
    """End the process as Python does, but leave it to the system to free its memory.

    Python takes a fifth of a second to take torch apart. It still does so while another thread runs, and under a
    profiler or a debugger.
    """
    others = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    is_watched = sys.getprofile() is not None or sys.gettrace() is not None
    if not others and not is_watched:
        atexit._run_exitfuncs()
        with suppress(OSError, ValueError):  # Python says what is wrong with a stream that takes no more
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    gc.freeze()  # otherwise Python examines all objects once more
    sys.exit(status)


if __name__ == "__main__":
    main()
