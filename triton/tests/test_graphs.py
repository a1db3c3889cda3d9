"""The classical effects and the pieces that all graphs share."""
import unittest

import support
import numpy as np
from onnx import TensorProto, helper, numpy_helper

from check_seams import cuts
from imagen_models.contract import read_config, read_contract
from imagen_models.recipes import ALL, aged, comic, matte, restore
from imagen_models.repository import SOURCE
from imagen_models.graph import Graph, gaussian


def run(session, image, **feeds):
    return session.run(None, {"image": image, **feeds})[0]


class Pixels(unittest.TestCase):
    def test_bytes_survive_the_way_in_and_out(self):
        graph = Graph("identity")
        graph.image_output(graph.image())
        image = support.noise(2, 9, 14, 3)
        np.testing.assert_array_equal(run(support.session(graph.build()), image), image)

    def test_what_leaves_the_range_is_clipped(self):
        session = support.session(support.brighten())
        image = np.full((1, 2, 2, 3), 250, np.uint8)
        self.assertEqual(int(run(session, image).min()), 255)

    def test_a_parameter_has_a_default_and_is_each_pictures_own(self):
        session = support.session(support.brighten(default=0.0))
        image = np.zeros((2, 3, 3, 3), np.uint8)
        np.testing.assert_array_equal(run(session, image), image)
        made = run(session, image, strength=np.array([[0], [1]], np.float32))
        self.assertEqual([int(made[0].max()), int(made[1].min())], [0, 26])

    def test_gaussian_sums_to_one(self):
        self.assertAlmostEqual(float(gaussian(2.08, 6).sum()), 1.0, places=6)

    def test_local_mean_at_the_border_counts_only_what_is_inside(self):
        graph = Graph("mean")
        x = graph.input("x", TensorProto.FLOAT, [1, 1, "h", "w"])
        graph.output("y", restore.local_mean(graph, x, 2), TensorProto.FLOAT, [1, 1, "h", "w"])
        picture = support.noise(1, 1, 7, 9).astype(np.float32)
        made = support.session(graph.build()).run(None, {"x": picture})[0]
        self.assertAlmostEqual(float(made[0, 0, 0, 0]), float(picture[0, 0, :3, :3].mean()), places=3)
        self.assertAlmostEqual(float(made[0, 0, 3, 4]), float(picture[0, 0, 1:6, 2:7].mean()), places=3)


class Effects(unittest.TestCase):
    def tiles_equal_whole(self, build, margin):
        session = support.session(build(None))
        takes_origin = any(n.name == "origin" for n in session.get_overridable_initializers())
        image, tile = support.noise(1, 70, 101, 3), 48
        whole = run(session, image)
        for y, top, bottom in cuts(70, tile, margin):
            for x, left, right in cuts(101, tile, margin):
                feeds = {"origin": np.array([[x, y, 101, 70]], np.int32)} if takes_origin else {}
                made = run(session, np.ascontiguousarray(image[:, y : y + tile, x : x + tile]), **feeds)
                core = made[:, top - y : bottom - y, left - x : right - x].astype(int)
                self.assertLessEqual(np.abs(core - whole[:, top:bottom, left:right]).max(), 1)

    def test_comic_in_tiles_is_comic_whole(self):
        self.tiles_equal_whole(comic.build, comic.MARGIN)

    def test_comic_keeps_the_shadows_of_a_night_picture(self):
        session = support.session(comic.build(None))
        column = np.linspace(9, 34, 80).astype(np.uint8)[:, None, None]
        night = np.broadcast_to(column, (80, 90, 3)).copy()
        night[30:60, 40:44] = 240  # a lamp
        made = run(session, night[None])[0].astype(float)
        dark = night.max(axis=2) < 200
        self.assertLess((made.max(axis=2)[dark] < 8).mean(), 0.15)
        self.assertGreater(made[dark].mean(), 0.6 * night[dark].mean())
        self.assertGreater(made[75, 10].mean() - made[5, 10].mean(), 6)  # the sky keeps its gradient

    def test_comic_never_makes_what_is_lighter_darker(self):
        session = support.session(comic.build(None))
        greys = np.broadcast_to(np.arange(256, dtype=np.uint8)[:, None, None, None], (256, 8, 8, 3)).copy()
        made = np.concatenate([run(session, greys[i : i + 64]) for i in range(0, 256, 64)])
        self.assertGreaterEqual(np.diff(made[:, 4, 4, 0].astype(int)).min(), 0)

    def test_aged_in_tiles_is_aged_whole(self):
        self.tiles_equal_whole(aged.build, aged.BLUR_RADIUS)

    def test_neither_padding_nor_a_batch_changes_a_byte(self):
        for build in (comic.build, aged.build):
            session = support.session(build(None))
            takes_origin = any(n.name == "origin" for n in session.get_overridable_initializers())
            origin = {"origin": np.array([[0, 0, 61, 47]] * 3, np.int32)} if takes_origin else {}
            alone = {name: value[:1] for name, value in origin.items()}
            # Noise around a bright square: the filters divide by sums that are small and by ones that are large.
            pictures = support.noise(3, 47, 61, 3)
            pictures[:, 10:30, 12:40] = 250
            padded = np.pad(pictures, ((0, 0), (0, 9), (0, 31), (0, 0)), mode="edge")
            wanted = run(session, pictures[:1], **alone)
            np.testing.assert_array_equal(run(session, pictures, **origin)[:1], wanted)
            np.testing.assert_array_equal(run(session, padded[:1], **alone)[:, :47, :61], wanted)
            np.testing.assert_array_equal(run(session, padded, **origin)[:1, :47, :61], wanted)

    def test_strength_zero_changes_nothing(self):
        image = support.noise(1, 20, 30, 3)
        for build in (comic.build, aged.build):
            made = run(support.session(build(None)), image, strength=np.zeros((1, 1), np.float32))
            np.testing.assert_array_equal(made, image)

    def test_strength_one_is_seen(self):
        image = support.noise(1, 20, 30, 3)
        for build in (comic.build, aged.build):
            made = run(support.session(build(None)), image).astype(int)
            self.assertGreater(np.abs(made - image).mean(), 10)

    def test_grain_repeats_in_every_export(self):
        for side in aged.TEXTURE_SIDES:
            first, second = aged.grain_texture(side, 3), aged.grain_texture(side, 3)
            np.testing.assert_array_equal(first, second)
            self.assertAlmostEqual(float(first.std()), aged.GRAIN_LEVEL, delta=1)

    def test_vignette_darkens_corners_only(self):
        session = support.session(aged.build(None))
        image = np.full((1, 40, 60, 3), 200, np.uint8)
        plain = {"grain": np.zeros((1, 1), np.float32)}
        made = run(session, image, **plain)[0].astype(int).sum(axis=2)
        self.assertGreater(made[20, 30] - made[0, 0], 60)
        flat = run(session, image, vignette=np.zeros((1, 1), np.float32), **plain)
        self.assertEqual(len(np.unique(flat.reshape(-1, 3), axis=0)), 1)


class Matte(unittest.TestCase):
    def test_casts_go_and_weights_become_float32_whatever_the_order_of_nodes(self):
        weight = numpy_helper.from_array(np.array([2], np.float16), "w")
        nodes = [
            helper.make_node("Mul", ["narrow", "w"], ["m"]),
            helper.make_node("Relu", ["wide"], ["unused"]),
            helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.FLOAT16),
            helper.make_node("Cast", ["m"], ["wide"], to=TensorProto.FLOAT),
        ]
        float_1 = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])  # noqa: E731
        graph = helper.make_graph(nodes, "g", [float_1("x")], [float_1("wide")], [weight])
        matte.to_float32(graph)
        self.assertEqual([node.op_type for node in graph.node], ["Mul", "Relu"])
        self.assertEqual(graph.output[0].name, "m")
        matte.keep_output(graph, "m")
        self.assertEqual([node.op_type for node in graph.node], ["Mul"])
        self.assertEqual(list(graph.node[0].input), ["x", "w"])
        self.assertEqual(graph.initializer[0].data_type, TensorProto.FLOAT)


class Agreement(unittest.TestCase):
    def test_every_recipe_has_a_config_whose_defaults_are_the_graphs(self):
        for recipe in ALL:
            contract = read_contract(read_config(SOURCE / recipe.model / "config.pbtxt"), recipe.version)
            self.assertTrue((SOURCE / recipe.model / str(recipe.version) / "model.py").is_file(), recipe.key)
            if recipe.package is not None:
                continue
            graph = recipe.build(None).graph
            stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
            declared = {value.name for value in graph.input} - {"image", "origin"}
            self.assertEqual(declared, set(contract.parameters), recipe.key)
            for name, rule in contract.parameters.items():
                self.assertEqual(stored[name].item(), rule["default"], "%s %s" % (recipe.key, name))


if __name__ == "__main__":
    unittest.main()
