"""Whether a Ray cluster answers at an address."""

import socket
import subprocess
import sys

from sfic_bench.sweep.engines import EngineFailed

REACHED_WITHIN_S = 8.0
JOINED_WITHIN_S = 20.0


def check_reachable(address: str) -> None:
    """Ray itself waits for a minute or ends the process where nobody answers, so ask first, and in another process.

    Raises:
        EngineFailed: if none does within half a minute.
    """
    if address != "auto":
        host, colon, port = address.removeprefix("ray://").rstrip("/").rpartition(":")
        if not colon or not port.isdigit() or not host:
            raise EngineFailed(
                f"cannot read the address {address!r}: expected auto, HOST:PORT or ray://HOST:PORT"
            )
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN_S).close()
        except OSError as error:
            raise EngineFailed(
                f"cannot reach a Ray cluster at {address}: {error.strerror or error}; start one with `ray start --head`"
            ) from None
    call = [sys.executable, "-c", "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)", address]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=JOINED_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise EngineFailed(
            f"no Ray cluster answers at {address} within {JOINED_WITHIN_S:g} s: is it Ray, and do its nodes reach each other "
            "under the address that `ray start` printed?"
        ) from None
    if done.returncode:
        said = next(iter(reversed(done.stderr.strip().splitlines())), f"exit status {done.returncode}")
        raise EngineFailed(f"cannot join the Ray cluster at {address}: {said}")
