import pytest
import torch
from hypothesis import HealthCheck, settings

# One process per core runs the suite, and networks differ in size: no deadlines.
settings.register_profile(
    "suite", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("suite")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
