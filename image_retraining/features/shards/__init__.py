"""Photos that other processes and machines compute the vectors of, some hundred at a time."""
