"""What is told and shown of a training: the log, TensorBoard, tables, pictures, files.

`findings` is what the stages hand over, `reporter.Reporters` whom a finding is told to: `log` (its
lines are a promise), `tensorboard`, `files`. `metrics_tables` and `odd_photos` make lines and
files, `*_picture` pictures, `*_board` what TensorBoard shows. Needs no TensorFlow.
"""
