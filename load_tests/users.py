"""The people of a load test: who asks what, and how often.

One that is refused (503 with Retry-After) is counted in a row of its own and waits as it was told:
a refusal is what an overloaded server should say, and no failure.
"""

import random
from pathlib import Path

import gevent
from locust import FastHttpUser, task

from load_tests import checks, stage_events
from load_tests.client.messages import Reply
from load_tests.client.questions import Photo, as_new, read_photos
from load_tests.limits import REFUSED, SAME_FRAME
from load_tests.requests import Post, ask, bad_requests

FRAME_QUESTIONS = 3
BATCH = 4


class Person(FastHttpUser):
    """Sends a request, checks the reply, and thinks before the next one."""

    abstract = True

    def wait_time(self) -> float:
        """Return a random think time in seconds; a fixed one would synchronise the users."""
        think_s: float = self.environment.parsed_options.think_time_s
        return random.expovariate(1 / think_s) if think_s else 0.0

    def on_start(self) -> None:
        """Read the photos once a process."""
        self.photos = read_photos(Path(self.environment.parsed_options.photos))

    def photo(self) -> Photo:
        """Return a photo that no cache has."""
        photo = random.choice(self.photos)
        return photo._replace(jpeg=as_new(photo.jpeg))

    def question(self, photo: Photo, name: str | None = None) -> Post:
        """Return one of the questions about this photo."""
        question = random.choice(photo.questions)
        options = self.environment.parsed_options
        check = checks.answer(
            question, may_degrade=options.allow_degraded, any_answer=options.any_answer
        )
        return ask(photo.jpeg, question, check, *([name] if name else []))

    def send(self, post: Post) -> None:
        """Send a request and judge its reply; who is refused waits."""
        body, content_type = post.encoded()
        with self.client.post(
            post.path,
            name=post.name,
            data=body,  # type: ignore[arg-type] # bytes are taken, whatever is declared
            headers={"Content-Type": content_type},
            catch_response=True,
        ) as response:
            if not response.status_code:
                return  # no reply at all, which Locust counts by itself
            headers = {name.lower(): value for name, value in response.headers.items()}
            reply = Reply(response.status_code, headers, response.text or "")
            wait_s = reply.retry_after_s()
            fault = post.check(reply) if wait_s is None else None
            if wait_s is not None:
                response.request_meta["request_type"] = REFUSED
            if fault is None:
                response.success()
            else:
                response.failure(fault)
        stage_events.record(self.environment, reply)
        if wait_s is not None:
            gevent.sleep(wait_s)


class Visitor(Person):
    """Asks one question about a photo of their own."""

    weight = 6

    @task
    def ask(self) -> None:
        """Ask."""
        self.send(self.question(self.photo()))


class WebcamVisitor(Person):
    """Asks several questions about one frame, as the page with the webcam does."""

    weight = 3

    @task
    def ask_about_a_frame(self) -> None:
        """Ask a first question, then more that the stages have the photo of already."""
        frame = self.photo()
        self.send(self.question(frame))
        for _ in range(FRAME_QUESTIONS - 1):
            gevent.sleep(self.wait_time())
            self.send(self.question(frame, SAME_FRAME))


class BatchCaller(Person):
    """A script: captions, tags, and embeddings of several photos at a time."""

    weight = 1

    @task
    def caption(self) -> None:
        """Ask for a caption."""
        path = "/v1/captions"
        self.send(Post(path, path, (("image", self.photo().jpeg),), checks.caption()))

    @task
    def tag(self) -> None:
        """Ask for tags."""
        path = "/v1/tags"
        self.send(Post(path, path, (("image", self.photo().jpeg),), checks.tags()))

    @task
    def embed(self) -> None:
        """Ask for vectors of several photos and a text."""
        path = "/v1/embeddings"
        photos = [("images", self.photo().jpeg) for _ in range(BATCH)]
        check = checks.embeddings(BATCH, 1)
        self.send(Post(path, path, (*photos, ("texts", "a red mug")), check))


class BadCaller(Person):
    """Sends what cannot be answered, and must be told so with a problem document."""

    weight = 1

    @task
    def send_something_bad(self) -> None:
        """Send one of the kinds."""
        self.send(random.choice(bad_requests(self.photo().jpeg)))
