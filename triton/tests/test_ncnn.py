"""The ncnn converter, on networks small enough to compute by hand."""
import struct
import unittest

import support  # noqa: F401  (sets the path)
import numpy as np
from onnx import TensorProto

from imagen_models.graph import Graph
from imagen_models.ncnn import FLOAT16_TAG, NcnnError, convert, parse_param


def run(param, weights, x):
    graph = Graph("test")
    source = graph.input("x", TensorProto.FLOAT, ["n", x.shape[1], "h", "w"])
    made = convert(graph, source, param, weights, channels=x.shape[1])
    graph.output("y", made, TensorProto.FLOAT, ["n", "c", "h2", "w2"])
    return support.session(graph.build()).run(None, {"x": x})[0]


def network(*layers):
    return "7767517\n%d %d\n%s\n" % (len(layers), len(layers), "\n".join(layers))


def half(values):
    data = np.asarray(values, "<f2").tobytes()
    return struct.pack("<I", FLOAT16_TAG) + data + b"\0" * (-len(data) % 4)


def single(values):
    return np.asarray(values, "<f4").tobytes()


PICTURE = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2)


class Layers(unittest.TestCase):
    def test_convolution_with_float16_weights_bias_and_padding_of_the_file(self):
        # One output of three inputs: 3 weights of 2 bytes, padded to 8.
        param = network("Input in 0 1 a", "Convolution c 1 1 a b 0=1 1=1 5=1 6=3")
        y = run(param, half([1, 2, 0.5]) + single([10]), PICTURE)
        np.testing.assert_allclose(y[0, 0], PICTURE[0, 0] + 2 * PICTURE[0, 1] + 0.5 * PICTURE[0, 2] + 10)

    def test_convolution_with_float32_weights_and_leaky_activation(self):
        param = network("Input in 0 1 a", "Convolution c 1 1 a b 0=1 1=1 6=3 9=2 -23310=1,2.0e-01")
        y = run(param, struct.pack("<I", 0) + single([-1, 0, 0]), PICTURE)
        np.testing.assert_allclose(y[0, 0], -0.2 * PICTURE[0, 0], rtol=1e-6)

    def test_convolution_pads_with_zeros(self):
        param = network("Input in 0 1 a", "Convolution c 1 1 a b 0=1 1=3 4=1 6=27")
        y = run(param, half(np.ones(27)), PICTURE)
        np.testing.assert_allclose(y, np.full((1, 1, 2, 2), PICTURE.sum()))

    def test_prelu_has_a_slope_for_each_channel(self):
        y = run(network("Input in 0 1 a", "PReLU p 1 1 a b 0=3"), single([0, 1, 2]), -PICTURE)
        np.testing.assert_allclose(y, -PICTURE * np.array([0, 1, 2]).reshape(1, 3, 1, 1))

    def test_pixel_shuffle_takes_channels_in_order(self):
        x = np.arange(4, dtype=np.float32).reshape(1, 4, 1, 1)
        y = run(network("Input in 0 1 a", "PixelShuffle s 1 1 a b 0=2"), b"", x)
        np.testing.assert_array_equal(y[0, 0], [[0, 1], [2, 3]])

    def test_interpolation_repeats_pixels(self):
        y = run(network("Input in 0 1 a", "Interp i 1 1 a b 0=1 1=2.0 2=2.0"), b"", PICTURE)
        np.testing.assert_array_equal(y, PICTURE.repeat(2, axis=2).repeat(2, axis=3))

    def test_split_concat_and_weighted_sum(self):
        param = network(
            "Input in 0 1 a",
            "Split s 1 3 a a1 a2 a3",
            "BinaryOp add 2 1 a1 a2 b 0=0",
            "Eltwise e 2 1 b a3 c 0=1 -23301=2,2.0e-01,1.0",
            "Concat cat 2 1 c a3 d 0=0",
        )
        y = run(param, b"", PICTURE)
        np.testing.assert_allclose(y, np.concatenate([1.4 * PICTURE, PICTURE], axis=1), rtol=1e-6)


class Refusals(unittest.TestCase):
    def refuses(self, words, param, weights=b""):
        with self.assertRaisesRegex(NcnnError, words):
            run(param, weights, PICTURE)

    def test_every_byte_of_the_weights_must_be_used(self):
        self.refuses("0 of 4 bytes", network("Input in 0 1 a"), b"\0\0\0\0")

    def test_weights_that_end_early(self):
        self.refuses("end early", network("Input in 0 1 a", "PReLU p 1 1 a b 0=3"), single([1]))

    def test_an_unknown_way_of_storing_weights(self):
        param = network("Input in 0 1 a", "Convolution c 1 1 a b 0=1 1=1 6=3")
        self.refuses("0x000d4b38", param, struct.pack("<I", 0x000D4B38))

    def test_a_layer_that_is_not_known_is_named(self):
        self.refuses("layer x is of kind LSTM", network("Input in 0 1 a", "LSTM x 1 1 a b"))

    def test_weights_that_do_not_fit_the_channels(self):
        self.refuses("do not fit", network("Input in 0 1 a", "Convolution c 1 1 a b 0=1 1=1 6=4"))

    def test_a_value_that_nothing_made(self):
        self.refuses("nothing has made", network("Input in 0 1 a", "Split s 1 1 z b"))

    def test_a_file_of_something_else(self):
        for text in ("", "hello\n", "7767517\n3 3\nInput in 0 1 a\n", "7767517\n1 1\nInput in\n"):
            with self.assertRaises(NcnnError):
                parse_param(text)


if __name__ == "__main__":
    unittest.main()
