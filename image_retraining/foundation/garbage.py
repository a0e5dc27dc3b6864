"""What errors keep alive, and when it goes."""

import gc
import traceback


def forget_frames(error: BaseException) -> None:
    """Lets go, now and in this thread, of what the code held that has raised an error.

    A client that could not connect is closed when it is collected as garbage. Another thread may be
    the one that does it, at any time, and wait for itself.
    """
    left: BaseException | None = error
    while left is not None:
        traceback.clear_frames(left.__traceback__)
        left = left.__context__
    gc.collect()
