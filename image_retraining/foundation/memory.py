"""How much memory this process may still take.

That is the least of what the machine has free, what its control group leaves (containers, Slurm;
the kernel's cgroup-v1/memory.rst and cgroup-v2.rst), and what `ulimit -v` leaves.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from image_retraining.foundation.errors import SettingError, first_line

# Measured with two processors: with less TensorFlow does not start, or crashes soon after.
_LEAST_ADDRESS_SPACE = 3_000_000_000
# With less there is no room for another library that computes: TensorFlow crashes after it fails.
_LEAST_WITH_ANOTHER = 3_300_000_000
_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class _Kind:
    """Where a version of control groups keeps its files, and what it calls them.

    Attributes:
        controllers: as /proc/self/cgroup lists them.
        folders: where its groups may be mounted, below _GROUPS.
        limit: the file that has how many bytes a group may take.
        used: the file that has how many it takes.
        reclaimable: the line of memory.stat that has how many of those are cached files, which go
            as soon as memory is asked for.
    """

    controllers: str
    folders: tuple[str, ...]
    limit: str
    used: str
    reclaimable: str


_KINDS = (
    _Kind("", ("", "unified"), "memory.max", "memory.current", "inactive_file"),
    _Kind(
        "memory",
        ("memory",),
        "memory.limit_in_bytes",
        "memory.usage_in_bytes",
        "total_inactive_file",
    ),
)


def available() -> int:
    """Returns how many bytes this process may still take; never below 0.

    What the system does not tell, as in some sandboxes, limits nothing.
    """
    free = _unless_refused(lambda: psutil.virtual_memory().available)
    limit, taken = _address_space(), _unless_refused(lambda: psutil.Process().memory_info().vms)
    left = [sys.maxsize if free is None else free, *left_by_groups(_MEMBERSHIP, _GROUPS)]
    if limit is not None:
        left.append(limit - (taken or 0))
    return max(0, min(left))


def left_by_groups(membership: Path, groups: Path) -> Iterator[int]:
    """Yields what each control group above this process leaves, in bytes.

    Args:
        membership: lists the groups of the process: number, controllers and path on each line.
        groups: where the groups are mounted.
    """
    try:
        lines = membership.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return
    for line in lines:
        controllers, _, path = line.partition(":")[2].partition(":")
        for kind in _KINDS:
            if kind.controllers == controllers and path.startswith("/"):
                for folder in kind.folders:
                    yield from _left_below(groups / folder, PurePosixPath(path), kind)


def check_address_space() -> None:
    """Checks that `ulimit -v` leaves TensorFlow what it takes to start.

    Raises:
        SettingError: it does not.
    """
    limit = _address_space()
    if limit is not None and limit < _LEAST_ADDRESS_SPACE:
        raise SettingError(
            f"TensorFlow needs {_LEAST_ADDRESS_SPACE / 1e9:g} GB of address space, and more for "
            f"large photos. Got a limit of {limit / 1e9:.1f} GB (ulimit -v). Raise it, as with "
            "ulimit -v unlimited."
        )


def has_room_beside_tensorflow() -> bool:
    """Returns whether `ulimit -v` leaves room for another library that computes."""
    limit = _address_space()
    return limit is None or limit >= _LEAST_WITH_ANOTHER


def exhaustion() -> tuple[type[Exception], ...]:
    """Returns what is raised when memory has run out, by Python and by TensorFlow if it is here."""
    tensorflow = sys.modules.get("tensorflow")
    errors = getattr(tensorflow, "errors", None)
    return (MemoryError, errors.ResourceExhaustedError) if errors else (MemoryError,)


def told(error: Exception) -> str:
    """Returns what to say where memory has run out."""
    return (
        f"The memory that this process may use has run out ({first_line(error) or 'no details'}). "
        "What was computed is kept. Close other programs, or give it more: a machine's or a "
        "container's memory, ulimit -v."
    )


def _address_space() -> int | None:
    """Returns how many bytes `ulimit -v` allows; None without such a limit."""
    # Only Linux has it.
    if not hasattr(psutil, "RLIMIT_AS"):
        return None
    soft = _unless_refused(lambda: psutil.Process().rlimit(psutil.RLIMIT_AS)[0])
    return None if soft == psutil.RLIM_INFINITY else soft


def _unless_refused(ask: Callable[[], int]) -> int | None:
    """Returns what the system says, None where it does not let itself be asked."""
    # psutil.AccessDenied and the like; and what its parts raise where /proc is closed or odd.
    try:
        return ask()
    except (psutil.Error, OSError, NotImplementedError, RuntimeError, ValueError, LookupError):
        return None


def _left_below(mount: Path, path: PurePosixPath, kind: _Kind) -> Iterator[int]:
    # In a container the path may be the machine's, of which only the end is mounted.
    for group in (path, *path.parents):
        folder = mount / group.relative_to("/")
        # A group may vanish or be another user's; a v2 root has no such files, v1's "no limit"
        # is a number larger than any memory.
        with contextlib.suppress(OSError, ValueError):
            limit = int((folder / kind.limit).read_text())
            used = int((folder / kind.used).read_text())
            yield limit - used + _reclaimable(folder, kind)


def _reclaimable(folder: Path, kind: _Kind) -> int:
    for line in (folder / "memory.stat").read_text().splitlines():
        name, _, value = line.partition(" ")
        if name == kind.reclaimable:
            return int(value)
    return 0
