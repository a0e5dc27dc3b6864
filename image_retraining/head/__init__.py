"""Feature vectors → the head: a softmax layer, after a hidden one where that is asked for.

`layers` tells what it is made of while it is trained. `descent` goes down the loss step by step,
`regularization_path` solves for the best softmax layer by `lbfgs`; `best_head` keeps the one that
validates best, `checkpoint` what an interrupted training goes on from. `softmax` tells how a head
does, `sampling` which photos make a batch, `class_weights` how much each counts.
"""
