"""Some faults of the suite (`make faults`): what happens to a study costs nothing that was finished."""

import pytest

from tests.faults.suite.__main__ import Suite


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    return Suite(tmp_path_factory.mktemp("f"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "faults",
    [
        ["SIGKILL of the study's process", "Ctrl-C", "in a trial: the process ends itself"],
        ["SIGKILL of the process of a trial", "SIGTERM", "a file of the record is damaged"],
    ],
    ids=lambda faults: ", ".join(faults),
)
def test_a_study_that_faults_happen_to_ends_as_if_nothing_had(suite: Suite, faults: list[str]) -> None:
    for fault, verdict in zip(faults, suite.chain(faults, "quick"), strict=True):
        assert verdict.good, (fault, verdict)
