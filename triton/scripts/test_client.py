#!/usr/bin/env python3
"""Asks a running Triton for every model that it has: is it there, does it keep the contract, does it really work?

    test_client.py [--url localhost:8001] [--models upscale,style_aged]

Every ready version of every model in the repository index gets one real inference on a synthetic picture. A server that
restricts its index wants the key in TRITON_ADMIN_KEY. The table
tells what happened; the exit status is 0 only if all of it is well.
"""
from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from typing import Dict, List, Optional

try:
    import numpy as np
    import tritonclient.grpc as triton
    from tritonclient.utils import InferenceServerException

    from imagen_models.contract import IMAGE, ORIGIN, Contract, ContractError, read_contract
except ImportError as error:
    sys.exit("%s\nInstall what this script needs: pip install -r triton/requirements.txt" % error)

PICTURE = (120, 160)  # height, width: not square, so that swapped sides show


@dataclass
class Result:
    model: str
    version: str
    ok: bool
    milliseconds: Optional[float]
    detail: str


class Failure(Exception):
    """A check did not hold."""


def picture(height: int, width: int) -> np.ndarray:
    """A lit ball before a sky: edges, gradients and colours, so that every network has something to do."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    sky = np.stack([60 + 80 * y / height, 110 + 70 * y / height, 200 - 20 * y / height], axis=-1)
    radius = 0.33 * min(height, width)
    dx, dy = (x - width / 2) / radius, (y - height / 2) / radius
    inside = dx * dx + dy * dy < 1
    light = np.clip(1 - np.hypot(dx + 0.4, dy + 0.4) / 1.6, 0, 1)[..., None]
    ball = light * np.array([255, 120, 60], np.float32) + 20
    return np.where(inside[..., None], ball, sky).clip(0, 255).astype(np.uint8)


def infer(client: triton.InferenceServerClient, config, contract: Contract, timeout: float) -> np.ndarray:
    """One inference, with the optional inputs and every declared parameter at its default."""
    height, width = contract.sample_size() if contract.fit_size else PICTURE
    feeds: Dict[str, np.ndarray] = {IMAGE: picture(height, width)[None]}
    if any(tensor.name == ORIGIN for tensor in config.input):
        feeds[ORIGIN] = np.array([[0, 0, width, height]], np.int32)
    inputs = []
    for tensor in config.input:
        if tensor.name not in feeds:
            raise Failure("takes an input %r, which the contract does not know" % tensor.name)
        data = feeds[tensor.name]
        inputs.append(triton.InferInput(tensor.name, list(data.shape), "UINT8" if data.dtype == np.uint8 else "INT32"))
        inputs[-1].set_data_from_numpy(data)
    parameters = {name: float(rule["default"]) for name, rule in contract.parameters.items() if "default" in rule}
    answer = client.infer(
        contract.model,
        inputs,
        model_version=str(contract.version),
        parameters=parameters or None,
        client_timeout=timeout,
    )
    try:
        output = answer.as_numpy(config.output[0].name)
    except ValueError as error:
        raise Failure("the answer cannot be read (does Triton's Python have NumPy 1?): %s" % error) from error
    if output is None:
        raise Failure("the answer has no %r" % config.output[0].name)
    return output


def check_output(output: np.ndarray, contract: Contract) -> None:
    height, width = contract.sample_size() if contract.fit_size else PICTURE
    wanted = (1, height * contract.scale, width * contract.scale, contract.channels)
    if output.dtype != np.uint8 or output.shape != wanted:
        raise Failure("made %s %s, not uint8 %s" % (output.dtype, list(output.shape), list(wanted)))
    if int(output.max()) - int(output.min()) < 32:
        raise Failure("the answer is almost constant: %d to %d" % (output.min(), output.max()))
    if contract.channels == 3:
        # Whatever is done to its colours, it must still be the same picture: compare light and dark, very small.
        before, after = thumbnail(picture(height, width)), thumbnail(output[0])
        likeness = float(np.corrcoef(before.ravel(), after.ravel())[0, 1])
        if likeness < 0.8:
            raise Failure("the answer does not resemble the picture (correlation %.2f)" % likeness)


def thumbnail(image: np.ndarray) -> np.ndarray:
    """How bright each of 4 x 4 equal parts is."""
    height, width = image.shape[0] // 4 * 4, image.shape[1] // 4 * 4
    return image[:height, :width].reshape(4, height // 4, 4, width // 4, 3).mean(axis=(1, 3, 4))


def check_version(client: triton.InferenceServerClient, model: str, version: str, timeout: float) -> Result:
    milliseconds = None
    try:
        if not client.is_model_ready(model, version):
            raise Failure("is not ready")
        metadata = client.get_model_metadata(model, version)
        config = client.get_model_config(model, version).config
        if "imagen.plans" not in config.parameters:
            return Result(model, version, True, None, "ready; not an imagen model, not tried")
        if version not in metadata.versions:
            raise Failure("its metadata names the versions %s" % ", ".join(metadata.versions))
        if [t.name for t in metadata.inputs] != [t.name for t in config.input]:
            raise Failure("metadata and config disagree on the inputs")
        contract = read_contract(config, int(version))
        start = time.monotonic()
        output = infer(client, config, contract, timeout)
        milliseconds = (time.monotonic() - start) * 1000
        check_output(output, contract)
        size = "x".join(str(side) for side in output.shape[1:])
        return Result(model, version, True, milliseconds, "%s %s" % (config.output[0].name, size))
    except (Failure, ContractError, InferenceServerException) as error:
        return Result(model, version, False, milliseconds, str(error))


def check_server(client: triton.InferenceServerClient) -> Result:
    start = time.monotonic()
    try:
        live, ready = client.is_server_live(), client.is_server_ready()
        about = client.get_server_metadata()
        milliseconds = (time.monotonic() - start) * 1000
        detail = "%s %s, live: %s, ready: %s" % (about.name, about.version, live, ready)
        return Result("(server)", "", live and ready, milliseconds, detail)
    except InferenceServerException as error:
        return Result("(server)", "", False, None, str(error))


def admin_headers() -> Dict[str, str]:
    """Opens the repository's index where the server restricts it (entrypoint.sh): the key is in TRITON_ADMIN_KEY."""
    key = os.environ.get("TRITON_ADMIN_KEY", "")
    return {"triton-grpc-protocol-imagen-admin": key} if key else {}


def check_all(client: triton.InferenceServerClient, models: List[str], timeout: float) -> List[Result]:
    results = [check_server(client)]
    try:
        index = client.get_model_repository_index(headers=admin_headers()).models
    except InferenceServerException as error:
        return [*results, Result("(index)", "", False, None, str(error))]
    for model in sorted(models or {entry.name for entry in index}):
        entries = [entry for entry in index if entry.name == model]
        served = sorted((e for e in entries if e.state == "READY"), key=lambda e: int(e.version))
        broken = [e for e in entries if e.state != "READY" and e.reason not in ("", "unloaded")]
        results += [check_version(client, model, entry.version, timeout) for entry in served]
        results += [Result(model, e.version, False, None, "%s: %s" % (e.state, e.reason)) for e in broken]
        if not served and not broken:
            results.append(Result(model, "", False, None, "no version is ready"))
    if len(results) == 1:
        results.append(Result("(index)", "", False, None, "the server has no models"))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default=os.environ.get("TRITON_URL", "localhost:8001"), help="gRPC host:port")
    parser.add_argument("--models", default="", help="only these, separated by commas")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one inference")
    options = parser.parse_args()
    url = options.url[len("dns:///") :] if options.url.startswith("dns:///") else options.url
    client = triton.InferenceServerClient(url)
    models = [name.strip() for name in options.models.split(",") if name.strip()]
    results = check_all(client, models, options.timeout)
    row = "%-20s %-8s %-6s %10s  %s"
    print(row % ("MODEL", "VERSION", "RESULT", "LATENCY", "DETAIL"))
    for result in results:
        latency = "-" if result.milliseconds is None else "%.1f ms" % result.milliseconds
        print(row % (result.model, result.version, "OK" if result.ok else "FAIL", latency, result.detail))
    failed = sum(not result.ok for result in results)
    print("%d of %d checks passed" % (len(results) - failed, len(results)))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
