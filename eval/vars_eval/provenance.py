"""Where a number comes from: versions, git state, machine. Nothing in here changes a score's identity."""

import platform
import socket
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("vars-timm", "torch", "torchvision", "timm", "foolbox", "numpy", "pillow", "scipy")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _git(*arguments: str) -> str:
    """Output of a git command in this package's checkout; empty outside one."""
    folder = Path(__file__).resolve().parent
    try:
        done = subprocess.run(["git", "-C", folder, *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()


@cache
def software() -> dict[str, str]:
    """Versions of Python and of the packages that make the score, and the commit of this one ("+" = with changes)."""
    # Inside someone else's repository (a virtual environment in it) git would name that repository's commit.
    tracked = _git("ls-files", "--error-unmatch", Path(__file__).name)
    commit = _git("rev-parse", "--short=12", "HEAD") if tracked else ""
    changed = "+" if commit and _git("status", "--porcelain", "--untracked-files=no") else ""
    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in _PACKAGES},
        "git": commit + changed,
    }


def _cpu_name() -> str:
    """The processor's name; Linux tells it only in a file."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.is_file() else []
    found = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
    return found or platform.processor() or platform.machine()


def host(device: torch.device) -> dict[str, Any]:
    """The machine and the call."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _cpu_name()
    return {
        "hostname": socket.gethostname(),
        "platform": platform.platform(),
        "device": str(device),
        "device_name": name,
        "threads": torch.get_num_threads(),
        "command": " ".join(sys.argv),
    }
