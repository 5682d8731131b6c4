import pytest


@pytest.fixture(autouse=True)
def smaller_sketches(monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has 240 items: for these a fraction of 32 MB does, which is written each time."""
    monkeypatch.setattr("models.streamed.together._BITS", 16)
