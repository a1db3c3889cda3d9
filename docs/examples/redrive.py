"""Does jobs again that have not succeeded, as new jobs: python redrive.py JOB_ID...

Prints the id of each new job: <jobId>~r1, ~r2 and so on. The request is in the job's record, under IMAGEN_STATE_PREFIX. The
number is one more than that of the last redrive that has ended, so the same call again, before this one has ended, publishes the
same id, and imagen does the job once. Exits with 1 if a job has not ended or keeps no request. `imagen redrive` does more:
it refuses what would fail in the same way, and takes filters.
"""
import argparse
import datetime
import json
import os
import re
import sys

from google.cloud import exceptions, pubsub_v1, storage


def read_record(client: storage.Client, prefix: str, job_id: str) -> dict | None:
    try:
        return json.loads(storage.Blob.from_string(f"{prefix}/{job_id}.json", client).download_as_bytes())
    except exceptions.NotFound:
        return None


def last_redrive(client: storage.Client, prefix: str, original: str) -> int:
    """The number of the last redrive that has ended; 0 without one."""
    bucket, _, folder = prefix.removeprefix("gs://").partition("/")
    start = f"{folder}/{original}~r" if folder else f"{original}~r"
    names = (blob.name for blob in client.list_blobs(bucket, prefix=start))
    numbers = (re.fullmatch(r"([1-9]\d{0,3})\.json", name[len(start) :]) for name in names)
    return max((int(found[1]) for found in numbers if found), default=0)


def is_over(deadline: str | None) -> bool:
    return deadline is not None and datetime.datetime.fromisoformat(
        deadline.replace("Z", "+00:00")
    ) <= datetime.datetime.now(datetime.timezone.utc)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", metavar="JOB_ID")
    args = parser.parse_args()
    project = os.environ["GOOGLE_CLOUD_PROJECT"]
    prefix = os.environ["IMAGEN_STATE_PREFIX"].rstrip("/")
    client = storage.Client(project)
    publisher = pubsub_v1.PublisherClient()
    topic = publisher.topic_path(project, os.environ.get("IMAGEN_JOBS_TOPIC", "imagen-jobs"))
    exit_code = 0
    for original in dict.fromkeys(re.sub(r"~r\d+$", "", job_id) for job_id in args.jobs):
        number = last_redrive(client, prefix, original)
        first = read_record(client, prefix, original)
        last = read_record(client, prefix, f"{original}~r{number}") if number else first
        if last is not None and last["completion"]["status"] == "succeeded":
            print(f"{original}: has succeeded", file=sys.stderr)
            continue
        request = ((first or {}).get("request") or (last or {}).get("request")) if last else None
        if request is None:
            print(f"{original}: has not ended, or its record keeps no request", file=sys.stderr)
            exit_code = 1
            continue
        message = {**request["message"], "jobId": f"{original}~r{number + 1}", "redriveOf": original}
        if is_over(message.get("deadline")):
            del message["deadline"]
        publisher.publish(topic, json.dumps(message).encode(), **request.get("attributes", {})).result(timeout=60)
        print(message["jobId"], flush=True)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
