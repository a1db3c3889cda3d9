"""Serves the model.onnx beside this file; `export_models.py` puts imagen_onnx.py (triton/runtime) here as well."""
from imagen_onnx import OnnxImageModel


class TritonPythonModel(OnnxImageModel):
    pass
