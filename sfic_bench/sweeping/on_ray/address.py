"""The check whether a Ray cluster answers at an address."""

import os
import socket
import subprocess
import sys

from sfic_bench.errors import MissingDependency
from sfic_bench.extras import install_command
from sfic_bench.sweeping.engines import EngineFailed

REACHED_WITHIN_S = 8.0
ANSWERS_WITHIN_S = 12.0
JOINED_WITHIN_S = 90.0
CLIENT = "ray://"


def check_reachable(address: str) -> None:
    """Check that a cluster answers, because Ray itself would wait for a minute or end the process.

    That no cluster answers is known within half a minute. A cluster that answers has ``JOINED_WITHIN_S`` to let this
    process join, since its nodes may be busy.

    Raises:
        EngineFailed: if no cluster answers, or it does not let this process join.
        MissingDependency: without Ray's client.
    """
    if address != "auto":
        _check_answers(address)
    if not address.startswith(CLIENT):  # Ray's client itself reports a failure soon
        _check_joined(address)


def _check_answers(address: str) -> None:
    host, colon, port = address.removeprefix(CLIENT).rstrip("/").rpartition(":")
    if not colon or not port.isdigit() or not host:
        raise EngineFailed(f"cannot read the address {address!r}: expected auto, HOST:PORT or ray://HOST:PORT")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=REACHED_WITHIN_S).close()
    except OSError as error:
        raise EngineFailed(
            f"cannot reach a Ray cluster at {address}: {error.strerror or error}; start one with `ray start --head`"
        ) from None
    if os.environ.get("RAY_USE_TLS", "0").lower() in ("1", "true"):
        return  # the cluster answers only with certificates, which Ray reads
    try:
        import grpc
    except ModuleNotFoundError:
        raise MissingDependency(
            f"this address needs Ray's client: {install_command('ray')}, or --engine local"
        ) from None
    with grpc.insecure_channel(f"{host}:{port}", options=[("grpc.enable_http_proxy", 0)]) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=ANSWERS_WITHIN_S)
        except grpc.FutureTimeoutError:
            raise EngineFailed(
                f"no Ray cluster answers at {address} within {ANSWERS_WITHIN_S:g} s: is it Ray that listens there?"
            ) from None


def _check_joined(address: str) -> None:
    call = [sys.executable, "-c", "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)", address]
    try:
        done = subprocess.run(call, capture_output=True, text=True, check=False, timeout=JOINED_WITHIN_S)
    except subprocess.TimeoutExpired:
        raise EngineFailed(
            f"the Ray cluster at {address} did not let this process join within {JOINED_WITHIN_S:g} s: can its nodes "
            "reach each other at the address that `ray start` printed?"
        ) from None
    if done.returncode:
        raise EngineFailed(
            f"cannot join the Ray cluster at {address}: {last_line(done.stderr) or f'exit status {done.returncode}'}"
        )


def last_line(text: str) -> str:
    """The last line with text, in which tracebacks and Ray's own messages say what happened."""
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
