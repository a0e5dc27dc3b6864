"""The memory that a process may take, told by files as the kernel documents them, and for real."""

import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import psutil
import pytest
from conftest import as_nobody
from PIL import Image

from image_retraining.foundation import memory

REPOSITORY = Path(__file__).resolve().parents[2]
GB = 10**9
V1_LIMIT, V1_USED = "memory.limit_in_bytes", "memory.usage_in_bytes"


def group(folder: Path, files: Mapping[str, object], stat: str = "") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        (folder / name).write_text(f"{value}\n")
    (folder / "memory.stat").write_text(stat)


def left(tmp_path: Path, membership: str) -> list[int]:
    (tmp_path / "cgroup").write_text(membership)
    return list(memory.left_by_groups(tmp_path / "cgroup", tmp_path / "fs"))


def test_a_group_leaves_its_limit_less_what_is_used_and_not_mere_cache(tmp_path: Path) -> None:
    files = {"memory.max": 4 * GB, "memory.current": 3 * GB}
    group(tmp_path / "fs/box", files, "anon 2\ninactive_file 1000000000\nactive_file 7\n")
    assert left(tmp_path, "0::/box\n") == [2 * GB]


def test_groups_above_limit_as_well(tmp_path: Path) -> None:
    group(tmp_path / "fs/slurm", {"memory.max": 9 * GB, "memory.current": 8 * GB})
    group(tmp_path / "fs/slurm/job", {"memory.max": 4 * GB, "memory.current": GB})
    assert left(tmp_path, "0::/slurm/job\n") == [3 * GB, GB]


def test_a_group_without_limit_says_nothing(tmp_path: Path) -> None:
    group(tmp_path / "fs/box", {"memory.max": "max", "memory.current": 8 * GB})
    assert left(tmp_path, "0::/box\n") == []


def test_in_a_container_the_mounted_end_counts(tmp_path: Path) -> None:
    group(
        tmp_path / "fs/memory",
        {V1_LIMIT: 2 * GB, V1_USED: GB},
        "inactive_file 1\ntotal_inactive_file 500000000\n",
    )
    assert left(tmp_path, "5:cpu:/docker/1f\n4:memory:/docker/1f\n0::/\n") == [1_500_000_000]


@pytest.mark.parametrize("membership", ["", "0::/gone\n", "7:cpuset:/\n1:name=systemd:/a:b\n"])
def test_where_nothing_is_said_nothing_is_limited(tmp_path: Path, membership: str) -> None:
    assert left(tmp_path, membership) == []


def test_a_system_without_groups_limits_nothing(tmp_path: Path) -> None:
    assert not list(memory.left_by_groups(tmp_path / "cgroup", tmp_path / "fs"))


def test_no_more_is_available_than_the_machine_has_free() -> None:
    assert 0 < memory.available() <= psutil.virtual_memory().total


REFUSALS = (
    psutil.AccessDenied(1),
    psutil.NoSuchProcess(1),
    PermissionError(13, "Permission denied"),
    FileNotFoundError(2, "No such file or directory", "/proc/meminfo"),
    NotImplementedError(),
    RuntimeError("no such number"),
)


# Once: a traceback in sandboxes that close /proc, or do not let a process ask for its limits.
@pytest.mark.parametrize("refusal", REFUSALS, ids=repr)
def test_what_the_system_does_not_tell_limits_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refusal: Exception
) -> None:
    def refuse(*_: object) -> NoReturn:
        raise refusal

    monkeypatch.setattr(psutil, "virtual_memory", refuse)
    monkeypatch.setattr(psutil.Process, "memory_info", refuse)
    monkeypatch.setattr(psutil.Process, "rlimit", refuse)
    monkeypatch.setattr(memory, "_MEMBERSHIP", tmp_path / "none")
    assert memory.available() == sys.maxsize
    memory.check_address_space()


@pytest.mark.parametrize("membership", ["0\n", "\n", "::\n", "0::/\udcff\n"])
def test_a_list_of_groups_may_be_odd(tmp_path: Path, membership: str) -> None:
    (tmp_path / "cgroup").write_text(membership, errors="surrogateescape")
    assert not list(memory.left_by_groups(tmp_path / "cgroup", tmp_path / "fs"))


def test_a_closed_list_of_groups_limits_nothing(tmp_path: Path) -> None:
    (tmp_path / "cgroup").write_text("0::/box\n")
    (tmp_path / "cgroup").chmod(0)
    with as_nobody(tmp_path):
        assert not list(memory.left_by_groups(tmp_path / "cgroup", tmp_path / "fs"))


def test_a_limit_of_address_space_counts() -> None:
    code = (
        "from image_retraining.foundation import memory\n"
        "import psutil, resource\n"
        "taken = psutil.Process().memory_info().vms\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + 100_000_000, resource.RLIM_INFINITY))\n"
        "print(memory.available())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert 50_000_000 < int(done.stdout) <= 100_000_000


@pytest.mark.parametrize(
    "script",
    [
        "retrain.py --image_dir={} --summaries_dir={}/logs",
        "label_image.py {}/a/0.png --graph=Makefile",
    ],
)
def test_too_little_address_space_for_tensorflow_is_one_line(script: str, tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for number in range(20):
            Image.new("RGB", (2, 2), (number, 0, 0)).save(tmp_path / label / f"{number}.png")
    line = f"{shlex.quote(sys.executable)} {script.replace('{}', str(tmp_path))}"
    done = subprocess.run(
        ["/bin/bash", "-c", f"ulimit -v 2000000; exec {line}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.endswith(
        "ERROR: TensorFlow needs 3 GB of address space, and more for large photos. Got a limit of "
        "2.0 GB (ulimit -v). Raise it, as with ulimit -v unlimited.\n"
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("bytearray(10**15)", "no details"),
        ("__import__('numpy').zeros(10**15)", "Unable to allocate 7.11 PiB for an array"),
        ("__import__('tensorflow').zeros([10**6, 10**6])", "OOM when allocating tensor"),
    ],
)
def test_memory_that_runs_out_is_one_line(line: str, said: str) -> None:
    code = (
        "from image_retraining.foundation.command_line import run_script\n"
        "from image_retraining.retraining.config import RetrainConfig\n"
        f"run_script(lambda config: {line}, RetrainConfig, about='')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--image_dir=."],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"ERROR: The memory that this process may use has run out ({said}")
    assert "Traceback" not in done.stderr


def test_openvino_is_left_out_where_tensorflow_alone_finds_room() -> None:
    # Once, of 3.2 GB: it failed of memory, and TensorFlow after it, without a word.
    code = (
        "from image_retraining.foundation.memory import has_room_beside_tensorflow as room\n"
        "print(room())"
    )
    for limit, has_room in [("3100000", "False"), ("3400000", "True"), ("unlimited", "True")]:
        command = shlex.join([sys.executable, "-c", code])
        told = subprocess.run(
            ["/bin/bash", "-c", f"ulimit -v {limit}; exec {command}"],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert told == f"{has_room}\n"
