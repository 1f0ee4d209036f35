import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# One process per core runs the suite, and networks differ in size: no deadlines. The same examples on every machine,
# so that what passes here passes there; HYPOTHESIS_PROFILE=search looks for others.
SUITE = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("suite", derandomize=True, **SUITE)
settings.register_profile("search", derandomize=False, **SUITE)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
