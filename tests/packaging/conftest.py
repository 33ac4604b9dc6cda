import pytest

import support


@pytest.fixture
def primary():
    with support.primary() as started:
        yield started
