"""Waits until jobs have ended, and prints their completions as JSON lines: python wait.py JOB_ID...

It reads the jobs' records under IMAGEN_STATE_PREFIX, so it needs no subscription. Exits with 1 unless all succeeded.
A program that runs all the time reads completions from a subscription instead: see docs/publishing.md.
"""
import argparse
import json
import os
import sys
import time

from google.cloud import exceptions, storage

PAUSE_SECONDS = 0.5


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="+", metavar="JOB_ID")
    parser.add_argument("--timeout", type=float, default=600, help="seconds")
    args = parser.parse_args()
    prefix = os.environ["IMAGEN_STATE_PREFIX"].rstrip("/")
    client = storage.Client(os.environ["GOOGLE_CLOUD_PROJECT"])
    waiting = dict.fromkeys(args.jobs)  # in order, each once
    give_up_at = time.monotonic() + args.timeout
    failed = 0
    while waiting:
        for job_id in list(waiting):
            try:
                record = storage.Blob.from_string(f"{prefix}/{job_id}.json", client).download_as_bytes()
            except exceptions.NotFound:
                continue
            completion = json.loads(record)["completion"]
            print(json.dumps(completion), flush=True)
            failed += completion["status"] != "succeeded"
            del waiting[job_id]
        if waiting and time.monotonic() > give_up_at:
            print(f"no outcome of {', '.join(waiting)} after {args.timeout} s", file=sys.stderr)
            return 1
        if waiting:
            time.sleep(PAUSE_SECONDS)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
