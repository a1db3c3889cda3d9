"""Other ways to run a model's networks: Triton's ONNX Runtime backend, plain or with TensorRT.

Both are made from the model's one config.pbtxt, so contract, batching and queueing are stated once. One name for an
input and an output, as the contract has it, is possible neither in ONNX nor in an ensemble (which answers with what it
was sent). So a model becomes two:

* `<model>` stays what it is, contract, batcher and all; but its model.py (triton/runtime) opens no network. It joins
  the requests of a batch, as ever, and hands each run to
* `<model>_onnx`, which runs the same model.onnx, of the same version, under the network's own tensor names.

The worker sees no difference: parameters, `origin` and versions are all kept.
"""
from __future__ import annotations

import json
import re
from typing import Dict, List, NamedTuple, Tuple

import onnx
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from .contract import IMAGE, ORIGIN, Contract, ContractError, read_contract
from .graph import OUTPUT

BACKENDS = ("python", "onnxruntime", "tensorrt")
ENGINES = "/var/cache/imagen/tensorrt"  # where TensorRT keeps its engines; a volume, or every start builds them again
WORKSPACE_BYTES = 1 << 30
FIXED_SHAPES = ("tile", "fit")
PLANS_KEY = re.compile(r"imagen\.(?:v[1-9][0-9]*\.)?plans")


class Variant(NamedTuple):
    """Two configs that belong together."""

    front: pb.ModelConfig
    inner: pb.ModelConfig


def make_variant(base: pb.ModelConfig, versions: List[int], backend: str) -> Variant:
    """The configs of a model with these versions under `backend`, `onnxruntime` or `tensorrt`.

    Raises ContractError where the backend cannot serve the contract of one of the versions.
    """
    if backend not in BACKENDS[1:]:
        raise ContractError("there is no variant for the backend %r" % backend)
    contracts = [read_contract(base, version) for version in versions]
    inner = _inner(base, contracts[0])
    front = pb.ModelConfig()
    front.CopyFrom(base)
    front.parameters["runtime.model"].string_value = inner.name
    for group in front.instance_group:
        group.kind = pb.ModelInstanceGroup.KIND_CPU  # it only joins and cuts; the network's instance has the GPU
    if backend == "tensorrt":
        _accelerate(inner, contracts)
        for key in front.parameters:
            if PLANS_KEY.fullmatch(key):
                plans = json.loads(front.parameters[key].string_value)
                fixed = [plan for plan in plans if plan in FIXED_SHAPES]
                front.parameters[key].string_value = json.dumps(fixed)
    return Variant(front, inner)


def _inner(base: pb.ModelConfig, contract: Contract) -> pb.ModelConfig:
    inner = pb.ModelConfig(name=base.name + "_onnx", backend="onnxruntime", max_batch_size=base.max_batch_size)
    inner.input.extend(base.input)
    for name in contract.parameters:
        inner.input.add(name=name, data_type=pb.TYPE_FP32, dims=[1], optional=True)
    inner.output.extend(base.output)
    inner.output[0].name = OUTPUT
    inner.version_policy.CopyFrom(base.version_policy)
    inner.instance_group.extend(base.instance_group)
    # Batches come joined: there is nothing to wait for, and no dynamic batching.
    threads = base.parameters["onnx.threads"].string_value if "onnx.threads" in base.parameters else "0"
    inner.parameters["intra_op_thread_count"].string_value = threads
    return inner


def _accelerate(inner: pb.ModelConfig, contracts: List[Contract]) -> None:
    """Half precision, one profile for all shapes that the contracts can send, engines kept over restarts."""
    for group in inner.instance_group:
        group.kind = pb.ModelInstanceGroup.KIND_GPU
    sides = sorted(side for contract in contracts for side in _sides(contract))
    largest = max(1, inner.max_batch_size)
    accelerator = inner.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    options = {
        "precision_mode": "FP16",
        "max_workspace_size_bytes": str(WORKSPACE_BYTES),
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": ENGINES,
        "trt_profile_min_shapes": _profile(inner, 1, sides[0]),
        "trt_profile_opt_shapes": _profile(inner, largest, sides[-1]),
        "trt_profile_max_shapes": _profile(inner, largest, sides[-1]),
    }
    for key, value in options.items():
        accelerator.parameters[key] = value


def _profile(inner: pb.ModelConfig, count: int, side: Tuple[int, int]) -> str:
    shapes = {IMAGE: [*side, 3]}
    named = ["%s:%s" % (t.name, "x".join(str(s) for s in [count, *shapes.get(t.name, t.dims)])) for t in inner.input]
    return ",".join(named)


def _sides(contract: Contract) -> List[Tuple[int, int]]:
    """Every (height, width) that the plans of fixed shapes send."""
    sides = [(side, side) for side in contract.tile_sizes] if "tile" in contract.plans else []
    if "fit" in contract.plans and contract.fit_size:
        sides.append((contract.fit_size[1], contract.fit_size[0]))
    if not sides:
        # An engine is built for the shapes of its profile: a picture of another size stops the model for minutes.
        raise ContractError(
            "%s: TensorRT needs fixed shapes, the plan tile or fit; there are %s" % (contract.model, contract.plans)
        )
    return sides


def check_network(model: onnx.ModelProto, inner: pb.ModelConfig) -> None:
    """Raises ContractError unless names, types and shapes of the network are those that `inner` states."""
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    values = {value.name: value for value in graph.input}
    stated = {tensor.name: tensor for tensor in inner.input}
    unfed = sorted(name for name in values if name not in stated)
    if unfed:
        raise ContractError("%s: nothing feeds the network's %s" % (inner.name, ", ".join(unfed)))
    for name, tensor in stated.items():
        if name not in values:
            raise ContractError("%s: the network has no input %r" % (inner.name, name))
        # The backend takes an input with a stored default for optional, and no other.
        if tensor.optional != (name in stored):
            raise ContractError("%s: %r must be optional if it has a default, and only then" % (inner.name, name))
        _check_tensor(inner, tensor, values[name])
    if [value.name for value in graph.output] != [tensor.name for tensor in inner.output]:
        raise ContractError("%s: the network's output is not %r" % (inner.name, inner.output[0].name))
    _check_tensor(inner, inner.output[0], graph.output[0])


TYPES: Dict[int, int] = {
    onnx.TensorProto.UINT8: pb.TYPE_UINT8,
    onnx.TensorProto.INT32: pb.TYPE_INT32,
    onnx.TensorProto.FLOAT: pb.TYPE_FP32,
}


def _check_tensor(inner: pb.ModelConfig, stated, value: onnx.ValueInfoProto) -> None:
    kind = value.type.tensor_type
    if TYPES.get(kind.elem_type) != stated.data_type:
        raise ContractError("%s: %r is of another type in the network" % (inner.name, stated.name))
    dims = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in kind.shape.dim]
    fits = len(dims) == len(stated.dims) + 1 and all(a in (-1, b) or b == -1 for a, b in zip(dims[1:], stated.dims))
    if dims[:1] != [-1] or not fits:
        raise ContractError("%s: %r is %s in the network, not %s" % (inner.name, stated.name, dims, list(stated.dims)))


def write_config(config: pb.ModelConfig, source: str) -> str:
    """The text of a generated config.pbtxt, which says where it comes from."""
    return "# Generated by export_models.py from %s; change that, and export again.\n%s" % (
        source,
        text_format.MessageToString(config),
    )
