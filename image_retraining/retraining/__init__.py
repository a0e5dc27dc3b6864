"""The door of retrain.py.

`story.run` is the whole training, a line a stage; `extracting`, `training`, `evaluating` and
`exporting` are its stages, `config` its settings, `outputs` the check of where results go.
"""
