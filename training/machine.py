"""This machine as the operating system tells of it: cores, memory, GPUs. Without torch."""

from __future__ import annotations

import ctypes
import math
import os
import platform
import shutil
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

MEGABYTE = 2**20

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")
_SECONDS = 10

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MALLOPT = {_TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * MEGABYTE, _MMAP_THRESHOLD: 32 * MEGABYTE}
"""By the numbers of glibc's malloc.h: when to give memory back, how much to take at once beyond what
is asked for, and from which size on memory lies apart and is always given back."""

TUNABLES = "GLIBC_TUNABLES"
"""The variable from which glibc takes how it is to work, before a process begins."""

_IN_HUGE_PAGES = "glibc.malloc.hugetlb"
_HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")

_KERNELS = 128
"""As many as the forward and backward passes of rows of a few lengths take."""


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and its cgroup's quota where one is set."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        # Only Linux knows affinity.
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, math.ceil(quota))) if quota is not None else cores


def processor() -> str:
    """The processor's name."""
    return _processor_facts().get("model name") or platform.processor() or platform.machine()


def has_bf16_units() -> bool:
    """Whether the processor multiplies matrices of bf16 numbers faster than fp32; False where unknown."""
    return not {"avx512_bf16", "amx_bf16"}.isdisjoint(_flags())


def has_bf16_tiles() -> bool:
    """Whether they are units for whole tiles of matrices (AMX), which are several times as fast again."""
    return "amx_bf16" in _flags()


@cache
def _flags() -> frozenset[str]:
    return frozenset(_processor_facts().get("flags", "").split())


@cache
def _processor_facts() -> dict[str, str]:
    """What Linux tells of the first core, by name; nothing elsewhere."""
    information = Path("/proc/cpuinfo")
    first = information.read_text().split("\n\n", 1)[0] if information.is_file() else ""
    facts = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in facts}


def free_memory() -> int:
    """Bytes that a process may still take: what the system has, or less where a cgroup sets a limit."""
    free = psutil.virtual_memory().available
    limit = _cgroup_room()
    return free if limit is None else min(free, limit)


def with_huge_pages(tunables: str) -> str:
    """What `TUNABLES` says, asking for huge pages too unless it speaks of them already."""
    if _IN_HUGE_PAGES in tunables:
        return tunables
    return ":".join(filter(None, (tunables, f"{_IN_HUGE_PAGES}=1")))


def use_huge_pages() -> None:
    """Start this process anew with its memory in huge pages, where the system gives them to who asks.

    A step reads hundreds of megabytes once; in pages of 4 KB the processor spends much of that on
    finding them, most of all in a virtual machine. glibc (from 2.35 on) asks for huge ones where its
    environment said so before the process began, and at no other time. To be called first of all,
    when the second start takes a twentieth of a second.
    """
    if platform.libc_ver()[0] != "glibc" or not _HUGE_PAGES.is_file():
        return
    tunables = os.environ.get(TUNABLES, "")
    wanted = with_huge_pages(tunables)
    # Where all processes get them, or none does, there is nothing to ask for.
    if wanted == tunables or "[madvise]" not in _HUGE_PAGES.read_text():
        return
    os.environ[TUNABLES] = wanted
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def settle_memory() -> None:
    """How every process that trains takes memory; to be called before its first product."""
    keep_freed_memory()
    keep_few_kernels()


def keep_freed_memory() -> None:
    """Have this process keep what it frees for what it takes next, where the C library is glibc.

    A step frees and takes the same memory as the one before; given back in between, it comes again
    page by page: 50,000 to 80,000 page faults, 0.2 s of the 9 s of processor time of one measured.
    """
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        for option, size in _MALLOPT.items():
            mallopt(option, size)


def keep_few_kernels() -> None:
    """Have oneDNN keep the kernels of a few lengths of rows only; to be called before its first product.

    It compiles one for every shape that it meets. Rows that are filled up have few lengths; of the
    rest (learned tokens, posts that are scored) its usual 1,024 are never used again but by chance.
    They took 400 MB in the first 30 steps of one measured, and those steps were no faster for it.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", str(_KERNELS))


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU by the name that its driver gives it, with its memory in bytes."""

    name: str
    memory: int
    free: int


def first_gpu() -> Gpu | None:
    """The GPU that a trainer would be given first; None where there is none, or it must not be used."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    chosen = visible.split(",")[0].strip() if visible is not None else "0"
    program = shutil.which("nvidia-smi")
    if program is None or chosen in ("", "-1"):
        return None
    query = [program, f"--id={chosen}", "--query-gpu=name,memory.total,memory.free"]
    with suppress(OSError, subprocess.TimeoutExpired, ValueError):
        done = subprocess.run(
            [*query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        if done.returncode == 0:
            name, total, free = done.stdout.splitlines()[0].rsplit(",", 2)
            return Gpu(name.strip(), int(total) * MEGABYTE, int(free) * MEGABYTE)
    return None


def _cgroup_folders(controller: str, root: Path, own: Path) -> list[Path]:
    """Where limits of this process may stand: its group's folder and those above it (v2 and v1)."""
    folders = [root, root / controller]
    for line in own.read_text().splitlines() if own.is_file() else []:
        hierarchy, controllers, path = line.split(":", 2)
        top = root if hierarchy == "0" else root / controller
        if hierarchy == "0" or controller in controllers.split(","):
            folders += [top / part for part in (path.strip("/"), *map(str, Path(path.strip("/")).parents))]
    return list(dict.fromkeys(folders))


def _cgroup_quota(root: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> float | None:
    """The cgroup's share of processors in cores, or None where it is not limited."""
    quotas = []
    for folder in _cgroup_folders("cpu", root, own):
        if (folder / "cpu.max").is_file():
            limit, period = (folder / "cpu.max").read_text().split()[:2]
            if limit != "max":
                quotas.append(int(limit) / int(period))
        if (folder / "cpu.cfs_quota_us").is_file():
            limit_us = int((folder / "cpu.cfs_quota_us").read_text())
            if limit_us > 0:
                quotas.append(limit_us / int((folder / "cpu.cfs_period_us").read_text()))
    return min(quotas, default=None)


def _cgroup_room(root: Path = _CGROUPS, own: Path = _OWN_CGROUP) -> int | None:
    """Bytes up to the cgroup's limit, or None where there is none."""
    rooms = []
    for folder in _cgroup_folders("memory", root, own):
        rooms += _room(folder, "memory.max", "memory.current", "inactive_file")
        rooms += _room(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return min(rooms, default=None)


def _room(folder: Path, limit: str, usage: str, cache: str) -> list[int]:
    """Bytes up to one folder's limit; the file cache counts as used there, but gives way."""
    with suppress(OSError, ValueError):
        most = (folder / limit).read_text().strip()
        # Without a limit v1 names the largest number of pages there is.
        if most == "max" or int(most) >= 2**60:
            return []
        used = int((folder / usage).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return [max(0, int(most) - used + int(statistics.get(cache, 0)))]
    return []
