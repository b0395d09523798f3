"""What several unit tests share."""

from collections.abc import Iterator

import pytest

from tests.wandb_stand_in import KEY, Server


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that W&B's client takes for W&B's, with a key that it accepts."""
    server = Server()
    monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    yield server
    server.stop()
