"""Uploads pictures and publishes a job for each: python publish.py --operation enhance a.jpg b.jpg

Prints the id of each job. An id is made from the picture and the operations, so the same call again publishes the same
jobs, and imagen does each of them once. Settings are those of imagen: GOOGLE_CLOUD_PROJECT, IMAGEN_JOBS_TOPIC,
IMAGEN_UPLOAD_PREFIX, and PUBSUB_EMULATOR_HOST and STORAGE_EMULATOR_HOST for emulators.
"""
import argparse
import concurrent.futures
import hashlib
import json
import os
import pathlib
import re

from google.api_core import exceptions
from google.cloud import pubsub_v1, storage

UPLOADS = 16


def job_of(path: pathlib.Path, operations: list[str], upload_prefix: str) -> tuple[dict, bytes]:
    picture = path.read_bytes()
    digest = hashlib.sha256(picture + json.dumps([path.name, operations]).encode()).hexdigest()[:24]
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", path.stem).lstrip("._-")[:80] or "job"
    job_id = f"{stem}-{digest}"
    job = {
        "schemaVersion": 1,
        "jobId": job_id,
        "operations": operations,
        "input": {"uri": f"{upload_prefix}/{job_id}/{path.name}"},
    }
    return job, picture


def upload(client: storage.Client, uri: str, picture: bytes) -> None:
    try:
        # 0: only if there is no such object. An interrupted run may have uploaded it.
        storage.Blob.from_string(uri, client).upload_from_string(
            picture, content_type="application/octet-stream", if_generation_match=0
        )
    except exceptions.PreconditionFailed:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", nargs="+", type=pathlib.Path)
    parser.add_argument("--operation", required=True, help="names, separated by commas")
    args = parser.parse_args()
    project = os.environ["GOOGLE_CLOUD_PROJECT"]
    operations = args.operation.split(",")
    prefix = os.environ["IMAGEN_UPLOAD_PREFIX"].rstrip("/")
    client = storage.Client(project)
    publisher = pubsub_v1.PublisherClient()
    topic = publisher.topic_path(project, os.environ.get("IMAGEN_JOBS_TOPIC", "imagen-jobs"))

    def send(path: pathlib.Path) -> str:
        job, picture = job_of(path, operations, prefix)
        upload(client, job["input"]["uri"], picture)
        # Subscriptions may filter by these attributes.
        attributes = {"model": operations[0], "priority": "batch"}
        publisher.publish(topic, json.dumps(job).encode(), **attributes).result(timeout=60)
        return job["jobId"]

    with concurrent.futures.ThreadPoolExecutor(UPLOADS) as pool:
        for job_id in pool.map(send, args.pictures):
            print(job_id, flush=True)


if __name__ == "__main__":
    main()
