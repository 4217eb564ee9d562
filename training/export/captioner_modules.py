"""What a family of captioners brings to its graphs: two modules, their sizes, and attention.

The decoder puts the beams of one photo beside each other in one attention product over the photo,
so that the photo's keys and values are never repeated for beams.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Heads:
    """Attention heads of a decoder; sizes are numbers, since a traced shape adds nodes."""

    count: int
    size: int

    def split(self, states: Tensor, *, groups: int) -> Tensor:
        """Reshape (groups * positions, width) to (groups, heads, positions, head size)."""
        return states.view(groups, -1, self.count, self.size).transpose(1, 2)

    def attend_to_past(
        self, query: Tensor, key: Tensor, value: Tensor, past: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Attend from one new token of each row to it and to the tokens before.

        Args:
            query: Shape (rows, width), as `key` and `value`.
            key: Of the new token.
            value: Of the new token.
            past: Key and value so far, (rows, heads, length, head size).

        Returns:
            What was attended to, (rows, width), and key and value with the new token.
        """
        query, key, value = (
            part.view(-1, self.count, 1, self.size) for part in (query, key, value)
        )
        cache = [torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)]
        return self._attend(query, *cache), cache

    def attend_to_photo(self, query: Tensor, photo: list[Tensor]) -> Tensor:
        """Attend with the rows of a photo as positions of one query.

        Args:
            query: Shape (rows, width).
            photo: Key and value, (photos, heads, patches, head size).

        Returns:
            Shape (rows, width).
        """
        return self._attend(self.split(query, groups=photo[0].shape[0]), *photo)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        weights = torch.matmul(query * self.size**-0.5, key.transpose(-1, -2)).softmax(dim=-1)
        attended = torch.matmul(weights, value).transpose(1, 2)
        return attended.reshape(-1, self.count * self.size)


@dataclass(frozen=True)
class CaptionerModules:
    """A captioner as two modules in evaluation mode.

    The encoder takes pixel_values and returns key and value of the decoder's attention to the
    photo, layer by layer; the decoder takes input_ids, parents, past and these, and returns the
    logits and the keys and values of the text so far. Shapes: see `export_captioner`.
    """

    encoder: nn.Module
    decoder: nn.Module
    photo: tuple[int, int, int]
    """Channels, height and width of pixel_values."""
    layers: int
    """Layers of the decoder."""
    heads: Heads
