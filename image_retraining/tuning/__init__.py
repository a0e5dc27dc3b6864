"""Beyond the head: the upper layers of a backbone are trained on what its lower ones give.

What lies below a cut never changes, and so it is computed once a photo and cached, like the feature
vectors are.
"""
