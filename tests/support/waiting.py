"""Waiting for something to become true, with a sentence for when it does not."""

import time


def wait_until(predicate, message, timeout=20, interval=0.05):
    """The first true value of PREDICATE; fails with MESSAGE after TIMEOUT seconds."""
    end = time.monotonic() + timeout
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {timeout} s: {message}")
        time.sleep(interval)
