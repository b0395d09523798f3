"""Chains side by side: each process has every so many-th, and all add to one file."""

import argparse
import multiprocessing
import signal
from contextlib import suppress
from pathlib import Path

from tests.faults.suite import inside_a_run, places, results, services
from tests.faults.suite.chains import chains
from tests.faults.suite.faults import FAULTS
from tests.faults.suite.happening import Suite

assert inside_a_run, (places, services)  # imported for the faults that they declare


def side_by_side(options: argparse.Namespace, into: Path, folder: Path) -> None:
    """Ends when there are enough faults. Raises KeyboardInterrupt, when all streams have ended."""
    spawn = multiprocessing.get_context("spawn")
    streams = [spawn.Process(target=stream, args=(number, options, into, folder)) for number in range(options.at_once)]
    for one in streams:
        one.start()
    try:
        for one in streams:
            one.join()
        assert all(one.exitcode == 0 for one in streams), "a stream has failed"
    except KeyboardInterrupt:
        for one in streams:
            one.terminate()
        for one in streams:
            one.join()
        raise


def stream(number: int, options: argparse.Namespace, into: Path, folder: Path) -> None:
    """Every so many-th chain, one after the other."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    faults = {name: FAULTS[name] for name in options.only or FAULTS if FAULTS[name].needs()}
    suite = Suite(folder, options.keep)
    with suppress(KeyboardInterrupt):
        for chain in chains(options.seed, faults, options.worlds):
            if chain.number % options.at_once != number:
                continue
            happened = results.read(into)
            if sum(one.verdict.struck for one in happened) >= options.faults:
                break
            if any((one.seed, one.chain) == (options.seed, chain.number) for one in happened):
                continue
            ended = suite.chain(chain, options.seed)
            results.add(into, ended)
            for one in ended:
                print(one, flush=True)
