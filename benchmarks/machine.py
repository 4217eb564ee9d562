"""Description of the machine, written with every figure."""

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

FOLDER = Path("build/benchmarks")


def write(name: str, figures: Mapping[str, Any]) -> Path:
    """Write figures with a description of the machine; return the file."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    file = FOLDER / f"{name}.json"
    about = {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_before": round(os.getloadavg()[2], 2),
        "python": platform.python_version(),
    }
    file.write_text(json.dumps({**about, **figures}, indent=1) + "\n", "utf-8")
    return file


def _cpu() -> str:
    """Return the model and the matrix instructions, on which ratios between engines depend."""
    lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    parts = (line.partition(":") for line in lines)
    facts = {name.strip(): value.strip() for name, _, value in parts}
    known = set(facts.get("flags", "").split())
    flags = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in known]
    return f"{facts.get('model name', 'unknown')} ({' '.join(flags)})"
