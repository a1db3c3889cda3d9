"""What is asked of a network before it is installed, and how that goes into a repository."""
import tempfile
import unittest
from pathlib import Path
from unittest import mock

import support
import numpy as np
import onnx
from google.protobuf import text_format
from onnx import TensorProto
from tritonclient.grpc import model_config_pb2 as pb

from imagen_models import fetch, repository
from imagen_models.contract import ContractError, check_network, read_contract
from imagen_models.graph import Graph
from imagen_models.recipes import ALL, fingerprint

CONFIG = """
name: "thing"
max_batch_size: 4
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
parameters [
  { key: "imagen.plans" value { string_value: '["tile"]' } },
  { key: "imagen.tile_sizes" value { string_value: "[64, 128]" } },
  { key: "imagen.margin" value { string_value: "4" } },
  { key: "imagen.v2.margin" value { string_value: "16" } },
  { key: "imagen.parameters" value { string_value:
    '{ "properties": { "strength": { "type": "number", "default": 1, "minimum": 0, "maximum": 2 } } }' } }
]
"""


def config(extra=""):
    return text_format.Parse(CONFIG + extra, pb.ModelConfig())


class ReadingContracts(unittest.TestCase):
    def test_a_version_may_override_the_model(self):
        self.assertEqual(read_contract(config(), 1).margin, 4)
        self.assertEqual(read_contract(config(), 2).margin, 16)
        self.assertEqual(read_contract(config(), 2).tile_sizes, [64, 128])

    def test_a_misspelt_key_is_named(self):
        broken = config()
        broken.parameters["imagen.v2.margins"].string_value = "3"
        with self.assertRaisesRegex(ContractError, "imagen.v2.margins"):
            read_contract(broken, 1)

    def test_what_cannot_be_served_is_refused(self):
        for key, value in {
            "plans": "[]",
            "plans ": '["shred"]',
            "plans  ": '["fit"]',
            "tile_sizes": "[32]",
            "border": "mirror",
            "parameters": "{",
            "parameters ": '{ "properties": { "strength": { "type": "number" } } }',
        }.items():
            broken = config()
            broken.parameters["imagen.v2." + key.strip()].string_value = value
            with self.assertRaises(ContractError, msg=value):
                read_contract(broken, 2)
            read_contract(broken, 1)


class CheckingNetworks(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "network.onnx"

    def check(self, model):
        onnx.save(model, str(self.path))
        check_network(self.path, read_contract(config(), 1))

    def refuses(self, words, model):
        with self.assertRaisesRegex(ContractError, words):
            self.check(model)

    def test_a_network_that_keeps_the_contract(self):
        self.check(support.brighten())

    def test_an_input_that_nothing_fills(self):
        self.refuses("imagen.parameters declares", Undefaulted().model())

    def test_pixels_that_are_not_bytes(self):
        self.refuses("'image' must be UINT8, is FLOAT", copy(TensorProto.FLOAT, ["n", "h", "w", 3]))

    def test_another_layout(self):
        self.refuses("must be", copy(TensorProto.UINT8, ["n", 3, "h", "w"]))

    def test_a_fixed_size_where_any_is_promised(self):
        self.refuses("must be", copy(TensorProto.UINT8, ["n", 64, 64, 3]))

    def test_a_fixed_batch(self):
        self.refuses("must be", copy(TensorProto.UINT8, [1, "h", "w", 3]))

    def test_another_scale(self):
        graph = Graph("double")
        image = graph.image()
        large = graph.op("Resize", image, "", np.array([1, 1, 2, 2], np.float32), mode="nearest")
        graph.image_output(large, 2)
        self.refuses(r"makes uint8 \(2, 96, 128, 3\)", graph.build())

    def test_something_that_is_no_network(self):
        self.path.write_bytes(b"\x00\x01")
        with self.assertRaisesRegex(ContractError, "not an ONNX file"):
            check_network(self.path, read_contract(config(), 1))


class Undefaulted:
    """A network with an input that no contract declares."""

    def model(self):
        graph = Graph("odd")
        image = graph.image()
        extra = graph.input("mystery", TensorProto.FLOAT, ["batch", 1, 1, 1])
        graph.image_output(graph.mul(image, extra))
        return graph.build()


def copy(dtype, shape):
    graph = Graph("copy")
    graph.output("output", graph.input("image", dtype, shape), dtype, shape)
    return graph.build()


class Repositories(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.repository = repository.Repository(self.folder / "models")
        self.comic = next(recipe for recipe in ALL if recipe.key == "style_comic/1")

    def test_export_builds_once_and_again_only_when_something_changed(self):
        self.assertTrue(self.repository.export(self.comic, None))
        self.assertFalse(self.repository.export(self.comic, None))
        made = {path.name for path in (self.folder / "models/style_comic/1").iterdir()}
        self.assertEqual(made, {"model.py", "imagen_onnx.py", "model.onnx", "model.onnx.json"})
        with mock.patch.object(repository, "fingerprint", lambda recipe: fingerprint(recipe) + "x"):
            self.assertTrue(self.repository.export(self.comic, None))

    def test_a_damaged_network_is_built_again(self):
        self.repository.export(self.comic, None)
        self.repository.network("style_comic", 1).write_bytes(b"half")
        self.assertTrue(self.repository.export(self.comic, None))

    def test_ones_own_network_becomes_a_version(self):
        file = self.folder / "mine.onnx"
        onnx.save(support.brighten(), str(file))
        remarks = self.repository.install_onnx(file, "style_comic", 7)
        self.assertIn("imagen.v7.margin", remarks[0])
        self.assertEqual(self.repository.network("style_comic", 7).read_bytes(), file.read_bytes())
        self.assertTrue((self.folder / "models/style_comic/7/model.py").is_file())
        with self.assertRaisesRegex(ContractError, "installed already"):
            self.repository.install_onnx(file, "style_comic", 7)
        with self.assertRaisesRegex(ContractError, "no model 'nothing'"):
            self.repository.install_onnx(file, "nothing", 1)

    def test_a_network_that_breaks_the_contract_leaves_nothing_behind(self):
        file = self.folder / "mine.onnx"
        onnx.save(support.brighten(), str(file))
        with self.assertRaises(ContractError):
            self.repository.install_onnx(file, "upscale", 3)
        self.assertFalse((self.folder / "models").exists())


class Packages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cache = fetch.Cache(Path(folder.name), say=lambda line: None)
        self.package = fetch.Package("pip", "thing", "1", "thing.whl", fetch.hashlib.sha256(b"good").hexdigest())

    def answer_with(self, *contents):
        """Makes each fetch produce the next of `contents`; returns the mock that counts them."""
        answers = iter(contents)

        def run(command, **_options):
            folder = Path(command[command.index("--dest") + 1])
            (folder / "thing.whl").write_bytes(next(answers))
            return mock.Mock(returncode=0, stdout="")

        for patch in (mock.patch.object(fetch.subprocess, "run", side_effect=run), mock.patch.object(fetch.time, "sleep")):
            patched = patch.start()
            self.addCleanup(patch.stop)
            if isinstance(patched, mock.Mock) and patched.side_effect is run:
                counted = patched
        return counted

    def test_fetched_once(self):
        fetches = self.answer_with(b"good")
        self.assertEqual(self.cache.get(self.package).path.read_bytes(), b"good")
        again = fetch.Cache(self.cache.folder, say=lambda line: None)
        again.get(self.package)
        self.assertEqual(fetches.call_count, 1)

    def test_a_wrong_checksum_is_tried_again_and_never_kept(self):
        self.answer_with(b"bad", b"bad", b"bad")
        with self.assertRaisesRegex(fetch.FetchError, "pinned is"):
            self.cache.get(self.package)
        self.assertEqual(list(self.cache.folder.iterdir()), [])

    def test_a_damaged_cache_is_fetched_again(self):
        (self.cache.folder / "thing.whl").write_bytes(b"bad")
        self.answer_with(b"good")
        self.assertEqual(self.cache.get(self.package).path.read_bytes(), b"good")


if __name__ == "__main__":
    unittest.main()
