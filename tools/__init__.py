"""Generators of files that would otherwise repeat what the code says.

They import the app; nothing imports them, and the images leave them out.
"""
