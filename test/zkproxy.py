#!/usr/bin/python3
"""A proxy between ZooKeeper clients and one server that can lose, hold and cut what passes through it.

Usage: zkproxy.py TARGET_PORT FOLDER

It listens on a free port of 127.0.0.1 and forwards to TARGET_PORT of 127.0.0.1. In FOLDER
    port  is written as soon as it listens,
    mode  says what to do; it may be changed at any time and holds for every later byte,
    log   gets one line per event, so that a test can wait for it.
It ends when its standard input does, so that it never survives the test that started it.

Modes:
    pass            forward everything (so does a missing file)
    drop            a cut cable: nothing passes, all connections stay open. As with TCP, what was sent
                    meanwhile still arrives when the mode changes.
    hold            a server that accepts new connections and never says a word; open ones go on
    rst             reset every connection, the open ones and each new one
    delay:MS        every request arrives MS milliseconds later; those after the handshake are logged
    swallow:OP[:N]  let the server carry out the next request OP, lose its reply and reset the connection;
                    then pass again, or do it N times. OP is a name or number of the table below.
"""
import collections
import os
import select
import socket
import struct
import sys
import threading
import time

OPERATIONS = {'create': 1, 'delete': 2, 'exists': 3, 'get': 4, 'set': 5, 'getacl': 6, 'setacl': 7,
              'children': 8, 'sync': 9, 'ping': 11, 'children2': 12, 'check': 13, 'multi': 14, 'create2': 15,
              'container': 19, 'auth': 100, 'close': -11}
POLL = 0.01  # seconds until an idle connection notices a new mode


class Folder:
    """The files through which the proxy and its test speak to each other."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.log_file = open(os.path.join(path, 'log'), 'a', buffering=1, encoding='utf-8')

    def write(self, name, text):
        temporary = os.path.join(self.path, f'.{name}.new')
        with open(temporary, 'w', encoding='utf-8') as file:
            file.write(text + '\n')
        os.rename(temporary, os.path.join(self.path, name))  # nobody reads half of it

    def mode(self):
        try:
            with open(os.path.join(self.path, 'mode'), encoding='utf-8') as file:
                return file.read().strip() or 'pass'
        except FileNotFoundError:
            return 'pass'

    def log(self, text):
        self.log_file.write(f'{time.strftime("%H:%M:%S")} {text}\n')


def operation_of(mode):
    """The number of the operation in a mode like swallow:create or swallow:1:2."""
    name = mode.split(':')[1]
    return OPERATIONS[name] if name in OPERATIONS else int(name)


def reset(*sockets):
    for one in sockets:
        try:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            one.close()
        except OSError:
            pass


class Frames:
    """Cuts what a socket delivers into ZooKeeper's frames, each with its four bytes of length."""

    def __init__(self):
        self.buffer = b''

    def feed(self, data):
        self.buffer += data
        while len(self.buffer) >= 4:
            size = 4 + struct.unpack('>i', self.buffer[:4])[0]
            if len(self.buffer) < size:
                return
            frame, self.buffer = self.buffer[:size], self.buffer[size:]
            yield frame


class Connection:
    """One client's connection. The first frame each way is the handshake and has no operation."""

    def __init__(self, number, client, target, folder):
        self.number, self.client, self.folder = number, client, folder
        self.server = socket.create_connection(('127.0.0.1', target))
        for one in (self.client, self.server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.requests, self.replies = Frames(), Frames()
        self.greeted = False
        self.doomed = {}  # xid -> operation whose reply is to be lost
        self.late = collections.deque()  # (time to send it, frame) of delayed requests

    def run(self):
        try:
            while self.step():
                pass
            self.folder.log(f'connection {self.number} closed')
            self.client.close()
            self.server.close()
        except ConnectionResetError as error:
            self.folder.log(f'connection {self.number} reset{": " + str(error) if error.args else ""}')
            reset(self.client, self.server)
        except OSError as error:
            self.folder.log(f'connection {self.number} broke: {error}')
            reset(self.client, self.server)

    def step(self):
        """Moves what has arrived; false at the end of the connection."""
        readable, _, _ = select.select([self.client, self.server], [], [], POLL)
        mode = self.folder.mode()  # read after the wait: the mode of now decides about the data of now
        if mode == 'rst':
            raise ConnectionResetError
        if mode == 'drop':
            if readable:
                time.sleep(POLL)
            return True
        while self.late and self.late[0][0] <= time.monotonic():
            self.server.sendall(self.late.popleft()[1])
        if self.client in readable:
            data = self.client.recv(65536)
            if not data:
                return False
            for frame in self.requests.feed(data):
                self.request(frame, mode)
        if self.server in readable:
            data = self.server.recv(65536)
            if not data:
                return False
            for frame in self.replies.feed(data):
                self.reply(frame)
        return True

    def request(self, frame, mode):
        if mode.startswith('swallow:') and self.greeted and len(frame) >= 12:
            xid, operation = struct.unpack('>ii', frame[4:12])
            if operation == operation_of(mode) and not self.doomed:
                self.doomed[xid] = operation
        delay = int(mode[6:]) / 1000 if mode.startswith('delay:') else 0
        if delay and self.greeted:
            self.folder.log(f'delays a request of connection {self.number}')
        self.greeted = True
        if delay or self.late:
            self.late.append((time.monotonic() + delay, frame))
        else:
            self.server.sendall(frame)

    def reply(self, frame):
        xid = struct.unpack('>i', frame[4:8])[0]
        if xid in self.doomed:
            with self.folder.lock:  # the server has carried it out, and the client will never know
                operation, _, times = self.folder.mode().removeprefix('swallow:').partition(':')
                left = int(times or 1) - 1
                self.folder.write('mode', f'swallow:{operation}:{left}' if left > 0 else 'pass')
            self.folder.log(f'swallowed {operation} {self.doomed[xid]} xid {xid} of connection {self.number}')
            raise ConnectionResetError('reply swallowed')
        self.client.sendall(frame)


def serve(listener, target, folder):
    silent = []  # kept, because a socket that is forgotten is closed
    number = 0
    while True:
        client, _ = listener.accept()
        number += 1
        mode = folder.mode()
        folder.log(f'connection {number} opened')
        if mode == 'rst':
            reset(client)
        elif mode == 'hold':
            silent.append(client)
        else:
            try:
                connection = Connection(number, client, target, folder)
            except OSError as error:
                folder.log(f'connection {number} refused by the server: {error}')
                reset(client)
                continue
            threading.Thread(target=connection.run, daemon=True).start()


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    target, folder = int(sys.argv[1]), Folder(sys.argv[2])
    listener = socket.create_server(('127.0.0.1', 0), backlog=64)
    threading.Thread(target=serve, args=(listener, target, folder), daemon=True).start()
    folder.write('port', str(listener.getsockname()[1]))
    sys.stdin.buffer.read()


main()
