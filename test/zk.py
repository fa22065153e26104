#!/usr/bin/python3
# Debian's own Python, not any that PATH may lead to: python3-kazoo is a package for that one.
"""What tests do to the tree that no tool of this project does yet. Paths are relative to the test's chroot.

Usage: zk.py [--hosts HOSTS] [--auth SCHEME:CREDENTIALS]... COMMAND ...

    create PATH [DATA] [--sequence] [--acl ACL]...   print the path made; missing parents are made, too
    hold PATH [DATA] [--sequence]    the same with an ephemeral node; print its path, keep it until TERM
    exists PATH                      exit status 0 or 1, no output
    get PATH                         print the data as they are
    set PATH DATA
    stat PATH [FIELD]                print the fields, one NAME VALUE a line, or the value of one: czxid, mzxid,
                                     pzxid, version, cversion, aversion, ephemeralOwner (hexadecimal), ...
    children PATH                    print the names, sorted, one a line
    tree [PATH]                      print all paths below, sorted, one a line
    delete PATH
    deleteall PATH                   with everything below it
    acl PATH                         print SCHEME:ID:PERMISSIONS, one a line
    setacl PATH ACL...               ACL is SCHEME:ID:PERMISSIONS, for example world:anyone:cdrwa
    closesession PATH|0xSESSION      as an administrator would: close the session that owns the ephemeral PATH

HOSTS is $SERVER$CHROOT by default, as helpers.bash sets them, or $ZK_HOSTS. Exit status 1 with a sentence if it fails.
"""
import argparse
import logging
import os
import signal
import struct
import sys
import warnings

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import ACL, Id, Permissions

LETTERS = {'c': Permissions.CREATE, 'd': Permissions.DELETE, 'r': Permissions.READ, 'w': Permissions.WRITE,
           'a': Permissions.ADMIN}


def acl_of(text):
    scheme, rest = text.split(':', 1)
    identity, letters = rest.rsplit(':', 1)
    return ACL(sum(LETTERS[letter] for letter in letters), Id(scheme, identity))


def text_of(acl):
    letters = ''.join(letter for letter, bit in LETTERS.items() if acl.perms & bit)
    return f'{acl.id.scheme}:{acl.id.id}:{letters}'


def password_of(session):
    """The password of a session: ZooKeeper 3.8 derives it from the session's number (generatePasswd), as the
    first 16 bytes of a java.util.Random seeded with it. So any session can be closed from outside."""
    mask = (1 << 48) - 1
    state = ((session ^ 0xB3415C00) ^ 0x5DEECE66D) & mask
    password = b''
    for _ in range(4):
        state = (state * 0x5DEECE66D + 0xB) & mask
        password += struct.pack('<I', (state >> 16) & 0xFFFFFFFF)
    return password


def connect(hosts, auth, session=None):
    client = KazooClient(hosts=hosts, timeout=10, client_id=session, auth_data=[tuple(a.split(':', 1)) for a in auth])
    client.start(timeout=10)
    return client


def tree(client, path):
    for name in sorted(client.get_children(path)):
        child = path.rstrip('/') + '/' + name
        yield child
        yield from tree(client, child)


def session_of(client, target):
    if target.startswith('0x'):
        return int(target, 16)
    stat = client.exists(target)
    if stat is None:
        raise NoNodeError
    if not stat.ephemeralOwner:
        sys.exit(f'zk.py: {target} is not ephemeral')
    return stat.ephemeralOwner


def close_session(hosts, session):
    thief = connect(hosts, [], (session, password_of(session)))
    if thief.client_id[0] != session:
        sys.exit(f'zk.py: session {session:#x} has ended already')
    thief.stop()


def show_stat(stat, field):
    values = dict(zip(stat._fields, stat), ephemeralOwner=f'{stat.ephemeralOwner:#x}')
    if field:
        print(values[field])
    else:
        for name, value in values.items():
            print(name, value)


def hold(client, path, data, sequence):
    ended = {signal.SIGTERM, signal.SIGINT}
    print(client.create(path, data, ephemeral=True, sequence=sequence, makepath=True), flush=True)
    signal.sigwait(ended)


def perform(client, options, hosts):
    command, path = options.command, options.path
    data = (getattr(options, 'data', None) or '').encode()
    if command == 'create':
        acl = [acl_of(text) for text in options.acl] or None
        print(client.create(path, data, acl=acl, sequence=options.sequence, makepath=True))
    elif command == 'hold':
        hold(client, path, data, options.sequence)
    elif command == 'exists':
        return 0 if client.exists(path) else 1
    elif command == 'get':
        sys.stdout.buffer.write(client.get(path)[0])
    elif command == 'set':
        client.set(path, data)
    elif command == 'stat':
        show_stat(client.get(path)[1], options.field)
    elif command == 'children':
        print(*sorted(client.get_children(path)), sep='\n', end='\n' if client.get_children(path) else '')
    elif command == 'tree':
        for child in tree(client, path):
            print(child)
    elif command == 'delete':
        client.delete(path)
    elif command == 'deleteall':
        client.delete(path, recursive=True)
    elif command == 'acl':
        for acl in client.get_acls(path)[0]:
            print(text_of(acl))
    elif command == 'setacl':
        client.set_acls(path, [acl_of(text) for text in options.acl])
    elif command == 'closesession':
        close_session(hosts, session_of(client, path))
    return 0


def parse():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=False)
    parser.add_argument('--hosts', default=os.environ.get('SERVER', '') + os.environ.get('CHROOT', ''))
    parser.add_argument('--auth', action='append', default=[])
    commands = parser.add_subparsers(dest='command', required=True)
    for name in ('exists', 'get', 'children', 'delete', 'deleteall', 'acl', 'closesession'):
        commands.add_parser(name).add_argument('path')
    for name in ('create', 'hold'):
        command = commands.add_parser(name)
        command.add_argument('path')
        command.add_argument('data', nargs='?')
        command.add_argument('--sequence', action='store_true')
        command.add_argument('--acl', action='append', default=[])
    command = commands.add_parser('set')
    command.add_argument('path')
    command.add_argument('data')
    command = commands.add_parser('stat')
    command.add_argument('path')
    command.add_argument('field', nargs='?')
    commands.add_parser('tree').add_argument('path', nargs='?', default='/')
    command = commands.add_parser('setacl')
    command.add_argument('path')
    command.add_argument('acl', nargs='+')
    return parser.parse_args()


def main():
    logging.disable(logging.CRITICAL)  # kazoo's threads talk about every lost connection
    warnings.simplefilter('ignore')  # and it warns of the missing chroot that is made below
    # Held back before there is a thread, so that `hold` can wait for them; the others end at once.
    options = parse()
    if options.command == 'hold':
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    hosts = options.hosts or os.environ.get('ZK_HOSTS', '127.0.0.1:2181')
    servers, slash, chroot = hosts.partition('/')
    try:
        client = connect(hosts, options.auth)
        if slash and not client.exists('/'):
            root = connect(servers, [])
            root.ensure_path('/' + chroot)
            root.stop()
        status = perform(client, options, hosts)
        client.stop()
        return status
    except (KazooException, KazooTimeoutError) as error:
        reason = str(error) or type(error).__name__
        sys.exit(f'zk.py: {options.command} {options.path}: {reason}')


sys.exit(main())
