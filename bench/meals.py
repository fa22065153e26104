"""Meals per second of a whole table of philosophers who do nothing but eat, and what the server could do at most."""

import datetime
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time

from report import in_turn
from stage import BENCH, built, read_line, wait_for

SECONDS = 1  # of one round
SETTLE = 0.2  # seconds at the full table before ours are counted
WARM_UP = 10  # rounds of transactions until the server's Java has compiled what it needs for them


def transactions(hosts):
    """How many the server has had."""
    host, port = hosts.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(b"srvr")
        text = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return int(re.search(r"^Zxid: 0x(\w+)", text, re.MULTILINE)[1], 16) & 0xFFFFFFFF


class Peer:
    """Processes that connect once and say `ready`, then for each line of input eat for a round and say how often."""

    def __init__(self, stage, hosts, commands):
        pipe = subprocess.PIPE
        environment = {**os.environ, "ZK_HOSTS": hosts}
        self.hosts = hosts
        self.processes = [stage.start(command, stdin=pipe, stdout=pipe, env=environment) for command in commands]
        for process in self.processes:
            if read_line(process.stdout) != "ready":
                raise AssertionError(f"{process.args}: not ready")
        self.writes = []  # for a meal

    def per_second(self):
        before = transactions(self.hosts)
        for process in self.processes:
            process.stdin.write(b"\n")
        meals = sum(int(read_line(process.stdout)) for process in self.processes)
        if meals:
            self.writes.append((transactions(self.hosts) - before) / meals)
        return meals / SECONDS

    def leave(self):
        for process in self.processes:
            process.stdin.close()
        for process in self.processes:
            process.wait()


class Ours:
    """A table of `philosopher`s, new for each round, of which the coming and going is not counted."""

    def __init__(self, stage, hosts, rule, seats):
        self.stage, self.hosts, self.rule, self.seats = stage, hosts, rule, seats
        self.rounds = 0
        self.writes = []

    def per_second(self):
        self.rounds += 1
        table = f"/{self.rule}-{self.seats}-{self.rounds}"
        files = [self.stage.folder / f"{self.rule}-{seat}" for seat in range(self.seats)]
        processes = []
        for seat, file in enumerate(files):
            command = [built("bin/philosopher"), "--hosts", self.hosts, "--seat", str(seat), "--seats", str(self.seats),
                       "--rule", self.rule, "--think", "0", "--eat", "0", "--json", table]
            with open(file, "wb") as output:
                processes.append(self.stage.start(command, stdout=output))
        wait_for("a full table", lambda: all(file.stat().st_size for file in files))
        time.sleep(SETTLE)

        begin, before = time.time(), transactions(self.hosts)
        time.sleep(SECONDS)
        end, after = time.time(), transactions(self.hosts)
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
            self.stage.processes.remove(process)

        meals = sum(begin <= when < end for file in files for when in self._done(file))
        if meals:
            self.writes.append((after - before) / meals)
        return meals / (end - begin)

    @staticmethod
    def _done(file):
        """When each meal was over."""
        for line in file.read_text().splitlines():
            event = json.loads(line)
            if event["event"] == "done":
                yield datetime.datetime.fromisoformat(event["time"]).timestamp()


def kazoo(stage, hosts, seats, wait):
    path = f"/kazoo-{seats}-{wait}"
    counts = stage.folder / path[1:]
    counts.write_bytes(bytes(4 * seats))
    return Peer(stage, hosts, [
        [sys.executable, BENCH / "table_kazoo.py", path, str(seat), str(seats), counts, str(wait), str(SECONDS)]
        for seat in range(seats)
    ])


def measure(stage, report, runs):
    hosts = stage.zookeeper()
    names = {
        "fair": "philosopher --rule fair",
        "ordered": "philosopher --rule ordered",
        "table": "philosopher --rule table",
        "classic": "the classic lab with kazoo, waits 0.4 s",
        "quick": "the same, but waits 10 ms",
        "ceiling": "the server: its transactions, by two",
    }
    for seats in (5, 16):
        tables = {rule: Ours(stage, hosts, rule, seats) for rule in ("fair", "ordered", "table")}
        tables["classic"] = kazoo(stage, hosts, seats, 0.4)
        tables["quick"] = kazoo(stage, hosts, seats, 0.01)
        tables["ceiling"] = Peer(stage, hosts, [[built("meals"), f"/ceiling-{seats}", str(seats), str(SECONDS)]])
        for _ in range(WARM_UP):
            tables["ceiling"].per_second()

        report.section(f"{seats} philosophers who only eat", "meals per second of the whole table", runs, "fair/")
        rates = in_turn({name: table.per_second for name, table in tables.items()}, runs)
        for name in ("classic", "quick", "ceiling"):
            tables[name].leave()
        median = statistics.median(rates["fair"])
        for name, values in rates.items():
            rate = statistics.median(values)
            report.row(names[name], values, best=max, ratio=median / rate if name != "fair" and rate else None)

        report.section(f"{seats} philosophers who only eat", "transactions of the server for a meal", runs, "fair/")
        median = statistics.median(tables["fair"].writes)
        for name, table in tables.items():
            if table.writes:
                writes = statistics.median(table.writes)
                report.row(names[name], table.writes, ratio=median / writes if name != "fair" else None)
