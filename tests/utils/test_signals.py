from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys

import pytest

from utils.errors import Stopped
from utils.logger import NAME
from utils.signals import StopRequest


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_waits_for_the_check(signum: signal.Signals) -> None:
    before = signal.getsignal(signum)
    with StopRequest() as stop:
        stop.check()
        os.kill(os.getpid(), signum)
        with pytest.raises(Stopped) as caught:
            stop.check()
    assert caught.value.signum == signum
    assert signal.getsignal(signum) is before


def test_a_second_signal_ends_the_process_at_once() -> None:
    script = (
        "import os, signal\n"
        "from utils.signals import StopRequest\n"
        "with StopRequest():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('never')\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=180, check=False)
    assert ended.stdout == "still here\n"
    assert ended.returncode == -signal.SIGINT


@pytest.mark.parametrize("followed_by_a_check", [True, False])
def test_a_line_of_the_log_is_written_to_its_end(followed_by_a_check: bool, caplog: pytest.LogCaptureFixture) -> None:
    def send(record: logging.LogRecord) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return True

    logger = logging.getLogger(NAME)
    caplog.set_level("INFO", logger=NAME)
    logger.addFilter(send)
    reached = False
    try:
        with StopRequest() as stop, pytest.raises(Stopped), stop.interrupting():
            logger.info("a line")
            reached = True
            if followed_by_a_check:
                stop.check()
                raise AssertionError("the check raises")
        assert caplog.messages == ["a line"] and reached
        with StopRequest() as stop, pytest.raises(Stopped), stop.interrupting():
            os.kill(os.getpid(), signal.SIGTERM)
            raise AssertionError("elsewhere the signal raises")
    finally:
        logger.removeFilter(send)
