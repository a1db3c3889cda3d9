/** The files of a model that turns pictures into their negatives: all that the contract asks for, and nothing else. */

export const CONFIG = (
  name: string,
): string => `# The contract of each field: triton/README.md. To check it: imagen models check ${name}
name: "${name}"
backend: "python"
max_batch_size: 8
# Height, width and channels; -1 is any.
input [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
output [ { name: "image" data_type: TYPE_UINT8 dims: [ -1, -1, 3 ] } ]
instance_group [ { kind: KIND_CPU count: 1 } ]
# All versions are served beside each other.
version_policy { all {} }
dynamic_batching {}
parameters [
  # How the worker may send a picture: cut into tiles, or whole.
  { key: "imagen.plans" value { string_value: "[\\"tile\\", \\"whole\\"]" } },
  { key: "imagen.tile_sizes" value { string_value: "[256, 512]" } },
  # How far around a pixel the model looks, in pixels.
  { key: "imagen.margin" value { string_value: "0" } },
  # What jobs may pass: a JSON Schema.
  {
    key: "imagen.parameters"
    value { string_value: "{\\"type\\": \\"object\\", \\"properties\\": {\\"strength\\": {\\"type\\": \\"number\\", \\"minimum\\": 0, \\"maximum\\": 1}}}" }
  }
]
`;

export const MODEL = `import json

import numpy as np
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    def initialize(self, args):
        # Load weights here: args["model_repository"] and args["model_version"] lead to this folder.
        pass

    def execute(self, requests):
        # Triton has put the requests that wait together into this list. Each needs an answer, in the same order.
        return [self.answer(request) for request in requests]

    def answer(self, request):
        image = pb_utils.get_input_tensor_by_name(request, "image").as_numpy()  # uint8 [1, height, width, 3]
        strength = json.loads(request.parameters()).get("strength", 1)
        negative = image + strength * (255 - 2.0 * image)
        return pb_utils.InferenceResponse([pb_utils.Tensor("image", np.rint(negative).astype(np.uint8))])
`;
