"""Serves one ONNX image network from Triton's Python backend. `export_models.py` puts this file beside every model.py.

Triton's dynamic batcher hands `execute` a list of requests. Those of one size are joined and run once; the answers
are cut apart again. A request that is wrong gets its own error and leaves its neighbours alone.

What the network takes decides what is fed to it:

* `image`: the pixels, always;
* `origin`: where the tile lies in the whole picture; zeros (the tile is the picture) where a request sends none;
* anything else is a number that a job may pass, declared in the model's `imagen.parameters`.

Its one output becomes the one output that config.pbtxt names. Settings come from `parameters` in config.pbtxt:
`onnx.threads` (0: every core this process may use) and `onnx.max_run_pixels` (0: no limit), which splits a batch
that would need too much memory into several runs; `onnx.v<version>.max_run_pixels` is one version's own.

With `runtime.model` the network is another model of the same server, whatever its backend: runs are handed to its
version of the same number. It takes the inputs above by their names, every one of them; `runtime.output` is what its
output is called.
"""
from __future__ import annotations

import json
import os
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np
import triton_python_backend_utils as pb_utils

IMAGE, ORIGIN = "image", "origin"


class BadRequest(ValueError):
    """This request cannot be served; the message is for whoever sent it."""


class Work(NamedTuple):
    """One readable request: its place in the batch and its named inputs, all with the batch as first dimension."""

    place: int
    feeds: Dict[str, np.ndarray]

    @property
    def image(self) -> np.ndarray:
        return self.feeds[IMAGE]


class OnnxImageModel:
    """The class that Triton drives; `model.py` only gives it the name Triton looks for."""

    def initialize(self, args: Dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        settings = {key: value["string_value"] for key, value in config.get("parameters", {}).items()}
        self.output = config["output"][0]["name"]
        own = "onnx.v%s.max_run_pixels" % args["model_version"]
        self.max_run_pixels = int(settings.get(own, settings.get("onnx.max_run_pixels", 0)))
        schema = json.loads(settings.get("imagen.parameters", "{}"))
        self.parameters: Dict[str, Dict[str, Any]] = schema.get("properties", {})

        if "runtime.model" in settings:
            output = settings.get("runtime.output", "output")
            self.session: Any = ServedModel(settings["runtime.model"], int(args["model_version"]), output)
            takes_origin = any(tensor["name"] == ORIGIN for tensor in config["input"])
            self.inputs = [IMAGE, *([ORIGIN] if takes_origin else []), *self.parameters]
        else:
            folder = os.path.join(args["model_repository"], args["model_version"])
            self.session = open_session(os.path.join(folder, "model.onnx"), args, int(settings.get("onnx.threads", 0)))
            self.inputs = [node.name for node in self.session.get_inputs()]
            self.inputs += [node.name for node in self.session.get_overridable_initializers()]
        unknown = set(self.inputs).difference(self.parameters, (IMAGE, ORIGIN))
        if IMAGE not in self.inputs or unknown:
            raise ValueError(
                "model.onnx takes %s; %r and what imagen.parameters declares is known"
                % (", ".join(self.inputs), (IMAGE, ORIGIN))
            )
        self.fed_parameters = [name for name in self.inputs if name in self.parameters]
        for name in self.fed_parameters:
            if "default" not in self.parameters[name]:
                raise ValueError("imagen.parameters: %r needs a default, for jobs that leave it out" % name)
        self.parameter_names = set(self.parameters)

        provider = self.session.get_providers()[0]
        pb_utils.Logger.log_info(
            "%s version %s: %s, inputs %s" % (args["model_name"], args["model_version"], provider, self.inputs)
        )
        if provider not in ("CPUExecutionProvider", ServedModel.__name__):
            self.warm_up(settings)

    def warm_up(self, settings: Dict[str, str]) -> None:
        """Loads a GPU's kernels before Triton calls the model ready, rather than during the first request."""
        if "imagen.fit_size" in settings:
            width, height = (int(side) for side in settings["imagen.fit_size"].split("x"))
        else:
            width = height = min(json.loads(settings.get("imagen.tile_sizes", "[64]")))
        feeds = {IMAGE: np.zeros((1, height, width, 3), np.uint8)}
        if ORIGIN in self.inputs:
            feeds[ORIGIN] = np.zeros((1, 4), np.int32)
        for name in self.fed_parameters:
            feeds[name] = np.full((1, 1), self.parameters[name]["default"], np.float32)
        self.session.run(None, feeds)

    # -- requests -----------------------------------------------------------------------------------------------

    def execute(self, requests: List[Any]) -> List[Any]:
        responses: List[Any] = [None] * len(requests)
        groups: Dict[Tuple[int, ...], List[Work]] = {}
        for place, request in enumerate(requests):
            try:
                work = Work(place, self.read(request))
                groups.setdefault(work.image.shape[1:], []).append(work)
            except BadRequest as error:
                responses[place] = failure(str(error), pb_utils.TritonError.INVALID_ARG)
        for group in groups.values():
            for run in self.split(group):
                self.serve(run, responses)
        return responses

    def read(self, request: Any) -> Dict[str, np.ndarray]:
        tensor = pb_utils.get_input_tensor_by_name(request, IMAGE)
        if tensor is None:
            raise BadRequest("the input %r is missing" % IMAGE)
        image = tensor.as_numpy()
        if image.ndim != 4 or image.shape[3] != 3 or 0 in image.shape:
            raise BadRequest("the input %r must be [N, H, W, 3], is %s" % (IMAGE, list(image.shape)))
        feeds, count = {IMAGE: image}, image.shape[0]
        if ORIGIN in self.inputs:
            tensor = pb_utils.get_input_tensor_by_name(request, ORIGIN)
            origin = np.zeros((count, 4), np.int32) if tensor is None else tensor.as_numpy()
            if origin.shape != (count, 4):
                raise BadRequest("the input %r must be [%d, 4], is %s" % (ORIGIN, count, list(origin.shape)))
            feeds[ORIGIN] = origin
        given = json.loads(request.parameters() or "{}") if self.parameters else {}
        for name in self.fed_parameters:
            feeds[name] = np.full((count, 1), self.number(name, given), np.float32)
        return feeds

    def number(self, name: str, given: Dict[str, Any]) -> float:
        rule = self.parameters[name]
        value = given[name] if name in given else rule["default"]
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise BadRequest("the parameter %r must be a number, is %r" % (name, value))
        low, high = rule.get("minimum", -np.inf), rule.get("maximum", np.inf)
        if not low <= value <= high:
            raise BadRequest("the parameter %r must lie in %g to %g, is %g" % (name, low, high, value))
        return float(value)

    # -- runs ---------------------------------------------------------------------------------------------------

    def split(self, group: List[Work]) -> List[List[Work]]:
        """Cuts a group of one size into runs of at most `max_run_pixels`, but never a request into two."""
        runs: List[List[Work]] = []
        pixels = 0
        for work in group:
            size = int(np.prod(work.image.shape[:3]))
            if not runs or (self.max_run_pixels and pixels + size > self.max_run_pixels):
                runs.append([])
                pixels = 0
            runs[-1].append(work)
            pixels += size
        return runs

    def serve(self, run: List[Work], responses: List[Any]) -> None:
        try:
            if len(run) == 1:
                feeds = run[0].feeds
            else:
                feeds = {name: np.concatenate([work.feeds[name] for work in run]) for name in run[0].feeds}
            result = self.session.run(None, feeds)[0]
        except Exception as error:  # whatever ONNX Runtime raises concerns this run alone
            pb_utils.Logger.log_error("a run of %d requests failed: %s" % (len(run), error))
            if len(run) > 1:  # one of them may be to blame, or the batch may be too large: each by itself
                for work in run:
                    self.serve([work], responses)
            elif isinstance(error, Refused):  # in the server's own words, by which the worker tells whose fault it is
                responses[run[0].place] = failure(str(error), error.code)
            else:
                responses[run[0].place] = failure("inference failed: %s" % error, pb_utils.TritonError.INTERNAL)
            return
        start = 0
        for work in run:
            end = start + work.image.shape[0]
            tensor = pb_utils.Tensor(self.output, result[start:end])
            responses[work.place] = pb_utils.InferenceResponse(output_tensors=[tensor])
            start = end


def failure(message: str, code: Any) -> Any:
    return pb_utils.InferenceResponse(output_tensors=[], error=pb_utils.TritonError(message, code))


class Refused(RuntimeError):
    """What the server answers for a model that another model has asked."""

    def __init__(self, message: str, code: Any) -> None:
        super().__init__(message)
        self.code = code


class ServedModel:
    """As much of an inference session as is used here, answered by another model of the same server."""

    def __init__(self, model: str, version: int, output: str) -> None:
        self.model, self.version, self.output = model, version, output

    def get_providers(self) -> List[str]:
        return [ServedModel.__name__]

    def run(self, _outputs: None, feeds: Dict[str, np.ndarray]) -> List[np.ndarray]:
        request = pb_utils.InferenceRequest(
            model_name=self.model,
            model_version=self.version,
            requested_output_names=[self.output],
            inputs=[pb_utils.Tensor(name, data) for name, data in feeds.items()],
            # Wherever it was computed, it is cut apart here.
            preferred_memory=pb_utils.PreferredMemory(pb_utils.TRITONSERVER_MEMORY_CPU, 0),
        )
        response = request.exec()
        if response.has_error():
            error = response.error()
            raise Refused(error.message(), error.code() if hasattr(error, "code") else pb_utils.TritonError.INTERNAL)
        # The tensor's memory is the response's, and ends with it.
        return [pb_utils.get_output_tensor_by_name(response, self.output).as_numpy().copy()]


def open_session(path: str, args: Dict[str, str], threads: int) -> Any:
    import onnxruntime  # where another model runs the network, there need be none

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Several models share the cores with each other and with the worker: idle threads must sleep, not spin.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers: List[Any] = ["CPUExecutionProvider"]
    if args["model_instance_kind"] == "GPU" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        cuda = {
            "device_id": args["model_instance_device_id"],
            # Grow by what is asked for, not by doubling: several models share one GPU's memory.
            "arena_extend_strategy": "kSameAsRequested",
            # Exhaustive search would time every algorithm again for every new shape.
            "cudnn_conv_algo_search": "HEURISTIC",
        }
        providers.insert(0, ("CUDAExecutionProvider", cuda))
    return onnxruntime.InferenceSession(path, options, providers=providers)
