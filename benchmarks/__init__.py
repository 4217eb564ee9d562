"""Small programs that measure one thing each; README.md beside this file holds the figures.

Every program's docstring says what was expected before the figure was seen.
"""
