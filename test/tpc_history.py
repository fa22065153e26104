#!/usr/bin/python3
"""Writes down what clients of a register see while its replicas and coordinators are killed: a history.

Usage: tpc_history.py [OPTION...] HISTORY

In the working folder it starts three replicas of /r, a, b and c, with the data in a.d, b.d and c.d, and clients, each a
`tpc-coordinator /r run`, that set, set under a condition, delete and get a few keys for a while, each time to a value
that was never there before. Then it lets everybody go on undisturbed, waits until all is answered, reads all keys once
more, and ends the replicas by TERM. HISTORY is for linearizable.py: starts and ends are what a client can see, by
CLOCK_MONOTONIC.

    --seconds S     for how long they are disturbed            (default 10)
    --rounds N      or so often, whatever takes longer         (default 0)
    --clients N     how many                                   (default 4)
    --parallel K    what each has in flight                    (default 4)
    --keys N        how many keys                              (default 3)
    --apart         no operation is on two keys: much easier to judge
    --outages       somebody else kills servers meanwhile, and a client that finds none is nothing to worry about
    --faults LIST   of: replica (one is killed, and started again a moment later), coordinator (the same of a client's),
                    freeze (a replica or coordinator, for longer than its session), all (replicas and coordinators are
                    killed at once, and started again), none   (default replica,coordinator,freeze)
    --every S       how long there is peace between two        (default 0.7)
    --seed N        of the random choices                      (default: told, on standard error)

Of those that are killed the guard, who would end their session at once, is killed with them every other time.

Status 0 if all went well. 1 if somebody hangs or ends in a way that nobody made it: standard error says who. The last
line on standard output tells what was counted: JSON.
"""
import argparse
import collections
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time

SESSION = 1.0  # seconds
PATIENCE = 40  # until what is undisturbed is answered
OBJECTION = re.compile(r': \S+ (is .*, not |exists: |does not exist)')


def now():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


class Trouble(Exception):
    pass


def guards_of(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


class Process:
    """A tool, and whether it was killed by us."""

    def __init__(self, name, *argv, **options):
        self.name, self.killed = name, False
        self.err = open(f'{name}.err', 'ab')
        self.popen = subprocess.Popen(argv, stderr=self.err, **options)
        self.begun = self.err.tell()

    def kill(self, with_guard):
        self.killed = True
        for pid in guards_of(self.popen.pid) if with_guard else []:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.popen.kill()

    def finish(self, seconds):
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Trouble(f'{self.name} does not end') from None


class Replica:
    def __init__(self, name):
        self.name, self.process = name, None

    def start(self):
        with open(f'{self.name}.out', 'ab') as out:
            self.process = Process(self.name, 'tpc-participant', '--session-timeout', f'{SESSION}s', '/r', '--id', self.name,
                                   '--data', f'{self.name}.d', stdin=subprocess.DEVNULL, stdout=out)

    def kill(self, with_guard):
        self.process.kill(with_guard)
        self.process.popen.wait()

    def check(self):
        if self.process.popen.poll() is not None and not self.process.killed:
            raise Trouble(f'replica {self.name} has ended with {self.process.popen.returncode}')

    def stop(self):
        self.process.popen.terminate()
        if status := self.process.finish(10):
            raise Trouble(f'replica {self.name}, told to end, did so with {status}')


class History:
    def __init__(self, path):
        self.file, self.lock, self.counts = open(path, 'w', 1, 'utf-8'), threading.Lock(), collections.Counter()

    def add(self, record):
        with self.lock:
            self.file.write(json.dumps(record) + '\n')
            self.counts[record['result']] += 1


class Client:
    """Feeds one coordinator after the other, as each is killed."""

    def __init__(self, name, options, history, seed):
        self.name, self.options, self.history, self.random = name, options, history, random.Random(seed)
        self.numbers, self.last = 0, {}  # the last value that was seen of a key
        self.process, self.ending, self.trouble = None, threading.Event(), None
        self.threads = threading.Thread(target=self.guarded)
        self.statuses = collections.Counter()

    def guarded(self):
        try:
            while not self.ending.is_set():
                self.one_life()
        except Exception as trouble:  # told by whoever waits for us
            self.trouble = trouble

    def one_life(self):
        self.process = Process(self.name, 'tpc-coordinator', '--json', '--session-timeout', f'{SESSION}s', '--timeout', '10s',
                               '/r', 'run', '--parallel', str(self.options.parallel), stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
        flying, room = collections.deque(), threading.Semaphore(self.options.parallel)
        feeder = threading.Thread(target=self.feed, args=(self.process, flying, room))
        feeder.start()
        for line in self.process.popen.stdout:
            if not line.endswith('\n'):
                break
            self.answered(flying.popleft(), json.loads(line))
            room.release()
        status = self.process.finish(10)
        room.release()
        feeder.join()
        self.statuses[status] += 1
        for record in flying:
            self.never_answered(record)
        if status == 125 and not flying:
            time.sleep(0.1)  # no server, or no register yet
        elif status not in (0, 122) and not self.process.killed and not (status == 125 and self.options.outages):
            raise Trouble(f'client {self.name} has ended with {status}')

    def feed(self, process, flying, room):
        try:
            while not self.ending.is_set():
                room.acquire()
                if process.popen.poll() is not None:
                    return
                record, words = self.operation()
                record['start'] = now()
                flying.append(record)
                process.popen.stdin.write(words + '\n')
                process.popen.stdin.flush()
        except BrokenPipeError:
            return
        try:
            process.popen.stdin.close()
        except BrokenPipeError:
            pass

    def operation(self):
        keys = self.random.sample([f'k{i}' for i in range(self.options.keys)], 1 if self.options.apart else self.random.choice((1, 1, 1, 2)))
        record, kind = {'client': self.name}, self.random.random()
        if kind < 0.3:
            return {**record, 'do': 'get', 'keys': keys}, 'get ' + ' '.join(keys)
        record.update(do='set', changes={}, conditions={})
        if kind < 0.35:
            record['changes'] = {keys[0]: None}
            return record, f'delete {keys[0]}'
        for key in keys:
            self.numbers += 1
            record['changes'][key] = f'{self.name}-{self.numbers}'
        words = 'set ' + ' '.join(f'{key}={value}' for key, value in record['changes'].items())
        if kind < 0.6 and keys[0] in self.last:
            value = record['conditions'][keys[0]] = self.last[keys[0]]
            words += f' if-missing {keys[0]}' if value is None else f' if {keys[0]}={value}'
        return record, words

    def answered(self, record, answer):
        end, result = now(), answer['result'] if 'result' in answer else 'ok'
        if record['do'] == 'get':
            keys = record.pop('keys')
            if result == 'ok':
                values = {key: answer['values'][key] and answer['values'][key]['value'] for key in keys}
                self.last.update(values)
                self.history.add({**record, 'end': end, 'values': values, 'version': answer['version'], 'result': 'ok'})
            else:
                self.history.add({**record, 'end': end, 'result': 'failed'})
            return
        if result == 'aborted' and record['conditions'] and OBJECTION.search(answer['why']):
            result = 'refused'
        if result == 'failed':
            raise Trouble(f'{self.name} was refused: {answer}')
        if result == 'committed':
            record['version'] = answer['version']
            self.last.update(record['changes'])
        self.history.add({**record, 'end': end, 'result': result})

    def never_answered(self, record):
        if record['do'] == 'get':
            record.pop('keys')
        self.history.add({**record, 'end': None, 'result': 'failed' if record['do'] == 'get' else 'unknown'})

    def kill(self, with_guard):
        if self.process:
            self.process.kill(with_guard)

    def join(self):
        self.threads.join(PATIENCE)
        if self.threads.is_alive():
            self.process.killed = True
            self.process.popen.kill()
            raise Trouble(f'client {self.name} was not answered within {PATIENCE} s')
        if self.trouble:
            raise self.trouble


class Faults:
    def __init__(self, options, replicas, clients, seed):
        self.options, self.replicas, self.clients, self.random = options, replicas, clients, random.Random(seed)
        self.counts = collections.Counter()

    def one(self):
        self.peace(self.options.every)
        what = self.random.choice(self.options.faults)
        getattr(self, what)()
        self.counts[what] += 1

    def peace(self, seconds):
        time.sleep(self.random.uniform(0.3, 1.7) * seconds)
        for replica in self.replicas:
            replica.check()

    def with_guard(self):
        return self.random.random() < 0.5

    def none(self):
        pass

    def replica(self):
        victim = self.random.choice(self.replicas)
        victim.kill(self.with_guard())
        self.peace(self.random.choice((0, self.options.every)))
        victim.start()

    def coordinator(self):
        self.random.choice(self.clients).kill(self.with_guard())

    def freeze(self):
        victim = self.random.choice(self.replicas + self.clients).process
        if victim.popen.poll() is not None:
            return
        victim.popen.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(0.1, 2) * SESSION)
        victim.popen.send_signal(signal.SIGCONT)

    def all(self):
        everybody = self.replicas + self.clients
        self.random.shuffle(everybody)
        with_guards = self.with_guard()
        for victim in everybody:
            if victim.process:
                victim.process.kill(with_guards)
        for replica in self.replicas:
            replica.process.popen.wait()
            replica.start()


def read_all(history):
    start = now()
    done = subprocess.run(['tpc-coordinator', '--json', '--participants', '3', '/r', 'dump'], stdout=subprocess.PIPE,
                          check=False, timeout=PATIENCE)
    end = now()
    if done.returncode:
        raise Trouble(f'the last look ended with {done.returncode}')
    values = json.loads(done.stdout)
    return start, end, values['version'], {key: value['value'] for key, value in values['values'].items()}


def run(options):
    seeds = random.Random(options.seed)
    history = History(options.history)
    replicas = [Replica(name) for name in 'abc']
    clients = [Client(f'client{i}', options, history, seeds.random()) for i in range(options.clients)]
    faults = Faults(options, replicas, clients, seeds.random())
    try:
        for replica in replicas:
            replica.start()
        subprocess.run(['tpc-coordinator', '--participants', '3', '/r', 'status'], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False, timeout=PATIENCE)
        for client in clients:
            client.threads.start()
        end, rounds = time.monotonic() + options.seconds, 0
        while time.monotonic() < end or rounds < options.rounds:
            faults.one()
            rounds += 1
        time.sleep(options.every)
        for client in clients:
            client.ending.set()
        for client in clients:
            client.join()
        start, end, version, values = read_all(history)
        for i in range(options.keys):
            history.add({'client': 'last', 'start': start, 'end': end, 'do': 'get', 'values': {f'k{i}': values.get(f'k{i}')},
                         'result': 'ok', 'version': version})
        for replica in replicas:
            replica.check()
        for replica in replicas:
            replica.stop()
    finally:
        for one in clients + replicas:
            if one.process and one.process.popen.poll() is None:
                one.process.kill(True)
        history.file.close()
    statuses = sum((client.statuses for client in clients), collections.Counter())
    print(json.dumps({'rounds': rounds, **history.counts, 'faults': faults.counts,
                      'statuses': {str(status): count for status, count in statuses.items()}}))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument('--seconds', type=float, default=10)
    parser.add_argument('--rounds', type=int, default=0)
    parser.add_argument('--clients', type=int, default=4)
    parser.add_argument('--parallel', type=int, default=4)
    parser.add_argument('--keys', type=int, default=3)
    parser.add_argument('--faults', type=lambda text: text.split(','), default=['replica', 'coordinator', 'freeze'])
    parser.add_argument('--every', type=float, default=0.7)
    parser.add_argument('--seed', type=int, default=random.SystemRandom().randrange(1 << 30))
    parser.add_argument('--apart', action='store_true')
    parser.add_argument('--outages', action='store_true')
    parser.add_argument('history')
    options = parser.parse_args()
    print(f'seed {options.seed}', file=sys.stderr)
    try:
        run(options)
    except Trouble as trouble:
        print(f'tpc_history.py: {trouble}', file=sys.stderr)
        return 1
    return 0


sys.exit(main())
