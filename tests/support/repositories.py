"""Repositories without weights, for downloads that nothing is exported from."""

import json
from pathlib import Path

CARD = "---\nlicense: apache-2.0\n---\n# A model\n"


def write_repository(root: Path, name: str, **files: str | bytes) -> Path:
    """Write a captioner's files; `files` are more or other ones, `__` for a dot in a name."""
    content: dict[str, str | bytes] = {
        "README.md": CARD,
        "config.json": json.dumps({"architectures": ["VisionEncoderDecoderModel"]}),
        "preprocessor_config.json": "{}",
        "tokenizer.json": "{}",
        "model.safetensors": bytes(range(256)) * 400,
    }
    content |= {name.replace("__", "."): data for name, data in files.items()}
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in content.items():
        (folder / file).write_bytes(data.encode() if isinstance(data, str) else data)
    return folder
