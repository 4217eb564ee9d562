"""What can be known of a start from files alone, before Ray starts.

A stage would find the same out half a minute later, in another process and three times over.
"""

from collections.abc import Mapping
from importlib.util import find_spec

from deployments.stages import Stage
from models.bundle import Bundle, BundleError, HubPart, LocalPart, OpenAiPart
from models.settings import EngineSettings
from serve.settings import AppSettings

_NEEDED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "onnx": ("onnxruntime", ("*.onnx",)),
    "torch": ("torch", ("*.safetensors", "pytorch_model*.bin")),
}
"""For each engine its package, and the files of a model of which one must be there."""


def check_files(settings: AppSettings) -> None:
    """Make sure that the bundle is whole enough for every stage to begin to load.

    Raises:
        BundleError: A part, or what its engine needs, is not on this machine.
    """
    bundle = Bundle.load(settings.bundle)
    parts: dict[Stage, LocalPart | HubPart | OpenAiPart] = {
        "captioner": bundle.captioner,
        "tagger": bundle.tagger,
        "retriever": bundle.clip,
        "answerer": bundle.answerer,
    }
    for stage, part in parts.items():
        if not isinstance(part, OpenAiPart):
            engine: EngineSettings = getattr(settings, stage).engine
            package, patterns = _NEEDED[engine.engine]
            folder = bundle.folder(part)
            if find_spec(package) is None:
                raise BundleError(
                    f"the {stage} is set to engine {engine.engine}, but {package} is not installed"
                )
            if not any(any(folder.glob(pattern)) for pattern in patterns):
                raise BundleError(
                    f"the {stage} is set to engine {engine.engine}, but {folder} has no"
                    f" {' or '.join(patterns)}"
                )
    bundle.bank_folder()
