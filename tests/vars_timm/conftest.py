"""Every test starts from the same random state, on one thread: the layers are small, and tests run side by side."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _reproducible():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
