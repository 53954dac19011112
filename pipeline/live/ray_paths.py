"""From where Ray's workers import: the installation. Ray itself would have them import from the folder that the driver
was started in, which may be one of uploads.
"""

from __future__ import annotations

from typing import Any

from ray.job_config import JobConfig

from pipeline.jail.installation import HOME


class OwnModules(JobConfig):
    """A job whose workers import from the installation, and from nowhere else that the driver knows."""

    def _get_proto_job_config(self) -> Any:
        self._py_driver_sys_path = [str(HOME)]  # whatever Ray has put there by now
        return super()._get_proto_job_config()  # type: ignore[no-untyped-call]
