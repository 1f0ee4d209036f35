import os

# Set before torch is imported, and passed on to the processes that tests start. With as many threads as cores in each
# of several processes, threads spin while they wait for others that are kept off the cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

# "suite" draws the same examples on every machine, so that what passes on one passes on all; "search" draws new ones at
# each run (`nox -s explore`). Neither has deadlines, since networks differ in size and other processes use the cores.
settings.register_profile(
    "suite", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("search", settings.get_profile("suite"), derandomize=False)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
