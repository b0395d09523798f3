"""Faults of what is beside a study: W&B's server, the clock."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from time import sleep
from typing import Any

from tests.faults.suite.faults import FAULTS, Fault, Given, Target
from tests.wandb_stand_in import Server

SLOW = 3.0  # seconds


@contextmanager
def online(url: str, target: Target) -> Iterator[Given]:
    before = len(target.victim.trained())
    variables = {"WANDB_MODE": "online", "WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": url}
    yield Given(variables=variables, struck=lambda: len(target.victim.trained()) > before)


@contextmanager
def unreachable(target: Target, random: Random) -> Iterator[Given]:
    with online("http://127.0.0.1:9", target) as given:
        yield given


@contextmanager
def silent(target: Target, random: Random) -> Iterator[Given]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        online(f"http://127.0.0.1:{server.getsockname()[1]}", target) as given,
    ):
        yield given


@contextmanager
def refuses(target: Target, random: Random) -> Iterator[Given]:
    class Refuses(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(random.choice([401, 403, 500]))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with online(f"http://127.0.0.1:{server.server_address[1]}", target) as given:
                yield given
        finally:
            server.shutdown()


class Slow(Server):
    """A server that takes its time for every connection."""

    def finish_request(self, request: Any, client_address: Any) -> None:
        sleep(SLOW)
        super().finish_request(request, client_address)


@contextmanager
def slow(target: Target, random: Random) -> Iterator[Given]:
    server = Slow()
    try:
        with online(f"http://127.0.0.1:{server.server_address[1]}", target) as given:
            yield given
    finally:
        server.shutdown()
        server.socket.close()


@contextmanager
def set_back(target: Target, random: Random) -> Iterator[Given]:
    before = len(target.victim.trained())
    variables = {"FAULTS_CLOCK": str(random.uniform(0, 12))}
    yield Given(variables=variables, struck=lambda: len(target.victim.trained()) > before)


FAULTS["W&B cannot be reached"] = Fault(kind="W&B", around=unreachable)
FAULTS["W&B says nothing"] = Fault(kind="W&B", around=silent)
FAULTS["W&B refuses"] = Fault(kind="W&B", around=refuses)
FAULTS["W&B is slow"] = Fault(kind="W&B", around=slow)
FAULTS["the clock is set back by an hour"] = Fault(kind="clock", around=set_back)
