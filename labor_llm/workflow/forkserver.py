"""One process that imports the heavy libraries once; the programs of a replication are forks of it.

A notebook with a language model spends ten seconds on imports, and a replication runs dozens of notebooks. Here each
kernel is a copy of a process in which the libraries stand ready: as fresh as any other, and there at once. Of this
package nothing is imported beforehand, so that each run takes the code that is there when it starts.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import runpy
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from labor_llm.workflow.start import ADDRESS
from labor_llm.workflow.stopping import end_children

START = [sys.executable, "-IS", str(Path(__file__).with_name("start.py"))]
"""The beginning of a command that goes on with `-m MODULE ARGUMENT ...`."""

_LIBRARIES = (
    "IPython", "ipykernel.kernelapp", "nbclient", "pyarrow.fs", "typer", "pydantic", "pandas", "pyarrow.parquet",
    "matplotlib_inline.backend_inline", "matplotlib.pyplot", "seaborn", "sklearn.linear_model", "torch",
    "torch.distributed.fsdp", "transformers.models.auto.tokenization_auto", "transformers.models.llama.modeling_llama",
    "transformers.optimization",
)  # fmt: skip
# Their drivers do not outlive a fork, and libraries may wake them when they are imported.
_ACCELERATORS = ("/dev/nvidiactl", "/dev/kfd")


@contextlib.contextmanager
def fork_server(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Give what makes commands that begin with `START` forks of one process, to be added to their environment.

    On machines with an accelerator and on other systems than Linux that is nothing, and they start plainly.

    Args:
        environment: that of the process; what libraries read of it while they are imported, such as the number of
            threads, is the same for all forks.
    """
    if sys.platform != "linux" or any(Path(path).exists() for path in _ACCELERATORS):
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="labor-llm-") as folder:
        address = str(Path(folder) / "socket")
        command = [sys.executable, "-m", "labor_llm.workflow.forkserver", address]
        with subprocess.Popen(command, env=dict(environment), stdin=subprocess.DEVNULL) as server:
            try:
                yield {ADDRESS: address}
            finally:
                # A program whose starter was killed while it held Python's lock could not see that.
                end_children(server.pid)
                server.terminate()


class _Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    block_on_close = False
    request_queue_size = 64


class _Program(socketserver.BaseRequestHandler):
    """Becomes, in the fork, the program that was asked for."""

    request: socket.socket

    def handle(self) -> None:
        size, streams, *_ = socket.recv_fds(self.request, 8, 3)
        with self.request.makefile("rb") as sent:
            job = json.loads(sent.read(int.from_bytes(size, "big")))
        os.setsid()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.chdir(job["folder"])
        sys.path[0] = job["folder"]
        os.environ.clear()
        os.environ.update(job["environment"])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.request.sendall(os.getpid().to_bytes(4, "big"))
        threading.Thread(target=_end_with, args=[self.request], daemon=True).start()
        code = _run(job["module"], job["arguments"])
        for text in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                text.flush()
        self.request.sendall(bytes([code]))


def _run(module: str, arguments: list[str]) -> int:
    """Run a module as `python -m` does and return the exit status."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code & 0xFF if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
        return 1
    return 0


def _end_with(starter: socket.socket) -> None:
    """End this process when the one that stands for it is gone."""
    with contextlib.suppress(OSError):
        starter.recv(1)
    os._exit(1)


def _serve(address: str) -> None:
    # It ends with the process that started it, by the system (PR_SET_PDEATHSIG) also while libraries are imported.
    ctypes.CDLL(None).prctl(1, int(signal.SIGKILL))
    # A kernel reads it when it is imported, and looks for that process later; here it has `_end_with` instead.
    os.environ["JPY_PARENT_PID"] = "1"
    # Programs that are asked for while the libraries are imported wait, which is sooner done than importing them too.
    with _Server(address, _Program) as server:
        for library in _LIBRARIES:
            # A library that is not there is missed by the program that needs it.
            with contextlib.suppress(ImportError):
                importlib.import_module(library)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        server.serve_forever()


if __name__ == "__main__":
    _serve(sys.argv[1])
