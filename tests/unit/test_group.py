"""What a worker group asks of Ray and of the network, and how a worker reports row by row."""

import socket
from typing import Any

import psutil
import pytest

from trainables.group import Ended, Member, bundles, interface_of, strategy
from trainables.metrics import Metric
from trainables.resources import Resources
from trainables.run import Outcome


def test_an_address_is_known_by_the_interface_that_has_it() -> None:
    loopback = interface_of("127.0.0.1")
    assert loopback is not None
    assert "127.0.0.1" in [one.address for one in psutil.net_if_addrs()[loopback]]
    for name, addresses in psutil.net_if_addrs().items():
        for one in addresses:
            if one.family == socket.AF_INET:
                assert interface_of(one.address) == name


@pytest.mark.parametrize("address", ["203.0.113.7", "127.0.1.1", ""])
def test_no_interface_is_named_for_an_address_that_none_has(address: str) -> None:
    assert interface_of(address) is None


def test_owner_and_workers_are_asked_for_all_at_once() -> None:
    assert bundles(Resources(workers=2, cpus=0.5)) == [{"CPU": 0.001}, {"CPU": 0.5}, {"CPU": 0.5}]
    assert bundles(Resources(workers=1, cpus=0, gpus=1)) == [{"CPU": 0.001}, {"GPU": 1}]  # Ray takes no zero
    assert bundles(Resources(workers=1, cpus=2, gpus=1)) == [{"CPU": 0.001}, {"CPU": 2, "GPU": 1}]


def test_workers_lie_on_one_node_where_one_can_hold_them() -> None:
    assert strategy(Resources(workers=2, pack=True)) == "STRICT_PACK"
    assert strategy(Resources(workers=2)) == "PACK"


def two_rows(seen: list[str], report: Any) -> Outcome:
    try:
        for epoch in (1, 2):
            seen.append(f"epoch {epoch}")
            report({"epoch": epoch})
        return Outcome("run", Metric.LOSS)
    finally:
        seen.append("let go")


def test_a_worker_waits_at_every_row_until_it_is_told_to_go_on() -> None:
    seen: list[str] = []
    member = Member()
    assert member.begin(two_rows, (seen,)) == {"epoch": 1}
    assert seen == ["epoch 1"]
    assert member.advance() == {"epoch": 2}
    assert member.advance() == Ended(Outcome("run", Metric.LOSS))
    assert seen[-1] == "let go"


def test_a_worker_that_is_stopped_lets_go_and_begins_the_next_run_afresh() -> None:
    seen: list[str] = []
    member = Member()
    member.begin(two_rows, (seen,))
    member.stop()
    assert seen == ["epoch 1", "let go"]
    assert member.begin(two_rows, (seen,)) == {"epoch": 1}
    member.stop()


def test_what_a_run_raises_is_raised_to_the_owner_and_the_worker_stays() -> None:
    def fails(report: Any) -> Outcome:
        report({"epoch": 1})
        raise RuntimeError("device-side assert")

    member = Member()
    member.begin(fails, ())
    with pytest.raises(RuntimeError, match="device-side assert"):
        member.advance()
    assert member.begin(two_rows, ([],)) == {"epoch": 1}
    member.stop()
