"""What every room stands on: records, errors, settings, the command line, files, text, progress.

Nothing here knows of photos, networks or training. Rooms take what they need by module:
`records` what stages hand over, `errors` what can go wrong, `settings` and `command_line` what a
person may say, `files` files that appear whole or not at all, `text` names that stay on their line,
`progress`, `interruption`, `quiet`, `parallel`.
"""
