#!/usr/bin/python3
"""table_kazoo.py PATH SEAT SEATS COUNTS WAIT SECONDS: a philosopher as in the classic lab, with kazoo's locks.

The table and each fork are a lock. Who is hungry takes the table; if nobody has or wants its forks, and it has not
eaten more often than a neighbour, it takes the left fork, then the right one, and gives the table free. Otherwise it
gives the table free and tries again after WAIT seconds. The file COUNTS has how often each has eaten, as the lab has it
in the memory of its only host: four bytes a seat.

It connects and prints `ready`; for each line of its input it thinks and eats for no time at all, but as often as it can
in SECONDS, and prints how often.
"""

import mmap
import os
import sys
import time

from kazoo.client import KazooClient


class Philosopher:
    def __init__(self, client, path, seat, seats, counts):
        self.table = client.Lock(f"{path}/table")
        self.forks = [client.Lock(f"{path}/fork-{fork}") for fork in (seat, (seat + 1) % seats)]
        self.seat = seat
        self.partners = [(seat - 1) % seats, (seat + 1) % seats]
        self.counts = counts

    def may_eat(self):
        """To be asked by who holds the table."""
        if any(fork.contenders() for fork in self.forks):
            return False
        return all(self.counts[self.seat] <= self.counts[partner] for partner in self.partners)

    def try_to_eat(self):
        with self.table:
            if not self.may_eat():
                return False
            for fork in self.forks:
                fork.acquire()
        self.counts[self.seat] += 1
        for fork in self.forks:
            fork.release()
        return True

    def meals(self, wait, seconds):
        end = time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            if not self.try_to_eat():
                time.sleep(min(wait, max(0, end - time.monotonic())))
            elif time.monotonic() < end:
                count += 1
        return count


def main():
    path, seat, seats, counts, wait, seconds = sys.argv[1:]
    client = KazooClient(os.environ["ZK_HOSTS"])
    client.start()
    with open(counts, "r+b") as file, mmap.mmap(file.fileno(), 4 * int(seats)) as memory:
        with memoryview(memory) as raw, raw.cast("I") as numbers:
            philosopher = Philosopher(client, path, int(seat), int(seats), numbers)
            print("ready", flush=True)
            for _ in sys.stdin:
                print(philosopher.meals(float(wait), float(seconds)), flush=True)
    client.stop()


main()
