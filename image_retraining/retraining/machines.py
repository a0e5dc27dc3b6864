"""What must hold of the settings that let other processes and machines compute."""

from __future__ import annotations

import importlib.util
import ipaddress
import re
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from image_retraining.foundation.errors import ClusterError
from image_retraining.foundation.settings import require

if TYPE_CHECKING:
    from image_retraining.retraining.config import RetrainConfig

# How addresses of schedulers begin.
_SCHEDULERS = ("tcp", "tls")


def check_machines(config: RetrainConfig) -> None:
    """Checks the scheduler and what belongs to it.

    Raises:
        ClusterError: what speaks with a scheduler is not installed.
        SettingError: a rule does not hold.
    """
    for name in ("dask_insecure", "shard_dir"):
        require(
            bool(config.dask_scheduler) or not getattr(config, name),
            f"--{name} is for --dask_scheduler, the address of a Dask scheduler",
            "none",
        )
    if not config.dask_scheduler:
        return
    local = re.fullmatch(r"local:(\d{1,3})", config.dask_scheduler)
    place = urlsplit(config.dask_scheduler)
    require(
        bool(int(local[1]) if local else place.scheme in _SCHEDULERS and _has_port(place)),
        "--dask_scheduler must be tls://host:port or tcp://host:port, or local:N for N processes "
        "of this machine, as local:2",
        config.dask_scheduler,
    )
    require(
        bool(local) or place.scheme == "tls" or config.dask_insecure or _is_here(place.hostname),
        "Whoever reaches a tcp:// scheduler runs programs as its workers. --dask_scheduler must be "
        "tls:// where it is another machine's (docs/cluster.md); in a network that you trust, "
        "give --dask_insecure as well",
        config.dask_scheduler,
    )
    # To say it when TensorFlow has started and photos are read would be late.
    if importlib.util.find_spec("distributed") is None:
        raise ClusterError.not_installed("distributed")


def _has_port(place: SplitResult) -> bool:
    """Returns whether an address has a host and a port that there can be."""
    try:
        return bool(place.hostname and place.port)
    except ValueError:
        return False


def _is_here(host: str | None) -> bool:
    """Returns whether a name is this machine's, and of no network."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False
