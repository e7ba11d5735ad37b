"""Small files, which are quick to write."""

import pytest
from vars_eval.figures import output, pictures


@pytest.fixture(autouse=True)
def _coarse(monkeypatch):
    monkeypatch.setattr(output, "DPI", 50)
    monkeypatch.setattr(pictures, "DRAWN", 32)
