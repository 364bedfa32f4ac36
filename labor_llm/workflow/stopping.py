"""The end of a run from outside: by SIGTERM, a closed terminal (SIGHUP), or the death of what started it.

A process that is asked to end takes along all that it has started, tidies up and exits with 128 plus the number of
the signal, within ten seconds. What has been stored stays, and the same command goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from types import FrameType

import psutil

STARTER = "LABOR_LLM_STARTER"
"""In the environment of all that a replication starts: the process with which it ends."""
_SIGNALS = (signal.SIGTERM, signal.SIGHUP)
# What a launcher has started ends with it, which not every launcher sees to.
_LAUNCHED = ("LOCAL_RANK", "ACCELERATE_MIXED_PRECISION")
_SECONDS_FOR_CHILDREN, _SECONDS_IN_ALL, _SECONDS_BETWEEN_LOOKS = 4.0, 5.0, 0.5


def end_in_order() -> None:
    """Have this process end in order when it is asked to, and when what started it is gone.

    Where a signal is ignored already (nohup) or handled otherwise, that stays as it is.
    """
    default = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    if not default or threading.current_thread() is not threading.main_thread():
        return
    for number in default:
        signal.signal(number, _end)
    asked, asking = os.pipe()
    os.set_blocking(asking, False)
    signal.set_wakeup_fd(asking, warn_on_full_buffer=False)
    threading.Thread(target=_force, args=[asked], daemon=True).start()
    launcher = os.getppid() if any(name in os.environ for name in _LAUNCHED) else 0
    if starter := int(os.environ.get(STARTER, launcher)):
        threading.Thread(target=_end_with, args=[starter], daemon=True).start()


def _end(number: int, frame: FrameType | None) -> None:
    for other in (*_SIGNALS, signal.SIGINT):
        signal.signal(other, signal.SIG_IGN)
    end_children()
    if STARTER not in os.environ:
        said = f"labor-llm: ended by {signal.Signals(number).name}. The same command goes on from what is stored.\n"
        with contextlib.suppress(OSError):
            os.write(2, said.encode())
    sys.exit(128 + number)


def _force(asked: int) -> None:
    """End the process if it does not in time, as while a library computes no handler of Python's can run."""
    while (number := os.read(asked, 1)[0]) not in _SIGNALS:
        pass
    time.sleep(_SECONDS_IN_ALL)
    end_children()
    os._exit(128 + number)


def end_children(of: int | None = None) -> None:
    """End all that this process (or another) has started, and what that has, by force if it takes long."""
    parent, known = psutil.Process(of), set[psutil.Process]()
    until = time.monotonic() + _SECONDS_FOR_CHILDREN
    while alive := {child for child in known | set(parent.children(recursive=True)) if lives(child)}:
        # Those first that would take the end of others for an error.
        for child in sorted(alive, key=psutil.Process.create_time):
            with contextlib.suppress(psutil.NoSuchProcess):
                if time.monotonic() > until:
                    child.kill()
                elif child not in known:
                    child.terminate()
        known |= alive
        time.sleep(0.05)


def lives(process: psutil.Process) -> bool:
    """Tell whether a process has not ended yet."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


def _end_with(starter: int) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(starter)
        while lives(process):
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    os.kill(os.getpid(), signal.SIGTERM)
