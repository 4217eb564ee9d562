"""How `bundles/demo` was made: scenes, drawings and the training of its four models.

Nothing here is imported by a running app; the weights travel, this package does not.
"""
