"""Start a Python program as a fork of the process that has imported the libraries (`forkserver.py`).

    python -IS start.py -m MODULE ARGUMENT ...

Without such a process it is started as by `python -m MODULE ARGUMENT ...`. This file is run as it is and imports
nothing of the package, as it stands for the program while that runs: it hands signals on, ends as the program ends,
and takes it along if it is killed itself.
"""

import contextlib
import json
import os
import signal
import socket
import sys

ADDRESS = "LABOR_LLM_FORK_SERVER"
_SECONDS_BETWEEN_LOOKS = 1.0


def main() -> None:
    """Have the program started, and wait for its end."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = os.getppid()
    server = socket.socket(socket.AF_UNIX)
    _, module, *arguments = sys.argv[1:]
    job = {"module": module, "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
    message = json.dumps(job).encode()
    started = b""
    with contextlib.suppress(OSError):
        server.connect(os.environ.get(ADDRESS, ""))
        socket.send_fds(server, [len(message).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(message)
        started = server.recv(4)
    if not started:
        os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, lambda number, _: os.kill(int.from_bytes(started, "big"), number))
    server.settimeout(_SECONDS_BETWEEN_LOOKS)
    while os.getppid() == parent:
        try:
            ended = server.recv(1)
        except TimeoutError:
            continue
        if ended:
            sys.exit(ended[0])
        break
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
