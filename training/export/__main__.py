"""`python -m training.export --bundle bundles/demo [--part tagger]`.

Writes ONNX graphs beside the weights of each part that the bundle keeps in a folder of its own or
in the hub's local cache.
"""

import argparse
import sys
from pathlib import Path

from models.bundle import Bundle, BundleError, OpenAiPart
from training.export.parts import PART_NAMES, export_part


def main() -> int:
    """Export and print what was written; 1 where the bundle cannot be read."""
    parser = argparse.ArgumentParser(description="Write a bundle's ONNX graphs.")
    parser.add_argument("--bundle", type=Path, required=True, help="folder or YAML file")
    parser.add_argument("--part", choices=PART_NAMES, action="append", help="only this one")
    options = parser.parse_args()
    try:
        bundle = Bundle.load(options.bundle)
        for name in options.part or PART_NAMES:
            part = getattr(bundle, name)
            if isinstance(part, OpenAiPart):
                continue
            folder = bundle.folder(part)
            for file, relinked in export_part(name, folder).items():
                size = (folder / file).stat().st_size
                print(f"{folder / file}: {size} bytes, {_weights(relinked)}", flush=True)
    except BundleError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _weights(relinked: object) -> str:
    return "weights inside" if relinked is None else str(relinked)


if __name__ == "__main__":
    sys.exit(main())
