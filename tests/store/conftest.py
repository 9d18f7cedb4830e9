from __future__ import annotations

import pytest
from store.making import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
