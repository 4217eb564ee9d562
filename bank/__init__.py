"""The example bank: solved questions about photos, and the index that finds similar ones."""
