"""A temporary folder that goes when its process does, however that ends."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# It reads a path until its input ends, which even a killed process closes.
_WATCHER: Final = """
import signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
folder = sys.stdin.buffer.read()
import shutil
shutil.rmtree(folder, ignore_errors=True)
"""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new folder for this user only, deleted at the end.

    If this process is killed first, another one that watches it deletes the folder.
    """
    owner = os.getpid()
    with subprocess.Popen(  # noqa: S603 - the program above
        [sys.executable, "-I", "-S", "-c", _WATCHER],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # what kills this process's group spares it
    ) as watcher:
        folder = tempfile.mkdtemp(prefix="scenario-reframe-")
        assert watcher.stdin is not None  # noqa: S101 - it is a pipe
        watcher.stdin.write(os.fsencode(folder))
        try:
            yield Path(folder)
        finally:
            if os.getpid() == owner:  # a forked child that ends leaves both to its parent
                shutil.rmtree(folder, ignore_errors=True)
                watcher.kill()
