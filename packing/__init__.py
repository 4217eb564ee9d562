"""Makes bundles of public checkpoints: fetch, convert, export, verify.

Nothing that serves imports it: the app reads the folders that it writes.
"""
