"""Options and fixtures shared by all tests."""

import pathlib

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
