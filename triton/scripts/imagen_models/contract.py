"""What a model's config.pbtxt promises, and whether a network keeps it."""
from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np
import onnx
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

IMAGE, ORIGIN = "image", "origin"
PLANS = ("tile", "fit", "whole")
BORDERS = ("pad", "repeat")
KEYS = (
    "plans", "tile_sizes", "margin", "border", "seam_tolerance", "max_whole_pixels",
    "fit_size", "fit_mode", "fit_fill", "scale", "parameters",
)  # fmt: skip
KEY = re.compile(r"imagen\.(?:v[1-9][0-9]*\.)?(.+)")


class ContractError(ValueError):
    """A config.pbtxt or a network breaks the contract; the message says how."""


@dataclass(frozen=True)
class Contract:
    """The contract of one version of one model: `imagen.v<version>.<key>` overrides `imagen.<key>`."""

    model: str
    version: int
    plans: List[str]
    tile_sizes: List[int]
    margin: int
    seam_tolerance: int
    max_whole_pixels: int
    fit_size: Optional[Tuple[int, int]]  # width, height
    scale: int
    channels: int  # 3 for an image, 1 for a mask
    max_batch_size: int
    parameters: Dict[str, Dict[str, Any]] = field(default_factory=dict)

    def sample_size(self) -> Tuple[int, int]:
        """A small (height, width) to try a network on; not square, so that swapped sides show."""
        return (self.fit_size[1], self.fit_size[0]) if self.fit_size else (48, 64)


def read_config(path: Path) -> pb.ModelConfig:
    try:
        return text_format.Parse(path.read_text("utf-8"), pb.ModelConfig())
    except FileNotFoundError as error:
        raise ContractError("there is no %s" % path) from error
    except text_format.ParseError as error:
        raise ContractError("%s: %s" % (path, error)) from error


def read_contract(config: pb.ModelConfig, version: int) -> Contract:
    settings = {key: value.string_value for key, value in config.parameters.items()}

    for name in settings:
        match = KEY.fullmatch(name)
        if match and match.group(1) not in KEYS:
            raise ContractError("%s: %s is not a key of the contract" % (config.name, name))

    def setting(key: str, default: Any = None) -> Any:
        value = settings.get("imagen.v%d.%s" % (version, key), settings.get("imagen." + key))
        return default if value is None else value

    def decoded(key: str, default: str) -> Any:
        try:
            return json.loads(setting(key, default))
        except ValueError as error:
            raise ContractError("%s: imagen.%s is not JSON: %s" % (config.name, key, error)) from error

    plans = decoded("plans", "[]")
    if not plans or set(plans).difference(PLANS):
        raise ContractError("%s: imagen.plans must name some of %s, is %s" % (config.name, ", ".join(PLANS), plans))
    fit_size = setting("fit_size")
    contract = Contract(
        model=config.name,
        version=version,
        plans=plans,
        tile_sizes=decoded("tile_sizes", "[]"),
        margin=int(setting("margin", 0)),
        seam_tolerance=int(setting("seam_tolerance", 1)),
        max_whole_pixels=int(setting("max_whole_pixels", 1048576)),
        fit_size=tuple(int(side) for side in fit_size.split("x")) if fit_size else None,
        scale=int(setting("scale", 1)),
        channels=config.output[0].dims[-1],
        max_batch_size=config.max_batch_size,
        parameters=decoded("parameters", "{}").get("properties", {}),
    )
    if setting("border", "pad") not in BORDERS:
        raise ContractError("%s: imagen.border must be one of %s" % (config.name, ", ".join(BORDERS)))
    if "tile" in plans and not (contract.tile_sizes and min(contract.tile_sizes) > 2 * contract.margin):
        raise ContractError("%s: imagen.tile_sizes must hold sides larger than two margins" % config.name)
    if "fit" in plans and contract.fit_size is None:
        raise ContractError("%s: the plan fit needs imagen.fit_size" % config.name)
    for name, rule in contract.parameters.items():
        if rule.get("type") == "number" and "default" not in rule:
            raise ContractError("%s: the parameter %s needs a default" % (config.name, name))
    return contract


def open_network(path: Path, threads: int = 0) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base but Exception
        raise ContractError("ONNX Runtime cannot load %s: %s" % (path.name, error)) from error


def defaults(session: onnxruntime.InferenceSession, contract: Contract, count: int) -> Dict[str, np.ndarray]:
    """What a network takes beside the image, for `count` pictures that are their own tile."""
    names = [node.name for node in [*session.get_inputs(), *session.get_overridable_initializers()]]
    feeds = {ORIGIN: np.zeros((count, 4), np.int32)} if ORIGIN in names else {}
    for name, rule in contract.parameters.items():
        if name in names:
            feeds[name] = np.full((count, 1), rule["default"], np.float32)
    return feeds


def check_network(path: Path, contract: Contract) -> None:
    """Raises ContractError unless the network at `path` can be served under `contract`. Runs it once."""
    # Before the session: initializers with a default are inputs too, and only the file tells their types.
    try:
        graph = onnx.load(str(path), load_external_data=False).graph
    except Exception as error:  # protobuf's own kind of exception depends on its implementation
        raise ContractError("%s is not an ONNX file: %s" % (path.name, error)) from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in graph.initializer):
        raise ContractError("the weights must be inside the .onnx file, not in files beside it")
    inputs = {value.name: value for value in graph.input}
    stored = {tensor.name for tensor in graph.initializer}
    known = {IMAGE, ORIGIN, *contract.parameters}
    unknown = sorted(name for name in inputs if name not in known and name not in stored)
    if IMAGE not in inputs or unknown:
        raise ContractError(
            "inputs must be %r, and may be %r and what imagen.parameters declares (%s); this network takes %s"
            % (IMAGE, ORIGIN, ", ".join(contract.parameters) or "nothing", ", ".join(inputs) or "nothing")
        )
    if len(graph.output) != 1:
        raise ContractError("there must be one output, there are %d" % len(graph.output))

    height, width = contract.sample_size()
    fixed = contract.fit_size is not None
    sides = (height, width) if fixed else (None, None)
    scaled = (height * contract.scale, width * contract.scale) if fixed else (None, None)
    _check_tensor(inputs[IMAGE], (None, *sides, 3))
    _check_tensor(graph.output[0], (None, *scaled, contract.channels))
    for name in inputs:
        if name == ORIGIN:
            _check_type(inputs[name], onnx.TensorProto.INT32)
        elif name in contract.parameters:
            _check_type(inputs[name], onnx.TensorProto.FLOAT)
    _try_network(path, contract)


def _check_type(value: onnx.ValueInfoProto, dtype: int) -> None:
    actual = value.type.tensor_type.elem_type
    if actual != dtype:
        name = onnx.TensorProto.DataType.Name
        raise ContractError("%r must be %s, is %s" % (value.name, name(dtype), name(actual)))


def _check_tensor(value: onnx.ValueInfoProto, dims: Tuple[Optional[int], ...]) -> None:
    """UINT8 and four dimensions; where `dims` has None the size must be free, else it may be free or equal."""
    _check_type(value, onnx.TensorProto.UINT8)
    actual = [dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim]
    wrong = len(actual) != 4 or any(
        size is not None and size != wanted for size, wanted in zip(actual, dims)
    )
    # An output's sizes may be left undeclared by the exporter; the trial run tells them.
    if wrong and value.type.tensor_type.HasField("shape"):
        show = ["any" if size is None else size for size in dims]
        raise ContractError("%r must be [N, H, W, C] with sizes %s, is %s" % (value.name, show, actual))


def _try_network(path: Path, contract: Contract) -> None:
    session = open_network(path)
    height, width = contract.sample_size()
    count = 1 if contract.fit_size else 2
    image = np.random.RandomState(0).randint(0, 256, (count, height, width, 3)).astype(np.uint8)
    try:
        result = session.run(None, {IMAGE: image, **defaults(session, contract, count)})[0]
    except Exception as error:
        raise ContractError("the network fails on a %dx%d picture: %s" % (width, height, error)) from error
    wanted = (count, height * contract.scale, width * contract.scale, contract.channels)
    if result.shape != wanted or result.dtype != np.uint8:
        raise ContractError("given %s it makes %s %s, not uint8 %s" % (image.shape, result.dtype, result.shape, wanted))
