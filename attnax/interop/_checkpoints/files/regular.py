"""Regular files, opened once and checked for changes while they are read."""

import os
import pathlib
import stat

# Characters of a path in a message. An attacker may make paths very long.
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

    Everything is read through one open file, so a file that is put in its place has no
    part in the result. `check_unchanged` raises if the open file was written to.
    """

    def __init__(self, path: pathlib.Path, target: pathlib.Path | None = None):
        """Opens `path`, or the `target` that `path` leads to."""
        self.path = path
        # Opening a pipe without a writer would wait for one without O_NONBLOCK.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        try:
            descriptor = os.open(target or path, flags)
        except FileNotFoundError as error:
            raise ValueError(f"{shown(path)} does not exist.") from error
        except (OSError, ValueError) as error:
            raise unopened(path, error) from error
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
            raise ValueError(f"{shown(path)} is {kind}, but must be a regular file.")
        self.raw = os.fdopen(descriptor, "rb", buffering=0)
        self.size, self.identity = status.st_size, _identity(status)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.raw.close()

    def read(self, start: int, buffer) -> None:
        """Fills a writable buffer with the bytes that begin at `start`."""
        view = memoryview(buffer)
        self.raw.seek(start)
        done = 0
        while done < len(view):
            # Linux reads at most 2 GiB at a time.
            count = self.raw.readinto(view[done:])
            if not count:
                raise ValueError(
                    f"{shown(self.path)} became shorter while it was read; read it "
                    "again."
                )
            done += count

    def check_unchanged(self) -> None:
        """A `ValueError` if the file was written to since it was opened."""
        if _identity(os.fstat(self.raw.fileno())) != self.identity:
            raise ValueError(
                f"{shown(self.path)} changed while it was read; read it again."
            )


def shown(path) -> str:
    """A path in quotes, shortened if it is long."""
    text = repr(str(path))
    rest = len(text) - SHOWN_LETTERS
    if rest <= 0:
        return text
    return f"{text[:SHOWN_LETTERS]}... (and {rest} characters more)"


def unopened(path, error: Exception) -> ValueError:
    """The error about a file that cannot be opened."""
    # Without the path of an OSError, which may be long.
    reason = getattr(error, "strerror", None) or str(error)
    return ValueError(f"{shown(path)} must be a file that can be opened: {reason}.")


def _identity(status):
    """The facts that identify an open file and its content, whatever its name is."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
