"""What a run needs, on graphs small enough to add up by hand; and that all models together fit the GPU they are for."""
import unittest

import support  # noqa: F401  (sets the path)
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from imagen_models.contract import read_config, read_contract
from imagen_models.memory import measure
from imagen_models.repository import SOURCE
from memory import run_limit, runs


def network(*nodes, weights=()):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node(kind, inputs, outputs) for kind, inputs, outputs in nodes],
        "toy",
        [value("x", TensorProto.FLOAT, ["n", 10])],
        [value("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in weights],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])


class Peak(unittest.TestCase):
    def test_a_value_is_freed_after_whoever_reads_it_last(self):
        chain = network(("Relu", ["x"], ["a"]), ("Relu", ["a"], ["b"]), ("Relu", ["b"], ["y"]))
        self.assertEqual(measure(chain, {"x": (5, 10)}).peak, 2 * 200)

    def test_what_is_needed_later_stays(self):
        skip = network(("Relu", ["x"], ["a"]), ("Relu", ["a"], ["b"]), ("Relu", ["b"], ["c"]), ("Add", ["c", "x"], ["y"]))
        self.assertEqual(measure(skip, {"x": (5, 10)}).peak, 3 * 200)

    def test_weights_are_counted_apart_and_grow_with_nothing(self):
        dense = network(("MatMul", ["x", "w"], ["y"]), weights=[("w", np.zeros((10, 30), np.float32))])
        for count in (1, 4):
            memory = measure(dense, {"x": (count, 10)})
            self.assertEqual((memory.weights, memory.peak, memory.unknown), (1200, count * (40 + 120), 0))

    def test_a_reshape_takes_no_memory_of_its_own(self):
        flat = network(("Relu", ["x"], ["a"]), ("Flatten", ["a"], ["b"]), ("Relu", ["b"], ["y"]))
        self.assertEqual(measure(flat, {"x": (5, 10)}).peak, 2 * 200)

    def test_a_value_of_unknown_size_counts_as_the_largest(self):
        odd = network(("NonZero", ["x"], ["a"]), ("Cast", ["a"], ["y"]))
        odd.graph.node[1].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
        memory = measure(odd, {"x": (5, 10)})
        self.assertEqual((memory.peak, memory.unknown), (2 * 200, 2))


class Limits(unittest.TestCase):
    def test_a_full_batch_of_tiles_is_never_split_for_want_of_memory(self):
        for model in ("upscale", "enhance", "style_comic", "style_aged"):
            config = read_config(SOURCE / model / "config.pbtxt")
            found = dict((plan, count) for plan, count, _h, _w in runs(read_contract(config, 1), run_limit(config, 1)))
            self.assertEqual(found["tile"], config.max_batch_size, model)

    def test_the_dear_network_has_a_limit_of_its_own(self):
        config = read_config(SOURCE / "upscale" / "config.pbtxt")
        sizes = {plan: n * h * w for plan, n, h, w in runs(read_contract(config, 2), run_limit(config, 2))}
        self.assertEqual(sizes, {"tile": 4 * 256 * 256, "whole": 512 * 512})


if __name__ == "__main__":
    unittest.main()
