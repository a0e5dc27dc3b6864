"""Stderr and the environment of a process, while libraries' chatter is kept off the screen."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.quiet import quiet_stderr

THREADS, TIMES = 8, 200


@pytest.fixture
def hurried() -> Iterator[None]:
    """Lets Python change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def quiet_blocks() -> None:
    with quiet_stderr(), quiet_stderr():
        pass


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("work", [quiet_blocks, import_tensorflow])
def test_threads_leave_the_process_as_it_was(
    monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]
) -> None:
    # Once: stderr stayed a temporary file, which a thread had taken for the screen; KeyError.
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    stderr, environment = os.fstat(2), dict(os.environ)
    kept = os.dup(2)
    try:
        with ThreadPoolExecutor(THREADS) as threads:
            for done in [threads.submit(work) for _ in range(TIMES)]:
                done.result()
        assert os.path.samestat(os.fstat(2), stderr)
        assert dict(os.environ) == environment
    finally:
        os.dup2(kept, 2)
        os.close(kept)
