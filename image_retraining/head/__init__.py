"""Feature vectors → the head: the one layer that is trained, softmax(features @ weights + bias).

`descent` goes down the loss step by step, `regularization_path` solves for the best head by
`lbfgs`; `best_head` keeps the one that validates best, `checkpoint` what an interrupted training
goes on from. `softmax` tells how a head does, `sampling` which photos make a batch, `class_weights`
how much each counts.
"""
