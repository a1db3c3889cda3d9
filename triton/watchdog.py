#!/usr/bin/env python3
"""Gives a model a new process when its own has died while Triton goes on.

The Python backend runs each instance of a model in a process, its stub. When that is killed (out of memory, segmentation
fault), tritonserver keeps the model in service, and fails every request to it (2.51 and, by its source, 2.71). It starts
another stub only when the model is unloaded and loaded; to load a model that counts as ready does nothing.

A dead stub stays behind as a zombie, until its model is unloaded. From 2.64 on the server also reaps it when somebody asks
whether the model is ready; then it is gone although its model is in service.

Started by entrypoint.sh as a child of the server, and ends with it. Needs Python's standard library and /proc. Environment:
  WATCHDOG_URL   of the server's HTTP endpoint on this host
  WATCHDOG_KEY   the key of its restricted protocols
"""

import json
import os
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional, Set, Tuple

LOOK_S = 1.0
# How long a model stays unloaded: so long that every worker that uses it has seen it. A worker tells by that whether a
# request has met the new process or the dead one.
UNLOADED_S = 2.0
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
# A model that has lived for so long begins again with the shortest pause.
FORGET_S = 600.0
CALL_S = 10.0
LOAD_S = 600.0

STUB = "triton_python_b"  # the kernel keeps 15 characters of a program's name
INSTANCE = re.compile(r"^(?P<model>.+?)(?:_\d+){1,2}$")


def say(text: str) -> None:
    print(f"watchdog: {text}", file=sys.stderr, flush=True)


class Stub(NamedTuple):
    pid: int
    started: str
    # Name of the instance, and what its model may be called: the folder has its name, unless it is a copy of a bucket's.
    # The instance has it too, unless its group has a name of its own.
    instance: str
    models: Tuple[str, ...]


class Process(NamedTuple):
    name: str
    state: str
    parent: int
    started: str


def inspect(pid: int) -> Optional[Process]:
    """None for a process that does not exist."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="latin1")
    except OSError:
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split(" ")
    return Process(name, fields[0], int(fields[1]), fields[19])


def stub_processes(server: int) -> Dict[int, Process]:
    """Of the server's models, dead ones included, by their ids."""
    ids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    found = ((pid, inspect(pid)) for pid in ids)
    return {pid: one for pid, one in found if one is not None and one.parent == server and one.name == STUB}


def describe(pid: int, process: Process) -> Optional[Stub]:
    """None for a dead one, whose arguments are gone: they are remembered from here."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().decode("latin1").split("\0")
    except OSError:
        return None
    # Program, model, region, sizes, parent, backend, offset, name of the instance.
    names = [match for match in map(INSTANCE.match, arguments[3:]) if match and "/" not in match[0]]
    if not names:
        return None
    models = (Path(arguments[1]).parent.parent.name, names[-1]["model"])
    return Stub(pid, process.started, names[-1][0], models)


class Server:
    def __init__(self, url: str, key: str) -> None:
        self.url = url
        self.key = key

    def call(self, path: str, limit: float) -> str:
        request = urllib.request.Request(f"{self.url}/v2/{path}", data=b"{}", method="POST")
        request.add_header("imagen-admin", self.key)
        try:
            with urllib.request.urlopen(request, timeout=limit) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            raise OSError(f"{error.code}: {error.read().decode(errors='replace')[:500]}") from error

    def ready(self) -> Set[str]:
        index = json.loads(self.call("repository/index", CALL_S))
        return {entry["name"] for entry in index if entry.get("state") == "READY"}

    def unload(self, model: str) -> None:
        self.call(f"repository/models/{model}/unload", CALL_S)

    def load(self, model: str) -> None:
        self.call(f"repository/models/{model}/load", LOAD_S)


class Patient:
    """A model whose process has died: when to reload it, and how often that was done."""

    def __init__(self, models: Tuple[str, ...]) -> None:
        self.models = models
        self.name = models[0]
        self.reloads = 0
        self.pause = 0.0
        self.due: Optional[float] = None
        self.unloaded = False
        # Whether the log says that it is tried again every LONGEST_PAUSE_S.
        self.told = False
        self.last = -FORGET_S

    def died(self, now: float) -> float:
        """Returns the pause before its next reload, in seconds."""
        if now - self.last > FORGET_S:
            self.reloads, self.pause = 0, 0.0
        if self.due is None:
            self.due = now + self.pause
        return max(0.0, self.due - now)

    def longer(self) -> None:
        self.pause = min(LONGEST_PAUSE_S, max(FIRST_PAUSE_S, self.pause * 2))


class Watchdog:
    def __init__(self, server: int, api: Server) -> None:
        self.server = server
        self.api = api
        self.known: Dict[int, Stub] = {}
        self.seen: Set[Tuple[str, ...]] = set()
        self.dead_before: Set[int] = set()
        self.told: Set[int] = set()
        # Processes that the last scan has missed, and of which nothing was told.
        self.gone: List[Stub] = []
        self.patients: Dict[Tuple[str, ...], Patient] = {}

    def look(self) -> None:
        """One round: who has died since the last, and what is due."""
        gone, self.gone = self.gone, []
        processes = self.scan()
        self.note_gone(gone)
        dead = {pid for pid, one in processes.items() if one.state in "ZX"}
        # Twice in a row: one that is being unloaded is waited for by the server, and disappears.
        for pid in (dead & self.dead_before) - self.told:
            self.told.add(pid)
            self.note(pid, processes)
        self.dead_before = dead
        self.told &= dead
        now = time.monotonic()
        for patient in list(self.patients.values()):
            if patient.due is not None and patient.due <= now:
                self.reload(patient)

    def scan(self) -> Dict[int, Process]:
        processes = stub_processes(self.server)
        known = {pid: one for pid, one in self.known.items() if self.is_same(one, processes.get(pid))}
        self.gone += [one for pid, one in self.known.items() if pid not in known and pid not in self.told]
        self.known = known
        for pid, process in processes.items():
            stub = describe(pid, process) if pid not in self.known and process.state not in "ZX" else None
            if stub is not None:
                self.known[pid] = stub
                self.seen.add(stub.models)
        return processes

    @staticmethod
    def is_same(stub: Stub, process: Optional[Process]) -> bool:
        return process is not None and process.started == stub.started

    def note(self, pid: int, processes: Dict[int, Process]) -> None:
        stub = self.known.get(pid)
        if stub is not None:
            self.died(stub.models, f"process {pid} ({stub.instance}) has died")
            return
        # It lived for less than a round. Its model is one that has no living process.
        living = {one.models for id, one in self.known.items() if processes[id].state not in "ZX"}
        for models in self.seen - living:
            self.died(models, f"process {pid} has died as soon as it was there")

    def note_gone(self, gone: List[Stub]) -> None:
        """Those that were reaped, a round later: by then a model that is being unloaded does not count as ready."""
        there = {one.instance for one in self.known.values()}
        missing = [one for one in gone if one.instance not in there]
        if not missing:
            return
        try:
            ready = self.api.ready()
        except (OSError, ValueError):
            self.gone += missing
            return
        for one in missing:
            if not ready.isdisjoint(one.models):
                self.died(one.models, f"process {one.pid} ({one.instance}) is gone")

    def died(self, models: Tuple[str, ...], how: str) -> None:
        patient = self.patients.setdefault(models, Patient(models))
        pause = patient.died(time.monotonic())
        say(f"model {patient.name}: {how}; reloading in {pause:.0f} s")

    def reload(self, patient: Patient) -> None:
        patient.due = None
        patient.last = time.monotonic()
        try:
            if not patient.unloaded and not self.unload(patient):
                return
            begun = time.monotonic()
            self.api.load(patient.name)
            self.scan()
        except (OSError, ValueError) as error:
            self.failed(patient, error)
            return
        patient.unloaded = False
        patient.told = False
        patient.longer()
        say(f"model {patient.name}: loaded again after {time.monotonic() - begun:.1f} s (reload {patient.reloads})")

    def unload(self, patient: Patient) -> bool:
        """Returns whether it was there to be unloaded."""
        ready = self.api.ready()
        names = [name for name in patient.models if name in ready]
        if not names:
            patient.unloaded = False
            patient.told = False
            say(f"model {patient.name}: somebody has unloaded it; left as it is")
            return False
        patient.name = names[0]
        # Set before: a call that gets no answer in time may be carried out all the same.
        patient.unloaded = True
        self.api.unload(patient.name)
        patient.reloads += 1
        time.sleep(UNLOADED_S)
        return True

    def failed(self, patient: Patient, error: Exception) -> None:
        # Never the last time: what keeps it from being loaded may end after hours, and nobody else would load it then.
        patient.longer()
        patient.due = time.monotonic() + patient.pause
        if patient.told:
            return
        patient.told = patient.pause == LONGEST_PAUSE_S
        when = "every" if patient.told else "in"
        say(f"model {patient.name}: cannot be reloaded: {error}; again {when} {patient.pause:.0f} s")


def main() -> None:
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: os._exit(0))
    server = os.getppid()
    watchdog = Watchdog(server, Server(os.environ["WATCHDOG_URL"], os.environ.pop("WATCHDOG_KEY")))
    while os.getppid() == server:
        try:
            watchdog.look()
        except Exception as error:  # it must outlive whatever a round meets
            say(f"a round failed: {error!r}")
        time.sleep(LOOK_S)


if __name__ == "__main__":
    main()
