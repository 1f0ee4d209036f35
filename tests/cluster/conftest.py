"""A Ray cluster of two nodes of one core each, every address 127.0.0.1."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("ray")

# Ray takes this machine's own address instead of 127.0.0.1 unless it is told, in these words, to stay on the machine.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# Else the server of Ray's client loses one in so many of the processes it starts: https://github.com/grpc/grpc/issues/43055
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # What starts tests in the background has it ignored, and so would the sweeps that are sent it.
    signal.signal(signal.SIGINT, signal.default_int_handler)

NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000}


def pytest_configure(config: pytest.Config) -> None:
    """Ray leaves the logs of its client's server open."""
    config.addinivalue_line("filterwarnings", "ignore:unclosed file .*ray_client_server.*:ResourceWarning")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """One for all tests that leave its nodes alone."""
    with started() as found:
        yield found


@pytest.fixture
def cluster_to_lose() -> Iterator[Any]:
    """One for a test that does not."""
    with started() as found:
        yield found


@contextmanager
def started() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    head = NODE | {"include_dashboard": False, "ray_client_server_port": port}
    found = Cluster(initialize_head=True, head_node_args=head)
    found.client = f"ray://127.0.0.1:{port}"
    try:
        found.add_node(**NODE)
        yield found
    finally:
        found.shutdown()
