"""The target of a plan, and the nodes that it may use."""

from pathlib import Path
from typing import Literal

import yaml
from pydantic import Field, ValidationError

from capacity.measurements import Measurements, Record
from capacity.problems import CapacityError

Group = Literal["cpu", "gpu"]


class Target(Record):
    """Rate in questions per second, and target p95 of answers."""

    rate: float = Field(gt=0)
    p95_s: float = Field(gt=0)
    rate_limit: float | None = Field(
        default=None,
        gt=0,
        description="Rate limit of a hosted language model, in calls per second.",
    )


class Node(Record):
    """One kind of node."""

    cores: float = Field(ge=1)
    gpus: int = Field(default=0, ge=0)
    price_per_hour: float | None = Field(default=None, ge=0)


class Nodes(Record):
    """The kinds of nodes by worker group, and how many there may be."""

    cpu: Node
    gpu: Node | None = None
    most: int = Field(default=64, ge=1, description="Nodes of each kind.")
    currency: str = ""


class Prices(Record):
    """A file of prices: `currency`, and `nodes` with `cpu` and, where needed, `gpu`."""

    currency: str
    nodes: dict[Group, Node]


def unpriced(measurements: Measurements, cores: float | None, most: int) -> Nodes:
    """Return nodes like the measured one."""
    cpu = Node(cores=cores or measurements.cores)
    return Nodes(cpu=cpu, gpu=cpu.model_copy(update={"gpus": 1}), most=most)


def read_prices(file: Path) -> Prices:
    """Return what a file of prices says.

    Raises:
        CapacityError: There is no such file, or it is something else.
    """
    try:
        return Prices.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except OSError as error:
        raise CapacityError(f"The prices {file} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError:
        raise CapacityError(f"The prices {file} are not YAML.") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the whole file"
        raise CapacityError(f"The prices {file} are wrong: {field}: {first['msg']}.") from None


def priced(prices: Prices, measurements: Measurements, most: int) -> Nodes:
    """Return the nodes that prices are for.

    Raises:
        CapacityError: A price that this app needs is missing.
    """
    needed: list[Group] = ["cpu"]
    if "gpu" in measurements.devices.values():
        needed.append("gpu")
    for group in needed:
        node = prices.nodes.get(group)
        if node is None or node.price_per_hour is None:
            raise CapacityError(
                f"The prices lack nodes.{group}.price_per_hour, which this app needs."
            )
    return Nodes(
        cpu=prices.nodes["cpu"], gpu=prices.nodes.get("gpu"), most=most, currency=prices.currency
    )
