"""Options and fixtures shared by all tests."""

import pathlib

import device_runs
import pytest

GOLDEN = pathlib.Path(__file__).parent / "golden"


def pytest_addoption(parser):
    parser.addoption(
        "--golden-dir",
        type=pathlib.Path,
        default=GOLDEN,
        help="folder with golden cases (default: tests/golden)",
    )
    parser.addoption(
        "--screenshots",
        type=pathlib.Path,
        help="with -m browser: folder for a picture of the page at the end of each test",
    )


@pytest.fixture(scope="session")
def golden_dir(request) -> pathlib.Path:
    """The folder that holds the golden cases."""
    return request.config.getoption("--golden-dir")


@pytest.fixture(scope="session")
def runs_of_one_process(tmp_path_factory) -> dict:
    """What `device_runs` finds in one process of eight devices: name -> (final state, losses)."""
    folder = tmp_path_factory.mktemp("one_process")
    return device_runs.results(folder, device_runs.start(folder))
