"""Ray for one run: started on this machine, or joined."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import psutil
import ray

from engines import StreamError
from pipeline.live.ray_paths import OwnModules

OBJECT_STORE_BYTES, OBJECT_STORE_BYTES_GPU = 80 << 20, 512 << 20
"""About Ray's minimum: calls of actors and their answers are small, except batches on their way to a GPU."""
IDLE_SERVANTS = ("autoscaler/_private/monitor.py", "_private/log_monitor.py", "dashboard/dashboard.py")


def start_ray(address: str | None) -> None:
    """Starts Ray on this machine, or joins a cluster; dashboard and telemetry off.

    Ray turns its token authentication on by itself; naming RAY_AUTH_MODE here would be too late for its core,
    which has read it when it was imported.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "job_config": OwnModules()}
    try:
        if address is None:
            ray.init(
                include_dashboard=False,
                num_cpus=max(2, os.cpu_count() or 1),
                object_store_memory=OBJECT_STORE_BYTES_GPU if Path("/dev/nvidiactl").exists() else OBJECT_STORE_BYTES,
                # Batches hold clear pictures, which must not end up on a disk.
                _system_config={"automatic_object_spilling_enabled": False},
                **quiet,
            )
            _end_idle_servants()
        else:
            ray.init(address=address, **quiet)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StreamError(f"Ray cannot be started or reached at {address or 'this machine'}: {error}") from error


def _end_idle_servants() -> None:
    """Ends what Ray starts for clusters and their users: together 150 MB, and work several times a second.

    Nothing is scaled, no log is passed on and no page is shown here; Ray neither needs nor restarts them.
    """
    scripts = {str(Path(ray.__file__).parent / name) for name in IDLE_SERVANTS}
    ended = []
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            if not scripts.isdisjoint(child.cmdline()):
                child.kill()
                ended.append(child)
    psutil.wait_procs(ended, timeout=5)
