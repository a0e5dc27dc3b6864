"""What TensorFlow says of a graph that failed → the line that says why."""

import re

# Behind the reason stands the node, as in " [[{{node Reshape}}]]"; before it, where it was made.
_NODE = "[[{{"
# Where several nodes failed, each reason has its number and kind.
_NUMBER = re.compile(r"\(\d+\) [A-Z_]+: ")


def telling_line(error: Exception) -> str:
    """Returns the line of an error of TensorFlow that says what is wrong.

    Its first line is often "Graph execution error:", and the next ones tell of source code.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    lines = [line for line in lines if line] or [type(error).__name__]
    node = next((place for place, line in enumerate(lines) if line.startswith(_NODE)), 0)
    return _NUMBER.sub("", lines[max(0, node - 1)], count=1)
