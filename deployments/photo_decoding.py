"""Decode photos in a thread, before they queue for the model.

In the model's thread, the GPU would wait for JPEG decoding; on the event loop, every request would.
"""

import asyncio

from deployments.errors import BadImage
from deployments.messages import Photo
from deployments.telemetry.traces import current
from models.pixels import Rgb, decode_jpeg


async def decoded(photo: Photo) -> Rgb:
    """Return the photo as an array.

    Raises:
        BadImage: The bytes are not a whole JPEG.
    """
    try:
        with current().child("decode"):
            return await asyncio.to_thread(decode_jpeg, photo)
    except ValueError:
        raise BadImage("The photo is not a whole JPEG.", field="image") from None
