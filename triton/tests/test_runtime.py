"""The Python backend's model, driven as Triton drives it; only Triton's own module is a stand-in."""
import json
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

import support
import numpy as np
import onnx

from imagen_models.graph import Graph
from imagen_models.recipes import aged

SCHEMA = {"properties": {"strength": {"type": "number", "minimum": 0, "maximum": 2, "default": 1}}}


class Tensor:
    def __init__(self, name, array):
        self.name, self.array = name, array

    def as_numpy(self):
        return self.array


class Response:
    def __init__(self, output_tensors, error=None):
        self.output, self.error = (output_tensors or [None])[0], error


class TritonError(str):
    INVALID_ARG, INTERNAL, UNAVAILABLE = "invalid argument", "internal", "unavailable"

    def __new__(cls, message, code):
        error = super().__new__(cls, message)
        error.code = code
        return error


class Request:
    def __init__(self, parameters=None, **inputs):
        self.inputs, self.given = inputs, json.dumps(parameters) if parameters else ""

    def parameters(self):
        return self.given


def backend():
    module = types.ModuleType("triton_python_backend_utils")
    module.Tensor, module.InferenceResponse, module.TritonError = Tensor, Response, TritonError
    module.Logger = mock.Mock()
    module.get_input_tensor_by_name = lambda request, name: (
        Tensor(name, request.inputs[name]) if name in request.inputs else None
    )
    return module


sys.modules.setdefault("triton_python_backend_utils", backend())
import imagen_onnx  # noqa: E402


class Served(unittest.TestCase):
    def serve(self, network, schema=SCHEMA, **settings):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        (Path(folder.name) / "1").mkdir()
        onnx.save(network, str(Path(folder.name) / "1" / "model.onnx"))
        parameters = {"imagen.parameters": json.dumps(schema), "onnx.threads": "1", **settings}
        model = imagen_onnx.OnnxImageModel()
        model.initialize(
            {
                "model_config": json.dumps(
                    {
                        "input": [{"name": "image"}],
                        "output": [{"name": "image"}],
                        "parameters": {key: {"string_value": value} for key, value in parameters.items()},
                    }
                ),
                "model_repository": folder.name,
                "model_version": "1",
                "model_name": "test",
                "model_instance_kind": "CPU",
                "model_instance_device_id": "0",
            }
        )
        self.inner = model.session
        self.session = model.session = mock.Mock(wraps=self.inner)
        return model

    def runs(self):
        """The batch size of every run so far."""
        return [call.args[1]["image"].shape[0] for call in self.session.run.call_args_list]

    def test_requests_of_one_size_are_one_run_and_get_their_own_answers(self):
        model = self.serve(support.brighten())
        images = [support.noise(n, 6, 8, 3) // (place + 2) for place, n in enumerate((1, 2, 1))]
        answers = model.execute([Request(image=image) for image in images])
        self.assertEqual(self.runs(), [4])
        for image, answer in zip(images, answers):
            self.assertEqual(answer.output.name, "image")
            alone = model.execute([Request(image=image)])[0].output.as_numpy()
            np.testing.assert_array_equal(answer.output.as_numpy(), alone)

    def test_sizes_are_run_apart_and_answered_in_order(self):
        model = self.serve(support.brighten())
        sizes = [(6, 8), (8, 6), (6, 8)]
        answers = model.execute([Request(image=support.noise(1, *size, 3)) for size in sizes])
        self.assertEqual([a.output.as_numpy().shape[1:3] for a in answers], sizes)
        self.assertEqual(sorted(self.runs()), [1, 2])

    def test_each_request_has_its_own_parameters_in_one_run(self):
        model = self.serve(support.brighten())
        image = np.zeros((1, 2, 2, 3), np.uint8)
        answers = model.execute([Request({"strength": s}, image=image) for s in (0, 0.5, 2)] + [Request(image=image)])
        self.assertEqual([int(a.output.as_numpy().max()) for a in answers], [0, 13, 51, 26])
        self.assertEqual(self.runs(), [4])

    def test_a_bad_request_leaves_its_neighbours_alone(self):
        model = self.serve(support.brighten())
        good = support.noise(1, 4, 4, 3)
        answers = model.execute(
            [
                Request(image=good),
                Request({"strength": 3}, image=good),
                Request({"strength": "much"}, image=good),
                Request(image=good[0]),
                Request(),
                Request(image=good),
            ]
        )
        self.assertEqual([answer.error is None for answer in answers], [True, False, False, False, False, True])
        self.assertEqual({answer.error.code for answer in answers[1:5]}, {TritonError.INVALID_ARG})
        self.assertIn("0 to 2", answers[1].error)
        self.assertIn("must be a number", answers[2].error)
        self.assertIn("[N, H, W, 3]", answers[3].error)
        self.assertIn("missing", answers[4].error)

    def test_when_a_joined_run_fails_each_request_is_tried_by_itself(self):
        model = self.serve(support.brighten())
        def fail_on_black(_names, feeds):
            if (feeds["image"].max(axis=(1, 2, 3)) == 0).any():
                raise RuntimeError("black")
            return self.inner.run(None, feeds)

        self.session.run.side_effect = fail_on_black
        white, black = np.full((1, 2, 2, 3), 9, np.uint8), np.zeros((1, 2, 2, 3), np.uint8)
        answers = model.execute([Request(image=image) for image in (white, black, white)])
        self.assertEqual([answer.error is None for answer in answers], [True, False, True])
        self.assertEqual(self.runs(), [3, 1, 1, 1])

    def test_runs_are_split_by_pixels_but_requests_are_not(self):
        model = self.serve(support.brighten(), **{"onnx.max_run_pixels": "40"})
        model.execute([Request(image=support.noise(n, 4, 4, 3)) for n in (1, 1, 1, 3)])
        self.assertEqual(self.runs(), [2, 1, 3])
        model = self.serve(support.brighten(), **{"onnx.max_run_pixels": "40", "onnx.v1.max_run_pixels": "16"})
        model.execute([Request(image=support.noise(n, 4, 4, 3)) for n in (1, 1, 1, 3)])
        self.assertEqual(self.runs(), [1, 1, 1, 3])

    def test_a_parameter_without_a_default_is_refused_when_the_model_is_loaded(self):
        with self.assertRaisesRegex(ValueError, "'strength' needs a default"):
            self.serve(support.brighten(), {"properties": {"strength": {"type": "number"}}})

    def test_origin_is_optional_and_each_requests_own(self):
        schema = {"properties": {n: {"default": 1} for n in ("strength", "grain", "vignette")}}
        model = self.serve(aged.build(None), schema)
        image = support.noise(1, 8, 8, 3)
        origins = [np.array([o], np.int32) for o in ([0, 0, 8, 8], [40, 40, 64, 64])]
        requests = [Request(image=image), *(Request(image=image, origin=origin) for origin in origins)]
        plain, same, other = (answer.output.as_numpy() for answer in model.execute(requests))
        np.testing.assert_array_equal(plain, same)
        self.assertTrue((plain != other).any())
        self.assertEqual(self.runs(), [3])
        bad = model.execute([Request(image=image, origin=np.zeros((1, 3), np.int32))])[0]
        self.assertIn("[1, 4]", bad.error)

    def test_another_model_of_the_server_may_run_the_network(self):
        asked = []

        class Inference:
            def __init__(self, model_name, model_version, requested_output_names, inputs, preferred_memory):
                self.inputs = {tensor.name: tensor.array for tensor in inputs}
                asked.append((model_name, model_version, requested_output_names, self.inputs))

            def exec(self):
                failed = self.inputs["image"].max() == 0
                error = mock.Mock(**{"message.return_value": "black", "code.return_value": TritonError.UNAVAILABLE})
                return mock.Mock(
                    **{"has_error.return_value": failed, "error.return_value": error},
                    made=self.inputs["image"] + np.uint8(1),
                )

        utils = imagen_onnx.pb_utils
        utils.InferenceRequest, utils.PreferredMemory = Inference, mock.Mock()
        utils.TRITONSERVER_MEMORY_CPU = 0
        utils.get_output_tensor_by_name = lambda response, name: Tensor(name, response.made)
        model = self.serve(support.brighten(), **{"runtime.model": "elsewhere", "runtime.output": "out"})
        white, black = np.full((1, 2, 2, 3), 9, np.uint8), np.zeros((1, 2, 2, 3), np.uint8)

        answers = model.execute([Request({"strength": 0.5}, image=white), Request(image=white)])
        self.assertEqual([int(answer.output.as_numpy().max()) for answer in answers], [10, 10])
        ((name, version, outputs, fed),) = asked
        self.assertEqual((name, version, outputs), ("elsewhere", 1, ["out"]))
        self.assertEqual(fed["strength"].tolist(), [[0.5], [1]])
        self.assertEqual(fed["image"].shape, (2, 2, 2, 3))

        failed = model.execute([Request(image=black)])[0].error
        self.assertEqual((failed.code, failed), (TritonError.UNAVAILABLE, "black"))

    def test_a_network_with_an_input_that_nothing_fills_is_not_loaded(self):
        graph = Graph("odd")
        graph.image_output(graph.mul(graph.image(), graph.parameter("mystery", 1.0)))
        with self.assertRaisesRegex(ValueError, "mystery"):
            self.serve(graph.build())


if __name__ == "__main__":
    unittest.main()
