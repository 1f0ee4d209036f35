"""A Ray cluster of two nodes with one core each, all at the address 127.0.0.1."""

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("ray")

# Without the first variable Ray takes this machine's network address instead of 127.0.0.1.
os.environ |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
# Ray's workers give way to every other process, so that on a busy machine a sweep would take hours.
os.environ |= {"RAY_worker_niceness": "0"}
# Without this the server of Ray's client loses some of the processes it starts: https://github.com/grpc/grpc/issues/43055
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts tests in the background ignores SIGINT, and the sweeps that tests start would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)

NODE = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80_000_000}


def pytest_configure(config: pytest.Config) -> None:
    """Ignore that Ray leaves the logs of its client's server open."""
    config.addinivalue_line("filterwarnings", "ignore:unclosed file .*ray_client_server.*:ResourceWarning")


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A cluster for all tests that leave its nodes alone."""
    with start_cluster() as shared:
        yield shared


@pytest.fixture
def cluster_to_lose() -> Iterator[Any]:
    """A cluster for one test that kills a node."""
    with start_cluster() as own:
        yield own


@contextmanager
def start_cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    head = NODE | {"include_dashboard": False, "ray_client_server_port": port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.client = f"ray://127.0.0.1:{port}"
    try:
        cluster.add_node(**NODE)
        yield cluster
    finally:
        cluster.shutdown()
