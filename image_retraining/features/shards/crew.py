"""What an engine of workers does for us: it has shards computed somewhere, in any order."""

from dataclasses import dataclass
from typing import Protocol, Self

from image_retraining.features.shards.shard import Shard


@dataclass(frozen=True, slots=True)
class Done:
    """A shard that is not being computed any more.

    Attributes:
        shard: it.
        deaths: how many workers died of it; 0 where its file is there.
    """

    shard: Shard
    deaths: int = 0


class Crew(Protocol):
    """Workers, wherever they are; all that an engine has to know of us is what it is sent."""

    def __enter__(self) -> Self:
        """Reaches the workers.

        Raises:
            ClusterError: they cannot be reached.
        """

    def __exit__(self, *_: object) -> None:
        """Lets them go; what is not done is forgotten."""

    def worker_count(self) -> int:
        """Returns how many there are at present."""

    def submit(self, shard: Shard) -> None:
        """Has a shard computed; returns at once."""

    def next_done(self, seconds: float) -> Done | None:
        """Returns a shard that is done, or None if none is after so many seconds.

        Raises:
            ClusterError: a worker cannot compute it, or they cannot be reached any more.
        """
