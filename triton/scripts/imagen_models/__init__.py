"""Builds, checks and installs the ONNX networks that imagen serves with Triton."""
