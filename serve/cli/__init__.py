"""The command line, and the local Ray of `admirer serve`."""
