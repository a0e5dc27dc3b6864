"""What computes feature vectors: a frozen module and a batch of photos go in.

All engines compute batches of one size, of which callers fill up the last, so that a photo's vector
never depends on its neighbours. In float32 they give the same vectors to 1e-4 of their largest
number. `choice` has the table of them; another one is another file, and a row there.
"""
