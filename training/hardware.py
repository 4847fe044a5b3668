"""What this process runs on: threads, device, memory."""

from __future__ import annotations

import math
import os
import platform
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

_MEGABYTE = 2**20


class DeviceError(Exception):
    """The device that was asked for is not there."""


def usable_cores() -> int:
    """Cores that this process may use: its affinity, and its cgroup's quota where one is set."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:
        # Only Linux knows affinity.
        cores = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(cores, math.ceil(quota))) if quota is not None else cores


def _cgroup_quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float | None:
    """The cgroup's share of processors in cores, or None where it is not limited (v2, then v1)."""
    folders = [root]
    if own.is_file():
        folders += [root / line.split(":", 2)[2].strip("/") for line in own.read_text().splitlines()]
    quotas = []
    for folder in folders:
        if (folder / "cpu.max").is_file():
            limit, period = (folder / "cpu.max").read_text().split()[:2]
            if limit != "max":
                quotas.append(int(limit) / int(period))
    old = root / "cpu"
    if (old / "cpu.cfs_quota_us").is_file():
        limit_us = int((old / "cpu.cfs_quota_us").read_text())
        if limit_us > 0:
            quotas.append(limit_us / int((old / "cpu.cfs_period_us").read_text()))
    return min(quotas, default=None)


def use_threads() -> int:
    """Give torch as many threads as there are cores to use; `OMP_NUM_THREADS` has the last word."""
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(usable_cores())
    return torch.get_num_threads()


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to compute on.

    Raises:
        DeviceError: a GPU was asked for and there is none.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        return torch.device("cuda", 0)
    if wanted == "cuda":
        raise DeviceError(
            'the job asks for a GPU and none can be used here; set its device to "auto" or "cpu"'
        )
    return torch.device("cpu")


def weights_dtype(device: torch.device) -> torch.dtype:
    """For frozen weights: bf16 on a GPU that has it; fp32 on a CPU, where bf16 may be slower."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported():
        return torch.bfloat16
    return torch.float32


def free_bytes(device: torch.device) -> int:
    """Memory that can still be taken: of the GPU where one is used, else of this machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return int(psutil.virtual_memory().available)


def memory_mb(device: torch.device) -> float:
    """Memory in use now in MiB: of the GPU where one is used, else of this process."""
    if device.type == "cuda":
        return float(torch.cuda.memory_reserved(device)) / _MEGABYTE
    return float(psutil.Process().memory_info().rss) / _MEGABYTE


def peak_memory(device: torch.device) -> dict[str, float]:
    """The most memory used so far in MiB, of the process and of the GPU."""
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if platform.system() == "Darwin" else 1024
    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MEGABYTE}
    if device.type == "cuda":
        peak["gpu"] = torch.cuda.max_memory_reserved(device) / _MEGABYTE
    return {name: round(value, 1) for name, value in peak.items()}


def describe(device: torch.device) -> dict[str, Any]:
    """The hardware, for the record."""
    about: dict[str, Any] = {
        "device": device.type,
        "weights": str(weights_dtype(device)).removeprefix("torch."),
        "processor": _processor(),
        "cores": usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_mb": round(psutil.virtual_memory().total / _MEGABYTE),
        "system": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about["gpu"] = properties.name
        about["gpu_memory_mb"] = round(properties.total_memory / _MEGABYTE)
        about["cuda"] = torch.version.cuda
    return about


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
