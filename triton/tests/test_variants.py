"""Configs for other backends: of every model, parsed as strictly as Triton does, and held against base and network."""
import dataclasses
import json
import re
import tempfile
import unittest
from pathlib import Path

import support
from google.protobuf import text_format
from onnx import TensorProto
from tritonclient.grpc import model_config_pb2 as pb

from imagen_models.contract import ContractError, read_config, read_contract
from imagen_models.graph import Graph
from imagen_models.recipes import ALL
from imagen_models.repository import SOURCE, Repository
from imagen_models.variants import BACKENDS, check_network, make_variant, write_config

NATIVE = BACKENDS[1:]
MODELS = sorted({recipe.model for recipe in ALL})


def base_of(model):
    return read_config(SOURCE / model / "config.pbtxt")


def versions_of(model):
    return [recipe.version for recipe in ALL if recipe.model == model]


def each():
    for model in MODELS:
        for backend in NATIVE:
            yield model, backend, base_of(model), make_variant(base_of(model), versions_of(model), backend)


class EveryModel(unittest.TestCase):
    def test_configs_are_valid(self):
        for model, backend, _base, variant in each():
            for config in variant:
                # Written out and read again: an unknown field or a wrong type is an error.
                with self.subTest(model, backend=backend):
                    self.assertEqual(text_format.Parse(write_config(config, "a test"), pb.ModelConfig()), config)

    def test_the_worker_sees_no_difference_but_the_plans(self):
        for model, backend, base, (front, _inner) in each():
            for version in versions_of(model):
                with self.subTest(model, backend=backend, version=version):
                    was, now = read_contract(base, version), read_contract(front, version)
                    fixed = [plan for plan in was.plans if plan != "whole"]
                    self.assertEqual(now.plans, was.plans if backend == "onnxruntime" else fixed)
                    self.assertEqual(dataclasses.replace(now, plans=was.plans), was)
            self.assertEqual((front.name, front.backend), (base.name, "python"))
            self.assertEqual(front.dynamic_batching, base.dynamic_batching)
            self.assertEqual((list(front.input), list(front.output)), (list(base.input), list(base.output)))

    def test_the_inner_model_takes_whole_batches_of_all_that_the_front_feeds(self):
        for model, backend, base, (front, inner) in each():
            with self.subTest(model, backend=backend):
                self.assertEqual(front.parameters["runtime.model"].string_value, inner.name)
                self.assertEqual((inner.backend, inner.max_batch_size), ("onnxruntime", base.max_batch_size))
                self.assertFalse(inner.HasField("dynamic_batching"))
                fed = [tensor.name for tensor in base.input] + list(read_contract(base, 1).parameters)
                self.assertEqual([tensor.name for tensor in inner.input], fed)
                self.assertEqual(list(inner.output[0].dims), list(base.output[0].dims))
                self.assertEqual([g.count for g in inner.instance_group], [g.count for g in base.instance_group])
                self.assertFalse([key for key in inner.parameters if key.startswith("imagen.")])

    def test_tensorrt_is_told_every_shape_that_the_plans_send(self):
        for model, backend, base, (_front, inner) in each():
            accelerators = inner.optimization.execution_accelerators.gpu_execution_accelerator
            with self.subTest(model, backend=backend):
                if backend == "onnxruntime":
                    self.assertEqual(len(accelerators), 0)
                    continue
                options = dict(accelerators[0].parameters)
                sides = set()
                for version in versions_of(model):
                    contract = read_contract(base, version)
                    sides.update([(s, s) for s in contract.tile_sizes] or [contract.fit_size[::-1]])
                least, most = (shape(options["trt_profile_%s_shapes" % which]) for which in ("min", "max"))
                self.assertEqual(least, (1, *min(sides), 3))
                self.assertEqual(most, (base.max_batch_size, *max(sides), 3))
                self.assertEqual({group.kind for group in inner.instance_group}, {pb.ModelInstanceGroup.KIND_GPU})
                self.assertEqual(
                    {tensor.name for tensor in inner.input},
                    {part.partition(":")[0] for part in options["trt_profile_opt_shapes"].split(",")},
                )


def shape(profile):
    return tuple(int(side) for side in re.match(r"image:([0-9x]+)", profile).group(1).split("x"))


class Networks(unittest.TestCase):
    def test_networks_that_need_no_package_have_the_stated_tensors(self):
        built = [recipe for recipe in ALL if recipe.package is None]
        self.assertTrue(built)
        for recipe in built:
            for backend in NATIVE:
                check_network(recipe.build(None), make_variant(base_of(recipe.model), [1], backend).inner)

    def test_what_does_not_fit_is_refused(self):
        upscale = make_variant(base_of("upscale"), [1, 2], "onnxruntime").inner
        aged = make_variant(base_of("style_aged"), [1], "onnxruntime").inner
        needed = make_variant(base_of("style_comic"), [1], "onnxruntime").inner
        needed.input[0].optional = True
        comic = next(recipe for recipe in ALL if recipe.model == "style_comic").build(None)
        for words, network, config in (
            ("nothing feeds the network's strength", support.brighten(), upscale),
            ("no input 'origin'", support.brighten(), aged),
            ("'image' is", fixed_size(), upscale),
            ("'image' must be optional if", comic, needed),
        ):
            with self.assertRaisesRegex(ContractError, words):
                check_network(network, config)

    def test_a_whole_repository(self):
        with tempfile.TemporaryDirectory() as folder:
            recipe = next(recipe for recipe in ALL if recipe.key == "style_aged/1")
            Repository(Path(folder)).export_variant(recipe, [1], None, "onnxruntime", False)
            files = sorted(str(p.relative_to(folder)) for p in Path(folder).rglob("*") if p.is_file())
            front = ["1/imagen_onnx.py", "1/model.py", "config.pbtxt"]
            inner = ["1/model.onnx", "1/model.onnx.json", "config.pbtxt"]
            self.assertEqual(files, ["style_aged/" + f for f in front] + ["style_aged_onnx/" + f for f in inner])


def fixed_size():
    graph = Graph("fixed")
    image = graph.input("image", TensorProto.UINT8, ["batch", 64, 64, 4])
    graph.output("output", image, TensorProto.UINT8, ["batch", 64, 64, 4])
    return graph.build()


class Refusals(unittest.TestCase):
    def test_tensorrt_without_a_plan_of_fixed_shapes(self):
        config = base_of("style_comic")
        config.parameters["imagen.plans"].string_value = json.dumps(["whole"])
        make_variant(config, [1], "onnxruntime")
        with self.assertRaisesRegex(ContractError, "fixed shapes"):
            make_variant(config, [1], "tensorrt")


class Documents(unittest.TestCase):
    def test_the_pytorch_example_is_valid_and_its_two_models_fit_each_other(self):
        text = (SOURCE.parent / "README.md").read_text("utf-8")
        shown = [text_format.Parse(block, pb.ModelConfig()) for block in re.findall(r"```pbtxt\n(.*?)```", text, re.S)]
        front, inner = sorted(shown, key=lambda config: config.backend != "python")
        self.assertEqual((front.backend, inner.backend), ("python", "pytorch"))
        read_contract(front, 1)
        self.assertEqual(front.parameters["runtime.model"].string_value, inner.name)
        self.assertEqual(front.parameters["runtime.output"].string_value, inner.output[0].name)
        self.assertEqual(list(front.input), list(inner.input))
        self.assertEqual(list(front.output[0].dims), list(inner.output[0].dims))
        self.assertEqual(front.max_batch_size, inner.max_batch_size)


if __name__ == "__main__":
    unittest.main()
