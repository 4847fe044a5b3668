from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from training.hardware import peak_flops
from training.machine import _cgroup_quota, _cgroup_room, first_gpu, free_memory, usable_cores


def group(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content)


def test_the_machine_has_cores_and_memory() -> None:
    assert usable_cores() >= 1
    assert free_memory() > 2**20


def test_the_tightest_group_counts(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("0::/user/job\n")
    group(root, cpu__max="max 100000", memory__max="max")
    group(
        root / "user",
        cpu__max="150000 100000",
        memory__max="3000",
        memory__current="1000",
        memory__stat="anon 600\ninactive_file 400\n",
    )
    group(root / "user" / "job", cpu__max="300000 100000", memory__max="max", memory__current="900")
    assert _cgroup_quota(root, own) == 1.5
    # The file cache makes room where it is needed.
    assert _cgroup_room(root, own) == 2400


def test_groups_of_the_first_version_are_known(tmp_path: Path) -> None:
    root, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text("4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n")
    group(root / "cpu" / "job", cpu__cfs_quota_us="200000", cpu__cfs_period_us="100000")
    group(root / "memory", memory__limit_in_bytes=str(2**63 - 4096), memory__usage_in_bytes="1")
    group(
        root / "memory" / "job",
        memory__limit_in_bytes="5000",
        memory__usage_in_bytes="4000",
        memory__stat="total_inactive_file 500\n",
    )
    assert _cgroup_quota(root, own) == 2
    assert _cgroup_room(root, own) == 1500


def test_without_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert _cgroup_quota(tmp_path, tmp_path / "none") is None
    assert _cgroup_room(tmp_path, tmp_path / "none") is None


def test_the_first_visible_gpu_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text('#!/bin/sh\n[ "$1" = "--id=2" ] && echo "NVIDIA H200, 143771, 140000"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    found = first_gpu()
    assert found is not None
    assert (found.name, found.memory, found.free) == ("NVIDIA H200", 143771 * 2**20, 140000 * 2**20)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    assert first_gpu() is None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert first_gpu() is None


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA A10G", 70),
        ("Tesla T4", 65),
        ("NVIDIA GeForce RTX 4090", 165),
    ],
)
def test_known_gpus_have_a_peak(name: str, tera: float) -> None:
    assert peak_flops(name) == tera * 1e12


@pytest.mark.parametrize(
    "name", ["NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA A100-SXM4-40GB MIG 1g.5gb", "NVIDIA L40", "A10"]
)
def test_others_have_none(name: str) -> None:
    assert peak_flops(name) is None


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told to keep what is freed")
@pytest.mark.parametrize("kept", [False, True])
def test_freed_memory_is_kept(kept: bool) -> None:
    script = (
        "import resource, sys\n"
        "from training.machine import keep_freed_memory\n"
        f"if {kept}: keep_freed_memory()\n"
        "taken = [bytearray(b'x') * 2**24 for _ in range(4)]; del taken\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for _ in range(5):\n"
        "    taken = [bytearray(b'x') * 2**24 for _ in range(4)]; del taken\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    faults = int(done.stdout)
    # 20 times 16 MiB are 81,920 pages.
    assert (faults < 10_000) is kept


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked for huge pages")
@pytest.mark.parametrize(
    ("system", "before", "after"),
    [
        ("always [madvise] never", "", "glibc.malloc.hugetlb=1"),
        ("always [madvise] never", "glibc.rtld.nns=4", "glibc.rtld.nns=4:glibc.malloc.hugetlb=1"),
        ("always [madvise] never", "glibc.malloc.hugetlb=0", "glibc.malloc.hugetlb=0"),
        ("always madvise [never]", "", ""),
        ("[always] madvise never", "", ""),
    ],
)
def test_a_process_starts_anew_to_have_huge_pages(
    system: str, before: str, after: str, tmp_path: Path
) -> None:
    enabled = tmp_path / "enabled"
    enabled.write_text(system)
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from training import machine\n"
        "machine._HUGE_PAGES = Path(sys.argv[1])\n"
        "print(os.getpid(), flush=True)\n"
        "machine.use_huge_pages()\n"
        "print(os.environ['GLIBC_TUNABLES'], *sys.argv[2:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, enabled, "a word", "another"],
        env={**os.environ, "GLIBC_TUNABLES": before},
        capture_output=True,
        text=True,
        check=True,
    )
    *pids, last = done.stdout.splitlines()
    assert last == f"{after} a word another"
    # Anew, but for those who watch it the same process, and once only.
    assert len(pids) == (2 if before != after else 1)
    assert len(set(pids)) == 1
