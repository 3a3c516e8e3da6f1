"""Free TCP ports, locked so that two test runs of one user do not take the same one."""

import fcntl
import os
import random
import socket

LOCKS = f"/tmp/ringfence-ports-{os.getuid()}"
held = []


def is_free(port):
    """Nobody listens or connects from it on any loopback address that we use."""
    for address in ("127.0.0.1", "127.0.1.1", "127.0.8.1"):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True


def free_port():
    """A port below the kernel's own range, ours until this process ends."""
    os.makedirs(LOCKS, exist_ok=True)
    for _ in range(1000):
        port = random.randrange(20000, 32000)
        lock = os.open(f"{LOCKS}/{port}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        if is_free(port):
            held.append(lock)
            return port
        os.close(lock)
    raise RuntimeError("no free port")
