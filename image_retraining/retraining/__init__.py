"""The door of retrain.py.

`story.run` is the whole training, a line a stage; `extracting`, `training`, `evaluating` and
`exporting` are its stages, `config` its settings, `output_names` and `outputs` the checks of
where results go.
"""
