"""A file of tensors: regular, opened once, and the same to its last byte."""

import os
import pathlib
import stat

# In a message; a path may be as long as an attacker likes.
SHOWN_LETTERS = 300
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class RegularFile:
    """A file that is open for reading until it is closed.

    All is read through one open file, so that one that is put in its place has no part
    in what is read; `check_unchanged` says so if this one was written to.
    """

    def __init__(self, path: pathlib.Path, target: pathlib.Path | None = None):
        """Opens `path`, or the `target` that it has been found to lead to."""
        self.path = path
        # Without waiting: a pipe without a writer would hold us up until there is one.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(target or path, flags)
        except FileNotFoundError as error:
            raise ValueError(f"{shown(path)} does not exist.") from error
        except (OSError, ValueError) as error:
            raise ValueError(
                f"{shown(path)} must be a file that can be opened: {reason(error)}."
            ) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise ValueError(f"{shown(path)} is {kind}, and must be a regular file.")
        self.raw = os.fdopen(descriptor, "rb", buffering=0)
        self.size, self.identity = status.st_size, _identity(status)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def read(self, start: int, buffer) -> None:
        """Fills a writable buffer of bytes from `start` on."""
        view = memoryview(buffer)
        self.raw.seek(start)
        done = 0
        while done < len(view):
            count = self.raw.readinto(view[done:])  # at most 2 GiB of it on Linux
            if not count:
                raise ValueError(
                    f"{shown(self.path)} became shorter while it was "
                    "read; read it again."
                )
            done += count

    def check_unchanged(self) -> None:
        """Raises if the file has been written to since it was opened."""
        if _identity(os.fstat(self.raw.fileno())) != self.identity:
            raise ValueError(
                f"{shown(self.path)} changed while it was read; read it again."
            )


def shown(path) -> str:
    """A path in quotes, cut where it is long."""
    text = repr(str(path))
    rest = len(text) - SHOWN_LETTERS
    if rest <= 0:
        return text
    return f"{text[:SHOWN_LETTERS]}... (and {rest} characters more)"


def reason(error: Exception) -> str:
    """What went wrong, without the path, which the message names already."""
    return getattr(error, "strerror", None) or str(error)


def _identity(status):
    """Of a file and what is in it; not its names, which may change as they like."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
