"""Opens files beside a target, where another user of a shared folder may have put anything."""

import errno
import os
import stat
import sys
from contextlib import suppress
from io import FileIO
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP})
# Neither through a link nor, for a pipe, until somebody opens its other end.
_CAREFULLY = (
    getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
)


def is_own(path: Path, status: os.stat_result) -> bool:
    """Whether it is a regular file of this user, and not a link; `status` is from `lstat`.

    The folder's owner counts as this user: they can exchange any file there, and some network disks
    show one owner for all.
    """
    if not stat.S_ISREG(status.st_mode):
        return False
    return sys.platform == "win32" or status.st_uid in {os.geteuid(), path.parent.stat().st_uid}


def is_free(path: Path) -> bool:
    """Whether nothing is there, or a file of our own."""
    try:
        return is_own(path, path.lstat())
    except FileNotFoundError:
        return True
    except OSError:
        return False


def own_size(path: Path) -> int:
    """The size in bytes of a file of our own, else 0."""
    try:
        status = path.lstat()
        return status.st_size if is_own(path, status) else 0
    except OSError:
        return 0


def open_own(path: Path, mode: str) -> FileIO:
    """Open a file without a buffer. Raises OSError if it is not a regular file of this user."""

    def opened(name: str, flags: int) -> int:
        return os.open(name, flags | _CAREFULLY, 0o666)

    file = FileIO(path, mode, opener=opened)
    with suppress(OSError):
        if is_own(path, os.fstat(file.fileno())) and _is_at(file, path):
            return file
    file.close()
    raise PermissionError(errno.EPERM, "not a regular file of this user", str(path))


def _is_at(file: FileIO, path: Path) -> bool:
    """Whether the open file still has this name, and was not opened through a link."""
    return os.path.samestat(os.fstat(file.fileno()), path.lstat())


def lock_own(path: Path) -> FileIO | None:
    """The file, open and locked; None if it is another's, in use, or locks do not work here."""
    try:
        file = open_own(path, "a+b")
    except OSError:
        return None
    try:
        if sys.platform == "win32":
            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_at(file, path):
                raise FileNotFoundError(path)  # it was removed before it was locked
    except OSError as fault:
        file.close()
        if fault.errno in _NO_LOCKS:
            path.unlink(missing_ok=True)
        return None
    return file
