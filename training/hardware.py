"""What this process runs on: threads, device, memory."""

from __future__ import annotations

import os
import platform
from typing import Any, Literal

import psutil
import torch

from training import machine, ranks
from training.cost import Device
from training.job import Precision
from training.machine import MEGABYTE


class DeviceError(Exception):
    """The device that was asked for is not there."""


def use_threads() -> int:
    """Give torch as many threads as there are cores to use; `OMP_NUM_THREADS` has the last word."""
    if not os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(machine.usable_cores())
    return torch.get_num_threads()


def choose_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device to compute on.

    Raises:
        DeviceError: a GPU was asked for and there is none.
    """
    if wanted == "cpu":
        return torch.device("cpu")
    if torch.cuda.is_available():
        index, there = ranks.on_this_machine(), torch.cuda.device_count()
        if ranks.count() > there:
            raise DeviceError(f"{ranks.count()} processes were started for {there} GPUs; start fewer")
        return torch.device("cuda", index)
    if wanted == "cuda":
        raise DeviceError(
            'the job asks for a GPU and none can be used here; set its device to "auto" or "cpu"'
        )
    return torch.device("cpu")


_AMPERE = (8, 0)
"""Older GPUs emulate bf16, and the kernels of packed rows do not know them."""


def kind(device: torch.device) -> Device:
    """What kind of device it is."""
    return "cuda" if device.type == "cuda" else "cpu"


def weights_dtype(device: torch.device, precision: Precision) -> torch.dtype:
    """For frozen weights: bf16 on a device that has units for it, unless fp32 is asked for; else fp32.

    A CPU without such units computes bf16 several times slower than fp32.
    """
    if precision == "float32":
        return torch.float32
    on_gpu = device.type == "cuda"
    has_units = torch.cuda.get_device_capability(device) >= _AMPERE if on_gpu else machine.has_bf16_units()
    return torch.bfloat16 if has_units else torch.float32


# Dense bf16 with fp32 accumulation, in TFLOP/s (of a T4, which has no bf16, fp16), from NVIDIA's data
# sheets of each GPU and the Ampere GA102 and Ada whitepapers; halved where they count sparsity. The
# first entry whose words all stand in a GPU's name counts, so those with more words come first.
_PEAKS = {
    "H200 NVL": 835,
    "H200": 989,
    "H100 NVL": 835,
    "H100 PCIe": 756,
    "H100": 989,
    "A100": 312,
    "L40S": 362,
    "L4": 121,
    "A10G": 70,
    "T4": 65,
    "RTX 4090": 165,
    "RTX 3090": 71,
}
_LESSER = {"Laptop", "MIG", "Max", "D"}
"""Words in the names of chips that are slower than their namesakes."""


def peak_flops(name: str) -> float | None:
    """The most floating-point operations a second that a GPU can do; None for one that is not known."""
    words = set(name.replace("-", " ").split())
    if words & _LESSER:
        return None
    return next((peak * 1e12 for known, peak in _PEAKS.items() if set(known.split()) <= words), None)


def device_peak(device: torch.device) -> float | None:
    """`peak_flops` of the device that is computed on; None for a CPU."""
    return peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None


def free_bytes(device: torch.device) -> int:
    """Memory that this process can still take: of its GPU, else its share of this machine's."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return machine.free_memory() // ranks.count()


def memory_mb(device: torch.device) -> float:
    """Memory in use now in MiB: of the GPU where one is used, else of this process."""
    if device.type == "cuda":
        return float(torch.cuda.memory_reserved(device)) / MEGABYTE
    return float(psutil.Process().memory_info().rss) / MEGABYTE


def peak_memory(device: torch.device) -> dict[str, float]:
    """The most memory used so far in MiB, of the process and of the GPU."""
    import resource

    # Linux counts in KiB, macOS in bytes.
    unit = 1 if platform.system() == "Darwin" else 1024
    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE}
    if device.type == "cuda":
        peak["gpu"] = torch.cuda.max_memory_reserved(device) / MEGABYTE
    return {name: round(value, 1) for name, value in peak.items()}


def describe(device: torch.device) -> dict[str, Any]:
    """The hardware, for the record."""
    about: dict[str, Any] = {
        "device": device.type,
        "processor": machine.processor(),
        "cores": machine.usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_mb": round(psutil.virtual_memory().total / MEGABYTE),
        "system": platform.platform(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        about["gpu"] = properties.name
        about["gpu_memory_mb"] = round(properties.total_memory / MEGABYTE)
        about["cuda"] = torch.version.cuda
    return about
