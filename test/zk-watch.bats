# zk-watch: what it tells, its options, its commands and its readers, on a healthy server. What happens when things
# break has a file of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and Pythons that are started with it
load helpers
load watching

# Under `run`: what hangs is ended here, because Bats at its timeout would wait for the end of the output first.
zk-watch() { timeout --foreground -s KILL 20 zk-watch "$@"; }

# --- changes ---

set_often() { kazoo 'for n in range(int(sys.argv[2])): zk.set(sys.argv[1], b"set %d" % n)' "$@"; } # PATH TIMES

children() { # PATH N: creates so many, in transactions
  kazoo 'names = [f"{sys.argv[1]}/n{i:05}" for i in range(int(sys.argv[2]))]
for at in range(0, len(names), 500):
  transaction = zk.transaction()
  for name in names[at:at + 500]: transaction.create(name)
  transaction.commit()' "$@"
}

# --- sessions ---

# Nothing is heard between a change and the next reading, and after that the watch is there again.
wait_watched() { wait_for 5 "a watch of $1" watched "$1"; } # PATH

sessions_are() { (($(four_letter cons | grep -c 'sid=0x') == $1)); } # N

# --- what it tells ---

@test "zk-watch tells a node's state, then what happens to it, a readable line each" {
  zk create /a one
  start w zk-watch /a
  told w 1
  zk-node set /a two
  told w 2
  zk-node delete /a
  told w 3
  zk-node create /a three
  told w 4
  end w
  assert_stderr ''
  assert_equal "${#lines[@]}" 4
  local time='^[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{3}  ' ids=' czxid ([0-9]+) mzxid ([0-9]+)'
  assert_regex "${lines[0]}" "${time}initial   /a  v0$ids  \"one\"\$"
  assert_equal "${BASH_REMATCH[1]}" "${BASH_REMATCH[2]}"
  local created=${BASH_REMATCH[1]}
  assert_regex "${lines[1]}" "${time}changed   /a  v1$ids  \"two\"\$"
  assert_equal "${BASH_REMATCH[1]}" "$created"
  assert [ "${BASH_REMATCH[2]}" -gt "$created" ]
  assert_regex "${lines[2]}" "${time}deleted   /a  was v1$ids\$"
  assert_equal "${BASH_REMATCH[1]}" "$created"
  assert_regex "${lines[3]}" "${time}created   /a  v0$ids  \"three\"\$"
  assert_equal "${BASH_REMATCH[1]}" "$(zk stat /a czxid)"
}

@test "zk-watch --json tells the same for programs, with all of the stat" {
  zk create /a one
  watching w /a
  told w 1
  zk-node set /a two
  told w 2
  local field
  for field in czxid mzxid pzxid version cversion aversion dataLength numChildren; do
    assert_equal "$(tail -n 1 "$(out w)" | json "$field")" "$(zk stat /a "$field")"
  done
  zk-node delete /a
  told w 3
  zk-node create /a three
  told w 4
  end w
  assert_records w '(event, path, exists, record.get("data"), version, missed, after_gap)' \
    "('initial', '/a', True, 'one', 0, 0, False)
('changed', '/a', True, 'two', 1, 0, False)
('deleted', '/a', False, None, 1, 0, False)
('created', '/a', True, 'three', 0, 0, False)"
  run -0 records w 'time'
  local now
  now=$(date -u +%Y-%m-%d)
  for field in "${lines[@]}"; do assert_regex "$field" "^$now?T[0-9:]{8}\\.[0-9]{3}Z\$"; done
  assert_equal "$(sort "$(out w)")" "$(<"$(out w)")" # each begins with its time
}

@test "zk-watch tells of a node that does not exist yet, nor the one above it" {
  zk create /other
  watching w /a/b
  start text zk-watch /a/b
  told w 1
  told text 1
  zk-node create /a
  zk-node create /a/b late
  told w 2
  told text 2
  end w
  assert_records w '(event, path, exists, record.get("data"), record.get("version"))' \
    "('initial', '/a/b', False, None, None)
('created', '/a/b', True, 'late', 0)"
  end text
  assert_line --index 0 --regexp '  initial   /a/b  missing$'
  assert_line --index 1 --regexp '  created   /a/b  v0 .*  "late"$'
}

@test "zk-watch tells of a missing node even if the chroot is missing, too" {
  ZK_HOSTS+=/none/yet watching w /a
  told w 1
  zk-node create /none
  zk-node create /none/yet
  zk-node create /none/yet/a here
  told w 2
  end w
  assert_records w '(event, path, record.get("data"))' "('initial', '/a', None)"$'\n'"('created', '/a', 'here')"
}

@test "zk-watch --no-initial tells changes only" {
  zk create /a one
  watching w --no-initial /a --children /b
  wait_watched /a
  wait_watched /b
  zk-node set /a two
  told w 1
  zk-node create /b
  told w 2
  end w
  assert_records w '(event, path)' "('changed', '/a')"$'\n'"('created', '/b')"
}

@test "zk-watch --children tells who came and who went" {
  zk create /a/x
  zk create /a/y
  watching w --children /a
  start text zk-watch --children /a
  told w 1
  told text 1
  zk create /a/z
  told w 2
  told text 2
  zk-node delete /a/x
  told w 3
  told text 3
  printf 'create /a/p\ndelete /a/y\ndelete /a/z\n' | zk-node txn
  told w 4
  told text 4
  end w
  assert_records w '(event, path, children, added, removed, missed, cversion, numChildren)' \
    "('initial', '/a', ['x', 'y'], [], [], 0, 2, 2)
('children', '/a', ['x', 'y', 'z'], ['z'], [], 0, 3, 3)
('children', '/a', ['y', 'z'], [], ['x'], 0, 4, 2)
('children', '/a', ['p'], ['p'], ['y', 'z'], 0, 7, 1)"
  assert_records w '"data" in record' $'False\nFalse\nFalse\nFalse'
  end text
  assert_line --index 0 --regexp '  initial   /a  2 children  cv2 czxid [0-9]+ mzxid [0-9]+  x y$'
  assert_line --index 1 --regexp '  children  /a  \+z  3 children  cv3 '
  assert_line --index 2 --regexp '  children  /a  -x  2 children  cv4 '
  assert_line --index 3 --regexp '  children  /a  \+p -y -z  1 child  cv7 '
}

@test "zk-watch --children tells of the node itself, too: missing, created, deleted with all children, re-created" {
  zk create /other
  watching w --children /a
  told w 1
  printf 'create /a\ncreate /a/x\ncreate /a/y\n' | zk-node txn
  told w 2
  printf 'delete /a/x\ndelete /a/y\ndelete /a\n' | zk-node txn
  told w 3
  zk-node create /a
  told w 4
  printf 'create /a/z\ndelete /a/z\ndelete /a\ncreate /a\ncreate /a/q\n' | zk-node txn
  told w 6
  end w
  assert_records w '(event, exists, children, added, removed, missed)' \
    "('initial', False, [], [], [], 0)
('created', True, ['x', 'y'], ['x', 'y'], [], 0)
('deleted', False, [], [], ['x', 'y'], 0)
('created', True, [], [], [], 0)
('deleted', False, [], [], [], 0)
('created', True, ['q'], ['q'], [], 0)"
}

@test "zk-watch tells data where data are watched, and children where children are" {
  zk create /a one
  watching data /a
  watching children --children /a
  told data 1
  told children 1
  zk-node create /a/x
  told children 2
  zk-node set /a two
  told data 2
  zk-node set /a/x unseen
  zk-node create /a/y
  told children 3
  zk-node set /a three
  told data 3
  end data
  assert_records data '(event, data)' "('initial', 'one')"$'\n'"('changed', 'two')"$'\n'"('changed', 'three')"
  end children
  assert_records children '(event, children)' "('initial', [])"$'\n'"('children', ['x'])"$'\n'"('children', ['x', 'y'])"
}

@test "zk-watch --recursive tells the data of a node and of all below it, however deep" {
  zk create /a/b/c deep
  zk create /other
  watching w --recursive /a
  told w 3
  zk-node create /a/b/c/d new
  told w 4
  zk-node set /a/b/c/d newer
  told w 5
  zk-node set /a top
  told w 6
  zk-node set /other unseen
  zk-node delete -r /a/b
  told w 9
  zk-node create /a/b again
  told w 10
  zk-node create /a/b/c anew
  told w 11
  end w
  assert_records w '(event, path, record.get("data"))' \
    "('initial', '/a', '')
('initial', '/a/b', '')
('initial', '/a/b/c', 'deep')
('created', '/a/b/c/d', 'new')
('changed', '/a/b/c/d', 'newer')
('changed', '/a', 'top')
('deleted', '/a/b/c/d', None)
('deleted', '/a/b/c', None)
('deleted', '/a/b', None)
('created', '/a/b', 'again')
('created', '/a/b/c', 'anew')"
}

@test "zk-watch --recursive waits for a node that does not exist yet" {
  zk create /other
  watching w --recursive /a
  told w 1
  printf 'create /a\ncreate /a/b\ncreate /a/b/c x\n' | zk-node txn
  told w 4
  zk-node delete -r /a
  told w 7
  zk-node create /a again
  told w 8
  end w
  assert_records w '(event, path, record.get("data"), missed)' \
    "('initial', '/a', None, 0)
('created', '/a', '', 0)
('created', '/a/b', '', 0)
('created', '/a/b/c', 'x', 0)
('deleted', '/a/b/c', None, 0)
('deleted', '/a/b', None, 0)
('deleted', '/a', None, 0)
('created', '/a', 'again', 0)"
}

@test "zk-watch --recursive follows the whole tree" {
  zk create /a/b
  ZK_HOSTS+=/a watching w --recursive /
  told w 2
  zk-node create /a/b/c
  told w 3
  end w
  assert_records w '(event, path)' "('initial', '/')"$'\n'"('initial', '/b')"$'\n'"('created', '/b/c')"
}

@test "zk-watch marks: each is about the paths that follow it, at the end about all" {
  zk create /data d
  zk create /names/n
  zk create /tree/t
  watching w /data --children /names --recursive /tree --data /names
  told w 5
  end w
  run -0 records w '(path, record.get("children"), record.get("data"))'
  assert_equal "$(LC_ALL=C sort <<<"$output")" "('/data', None, 'd')
('/names', None, '')
('/names', ['n'], None)
('/tree', None, '')
('/tree/t', None, '')"

  watching all /names /tree --children
  told all 2
  end all
  assert_records all '(path, children)' "('/names', ['n'])"$'\n'"('/tree', ['t'])"
}

@test "zk-watch tells of a path once that is named twice" {
  zk create /a one
  watching w /a --children /a --data /a
  told w 2
  zk-node set /a two
  told w 3
  zk-node create /a/x
  told w 4
  end w
  assert_records w 'event' $'initial\ninitial\nchanged\nchildren'
}

# --- what it does not see ---

@test "zk-watch says how many changes of the data it has missed" {
  zk create /a
  watching w /a
  start text zk-watch /a
  told w 1
  told text 1
  printf 'set /a 1\nset /a 2\nset /a 3\n' | zk-node txn # one reading can see it
  told w 2
  told text 2
  printf 'set /a 4\nset /a 5\n' | zk-node txn
  told text 3
  told w 3
  printf 'delete /a\ncreate /a\nset /a 6\n' | zk-node txn
  told w 5
  told text 5
  end w
  assert_records w '(event, record.get("data"), version, missed)' \
    "('initial', '', 0, 0)
('changed', '3', 3, 2)
('changed', '5', 5, 1)
('deleted', None, 5, 0)
('created', '6', 1, 1)"
  end text
  assert_line --index 1 --regexp '  "3"  \(2 changes missed\)$'
  assert_line --index 2 --regexp '  "5"  \(1 change missed\)$'
}

@test "zk-watch says how many changes of the children it has missed" {
  zk create /a/x
  watching names --children /a
  watching tree --recursive /a
  told names 1
  told tree 2
  printf 'create /a/y\ndelete /a/y\ncreate /a/z\n' | zk-node txn
  told names 2
  told tree 4
  end names
  assert_records names '(event, children, added, removed, missed)' \
    "('initial', ['x'], [], [], 0)
('children', ['x', 'z'], ['z'], [], 2)"
  end tree
  run -0 records tree '(event, path, missed)'
  assert_equal "$(LC_ALL=C sort <<<"$output")" "('children', '/a', 2)
('created', '/a/z', 0)
('initial', '/a', 0)
('initial', '/a/x', 0)"
}

@test "zk-watch ends in the right state after hundreds of quick sets, and all of them add up" {
  zk create /a
  watching w /a
  start text zk-watch /a
  told w 1
  told text 1
  set_often /a 300
  kazoo 'for n in range(500): zk.set_async("/a", b"%d" % n)
zk.set("/a", b"last")'
  assert_replayed w /a
  assert_equal "$(tail -n 1 <<<"$output" | json version)" 801
  wait_for 5 "the last line" grep -q '  changed   /a  v801 ' "$(out text)"
  end text
  assert_line --index -1 --regexp '  changed   /a  v801 '
}

@test "zk-watch ends in the right state after a node has been deleted and created again and again" {
  zk create /a
  watching w /a
  watching names --children /a
  told w 1
  told names 1
  kazoo 'for n in range(150):
  zk.create_async("/a/x"); zk.delete_async("/a/x"); zk.delete_async("/a"); zk.create_async("/a", b"%d" % n)
  if n % 3: zk.set_async("/a", b"set %d" % n)
zk.set("/a", b"last")'
  assert_replayed w /a
  wait_for 5 "the last of them" last_is names czxid "$(zk stat /a czxid)"
  end names
  run -0 records names '(exists, len(children))'
  assert_line --index -1 '(True, 0)'
}

@test "zk-watch --recursive has a consistent picture after storms of creating and deleting" {
  zk create /a/keep/me
  watching w --recursive /a
  told w 3
  kazoo 'import random
random.seed(7)
def storm(depth, path):
  for name in "pqr":
    if random.random() < 0.6:
      zk.create_async(f"{path}/{name}", b"d%d" % depth)
      if random.random() < 0.5: zk.set_async(f"{path}/{name}", b"s%d" % depth)
      if depth < 4: storm(depth + 1, f"{path}/{name}")
    if random.random() < 0.4: zk.delete_async(f"{path}/{name}")
for _ in range(25): storm(0, "/a/keep/me")
zk.set("/a", b"done")'
  assert_replayed w /a
  assert [ "$(wc -l <<<"$output")" -gt 30 ]
}

@test "zk-watch --recursive has a consistent picture after whole trees have been deleted and made again" {
  zk create /a
  watching w --recursive /a
  told w 1
  kazoo 'for n in range(40):
  for path in "/a/b", "/a/b/c", "/a/b/c/d", "/a/b/e": zk.create_async(path, b"%d" % n)
  for path in "/a/b/e", "/a/b/c/d", "/a/b/c", "/a/b": zk.delete_async(path)
zk.create("/a/b", b"last", makepath=True)
zk.create("/a/b/c", b"last")'
  assert_replayed w /a
  zk deleteall /a/b
  watching again --recursive /a
  told again 1
  kazoo 'for n in range(60):
  transaction = zk.transaction()
  if n: [transaction.delete(path) for path in ("/a/b/c", "/a/b")]
  transaction.create("/a/b", b"%d" % n)
  transaction.create("/a/b/c", b"%d" % n)
  transaction.commit_async()
zk.set("/a/b/c", b"last")'
  assert_replayed again /a
}

# NAME: prints the records that tell of a node without the one above it, or of the end of a node before that of one below
impossible() {
  /usr/bin/python3 -c 'import json, sys
there, known = set(), set()
for line in sys.stdin:
  record = json.loads(line)
  event, path = record["event"], record.get("path")
  parent = path.rpartition("/")[0]
  if event == "created" and parent in known and parent not in there: print(line, end="")
  if event == "deleted" and [below for below in there if below.startswith(path + "/")]: print(line, end="")
  if event != "children":
    known.add(path)
    (there.add if record["exists"] else there.discard)(path)' <"$(out "$1")"
}

@test "zk-watch --recursive tells no node without the one above it, also of trees that are made again and again" {
  zk create /a/b/c
  watching w --recursive /a
  told w 3
  printf 'delete /a/b/c\ndelete /a/b\ncreate /a/b\ncreate /a/b/c new\n' | zk-node txn
  wait_for 10 "the new tree" grep -q '"data":"new"' "$(out w)"
  kazoo 'for n in range(300):
  for path in "/a/b/c", "/a/b": zk.delete_async(path)
  for path in "/a/b", "/a/b/c": zk.create_async(path, b"%d" % n)
zk.set("/a", b"last")'
  wait_for 10 "the end" grep -q '"data":"last"' "$(out w)"
  end w
  run -0 impossible w
  assert_output ''
}

# --- what nodes contain ---

# Much of what is watched is names, and after a reconnection all of them are sent at once.
@test "zk-watch --recursive refuses more than it could watch with one session, also if it becomes that much" {
  zk create /a
  long_children /a 600
  start text zk-watch --recursive /a
  finish text
  assert_failure 125
  assert_stderr --partial 'too many nodes at and below /a'
  zk create /b
  watching w --recursive /b
  told w 1
  long_children /b 600
  finish w
  assert_failure 125
  assert_stderr --partial 'too many nodes at and below /b'
}

long_children() { # PATH N: with names of 900 letters
  kazoo 'for i in range(int(sys.argv[2])): zk.create_async(f"{sys.argv[1]}/{i:0900}")
zk.sync("/")' "$@"
}

@test "zk-watch --recursive tells of a node with a path of 1100 bytes" {
  local name
  name=$(printf '%01100d' 0)
  zk create /a/x
  zk create "/a/$name"
  watching w --recursive /a
  told w 2
  zk-node set /a/x seen
  wait_for 5 "the change" grep -q seen "$(out w)"
  cat "$(out w)" "$(err w)" >both
  run -0 grep -c "$name" both
  end w
}

@test "zk-watch --children and --recursive follow 10,000 children" {
  zk create /a
  children /a 10000
  watching names --children /a
  watching tree --recursive /a
  start text zk-watch --children /a
  wait_for 20 "the names" lines_are names 1
  wait_for 20 "the tree" lines_are tree 10001
  told text 1
  zk-node create /a/new
  zk-node set /a/n05000 changed
  zk-node delete /a/n09999
  wait_for 20 "the end of it" last_is names 'removed' "['n09999']"
  wait_for 20 "the rest" lines_are tree 10004
  told text 3
  end names
  assert_records names '(len(children), added, removed, missed)' \
    "(10000, [], [], 0)
(10001, ['new'], [], 0)
(10000, [], ['n09999'], 0)"
  end tree
  run -0 records tree '(event, path, version)'
  assert_equal "$(tail -n +10002 <<<"$output" | sort)" "('changed', '/a/n05000', 1)
('created', '/a/new', 0)
('deleted', '/a/n09999', 0)"
  assert_equal "$(head -n 10001 <<<"$output" | cut -d, -f1 | sort -u)" "('initial'"
  end text
  assert_line --index 0 --regexp '  10000 children .* n00000 .* n00019 9980 more$'
}

@test "zk-watch shows any data: in JSON as they are, in lines for people harmless" {
  local data=$'\e[31mred\x9b\r\n\t"\xe2\x80\xaegnp.exe'
  printf '%s\0' "$data" | zk-node create /a -
  printf 'gr\xc3\xbcn \xe2\x80\xae' | zk-node create /b -
  watching w /a /b
  start text zk-watch /a /b
  told w 2
  told text 2
  end w
  run -1 grep -P '[^ -~]' "$(out w)" # lines for programs, but nobody knows who looks at them
  assert_equal "$(records w 'data_base64' 2>/dev/null | head -n 1)" "$(printf '%s\0' "$data" | base64 -w 0)"
  assert_equal "$(tail -n 1 "$(out w)" | json 'ascii(data)')" "'gr\\xfcn \\u202e'"
  end text
  assert_line --index 0 --partial '"\x1b[31mred\x9b\r\n\t"\u{202e}gnp.exe\x00"'
  assert_line --index 1 --partial $'"gr\xc3\xbcn \\u{202e}"'
  assert_equal "${#lines[@]}" 2
}

@test "zk-watch shows any name, and no name can pretend to be another" {
  local name=$'caf\xc3\xa9 \xe2\x80\xaetxt "x" \\n' # no ZooKeeper has nodes with control characters in their names
  zk create /a
  watching w --recursive /a
  start names zk-watch --children /a
  start text zk-watch --recursive /a
  told w 1
  told names 1
  told text 1
  zk create "/a/$name" data
  told w 2
  told names 2
  told text 2
  end w
  run -1 grep -P '[^ -~]' "$(out w)"
  assert_equal "$(tail -n 1 "$(out w)" | PYTHONIOENCODING=utf-8 json path)" "/a/$name"
  end names
  assert_line --index 1 --partial $'+caf\xc3\xa9 \\u{202e}txt "x" \\n  1 child'
  end text
  assert_line --index 1 --partial $'created   /a/caf\xc3\xa9 \\u{202e}txt "x" \\n  v0 '
}

@test "zk-watch shows the beginning of much data to people, and all of it to programs" {
  local size=1000000
  head -c "$size" /dev/zero | tr '\0' x | zk-node create /a -
  run -0 zk-watch -n 1 /a
  assert_output --regexp "  \"x{200}… \\(999800 bytes more\\)\"\$"
  zk-watch --json -n 1 /a | json 'len(data), set(data)' >all
  assert_equal "$(<all)" "(1000000, {'x'})"
}

# --- permissions ---

@test "zk-watch fails if it may not read a path it was given" {
  zk create /a secret
  zk setacl /a world:anyone:cdwa
  local mark
  for mark in --data --children --recursive; do
    run -125 --separate-stderr zk-watch "$mark" /a
    assert_output ''
    assert_stderr --partial '/a'
    assert_stderr --partial 'not authorised'
  done
}

@test "zk-watch --recursive warns of what it may not read, and goes on" {
  zk create /a/closed/below
  zk create /a/open
  zk setacl /a/closed world:anyone:cdwa
  watching w --recursive /a
  told w 2
  wait_for 5 "the warning" grep -q 'not authorised' "$(err w)"
  zk-node set /a/open seen
  told w 3
  zk-node create /a/later
  told w 4
  end w
  assert_records w '(event, path)' \
    "('initial', '/a')
('initial', '/a/open')
('changed', '/a/open')
('created', '/a/later')"
  assert_stderr 'zk-watch: what happens to /a/closed cannot be seen: not authorised to read it'
}

# Python: shuts out who has no credentials, changes the node PATH, and lets all in again. Nobody is told of that.
in_secret='from kazoo.security import OPEN_ACL_UNSAFE, make_acl
shut = [make_acl("world", "anyone", create=True, delete=True, write=True, admin=True)]
def secretly(path, change):
    change(path)
    zk.set_acls(path, OPEN_ACL_UNSAFE)
    zk.set(path, b"final")'

@test "zk-watch tells the final state of a node that it was shut out of when it changed" {
  zk-node create /a one
  watching w --session-timeout 1s /a
  told w 1
  kazoo "$in_secret
def change(path):
    zk.set_acls(path, shut)
    zk.set(path, b'secret')
secretly('/a', change)"
  told w 2
  zk-node set /a later
  told w 3
  end w
  assert_records w '(event, data, missed)' \
    "('initial', 'one', 0)
('changed', 'final', 1)
('changed', 'later', 0)"
}

@test "zk-watch tells of a node that it was shut out of when it was created" {
  zk-node create /beside
  watching w --session-timeout 1s /a
  told w 1
  kazoo "$in_secret
secretly('/a', lambda path: zk.create(path, b'secret', acl=shut))"
  told w 2
  zk-node set /a later
  told w 3
  end w
  assert_records w '(event, record.get("data"))' \
    "('initial', None)
('created', 'final')
('changed', 'later')"
}

@test "zk-watch goes on when it may not read a path any more, and says so" {
  zk-node create /a one
  watching w --session-timeout 500ms /a
  told w 1
  zk setacl /a world:anyone:cdwa
  wait_for 15 "the warning" grep -qx 'zk-watch: what happens to /a cannot be seen: not authorised to read it' "$(err w)"
  zk setacl /a world:anyone:cdrwa
  wait_for 15 "the end of it" grep -qx 'zk-watch: /a can be read again' "$(err w)"
  zk-node set /a two
  told w 2
  end w
  assert_records w '(event, data)' \
    "('initial', 'one')
('changed', 'two')"
}

@test "zk-watch --auth-file sees what needs credentials" {
  printf 'digest:ana:secret\n' >auth
  chmod 600 auth
  zk-node create --auth-file auth --acl creator /a hidden
  run -125 zk-watch -n 1 /a
  run -0 zk-watch --json -n 1 --auth-file auth /a
  assert_equal "$(json data <<<"$output")" hidden
}

# --- ends ---

@test "zk-watch --count ends after so many records, the initial ones counted" {
  zk create /a one
  zk create /b
  run -0 zk-watch --json --count 2 /a --children /b
  assert_equal "$(json event <<<"$output")" $'initial\ninitial'
  watching w -n 3 /a
  told w 1
  zk-node set /a two
  told w 2
  zk-node set /a three
  finish w
  assert_success
  assert_records w data $'one\ntwo\nthree'
  watching without --no-initial -n 1 /a
  wait_watched /a
  zk-node set /a four
  finish without
  assert_success
  assert_records without data four
}

@test "zk-watch --timeout ends with 124, or what --timeout-exit-code says, and what was told stays" {
  zk create /a one
  run -124 --separate-stderr zk-watch --timeout 100ms /a
  assert_output --partial '"one"'
  assert_stderr 'zk-watch: gave up waiting for a change'
  run -124 zk-watch -t 0.1 --until missing /a
  run -7 zk-watch -t 100ms -E 7 /a
  run -0 zk-watch -t 100ms --timeout-exit-code 0 /a
  run -0 zk-watch -t 10s -n 1 /a
}

@test "zk-watch --until ends at once if it holds already" {
  zk create /a/x
  zk create /a/y
  zk-node set /a ready
  local condition
  for condition in exists =ready '~^r.*y$' '~ead' 'children>=2' 'children>=0'; do
    run -0 zk-watch --until "$condition" /a
    assert_equal "${#lines[@]}" 1
    assert_line --partial '  initial   /a  '
  done
  run -0 zk-watch --until missing /none
  assert_output --partial '  initial   /none  missing'
  run -0 zk-watch --until =ready --recursive /a
  run -0 zk-watch --until exists --children /a
  run -0 zk-watch --no-initial --until exists /a
  assert_output ''
}

@test "zk-watch --until does not take for true what is not" {
  zk-node create /a ready
  zk-node create /empty
  zk create /a/x
  local condition
  for condition in missing =read =ready2 = '~^eady' '~READY' 'children>=2'; do
    run -124 zk-watch -t 150ms --until "$condition" /a
  done
  for condition in exists = '~' 'children>=0'; do run -124 zk-watch -t 150ms --until "$condition" /none; done
  run -0 zk-watch --until = /empty
  run -0 zk-watch --until '~' /empty
}

@test "zk-watch --until ends as soon as it holds, having told what made it true" {
  zk create /a one
  zk create /gone
  watching exists --until exists /b
  watching missing --until missing /gone
  watching equals --until =two /a
  watching matches --until '~^t(wo|hree)$' /a
  watching children --until 'children>=2' /a
  local name
  for name in exists missing equals matches children; do told "$name" 1; done
  zk-node create /b
  zk-node delete /gone
  zk-node set /a no
  told equals 2
  told matches 2
  zk-node set /a two
  zk-node create /a/x
  told children 2
  zk-node create /a/y
  for name in exists missing equals matches children; do
    finish "$name"
    assert_success
    assert_stderr ''
  done
  assert_records exists event $'initial\ncreated'
  assert_records missing event $'initial\ndeleted'
  assert_records equals data $'one\nno\ntwo'
  assert_records matches data $'one\nno\ntwo'
  assert_records children children "[]"$'\n'"['x']"$'\n'"['x', 'y']"
}

@test "zk-watch --until compares data of any bytes" {
  printf 'a\0b\xff' | zk-node create /a -
  run -0 zk-watch --until '~b' /a
  run -124 zk-watch -t 150ms --until '=a' /a
  run -124 zk-watch -t 150ms --until '~^a$' /a
}

@test "zk-watch --until with more paths than one waits until it holds for all of them" {
  zk-node create /a ready
  zk-node create /b no
  watching w --until =ready /a /b
  told w 2
  zk-node set /a no
  told w 3
  zk-node set /b ready
  told w 4
  zk-node set /a ready
  finish w
  assert_success
  assert_records w '(path, data)' "('/a', 'ready')
('/b', 'no')
('/a', 'no')
('/b', 'ready')
('/a', 'ready')"
}

@test "zk-watch --until with --recursive is about the data of the path, whatever happens to its children" {
  zk-node create /a x
  zk-node create /b x
  start empty zk-watch --until = --recursive /a
  start both zk-watch --until =ready --recursive /a /b
  told empty 1
  told both 2
  zk-node set /a ready
  told both 3
  told empty 2
  printf 'create /a/y\ndelete /a/y\n' | zk-node txn
  told both 4
  told empty 3
  zk-node set /b ready
  finish both
  assert_success
  assert running empty
  zk-node set /a ''
  finish empty
  assert_success
}

@test "zk-watch --until children>=N watches the data of no path, also if --data asks for it" {
  zk create /a/x
  run -125 --separate-stderr zk-watch --until 'children>=1' --data /a
  assert_output ''
  assert_stderr --partial 'children>='
}

@test "zk-watch ends with 128+N by a signal, and its session with it" {
  zk create /a
  local signal number
  for signal in INT:130 TERM:143 HUP:129 QUIT:131; do
    number=${signal#*:} signal=${signal%:*}
    start "$signal" zk-watch /a /none --children /a
    told "$signal" 3
    signal "$signal" "$signal"
    finish "$signal" 2
    assert_failure "$number"
    assert_stderr ''
    assert_equal "$(watchers /a)" ''
  done
}

# --- usage ---

refuses() { # TEXT ARGUMENT...: zk-watch refuses the arguments, and says TEXT to that
  run -125 --separate-stderr zk-watch "${@:2}"
  assert_output ''
  assert_stderr --partial "$1"
  assert_stderr --partial 'zk-watch: '
}

@test "zk-watch refuses wrong usage with a sentence" {
  refuses 'PATH is missing'
  refuses 'PATH is missing' --children
  refuses "path 'a' is not valid" a
  refuses "path '/a/' is not valid" /a/
  refuses "path '/a//b' is not valid" /a//b
  refuses "zk-watch has no option '--sometimes'" --sometimes /a
  refuses '--count' --count 0 /a
  refuses '--count' -n 1x /a
  refuses '--timeout' --timeout soon /a
  refuses '--timeout-exit-code' -t 1s -E 256 /a
  refuses "--until 'soon' is not one of exists, missing, =VALUE, ~REGEX, children>=N" --until soon /a
  refuses '--until ~(: ' --until '~(' /a
  refuses 'a number is to follow children>=' --until 'children>=' /a
  refuses 'a number is to follow children>=' --until 'children>=-1' /a
  refuses 'a number is to follow children>=' --until 'children>=2x' /a
  refuses 'go with --exec' --debounce 1s /a
  refuses 'go with --exec' --exec-timeout 1s /a
  refuses 'go with --exec' --fail-fast /a
  refuses '--json does not go with --exec' --json /a --exec true
  refuses '--exec: COMMAND is missing' /a --exec
  refuses 'PATH is missing' --exec true
  refuses 'of /a the children are watched' --until =x --children /a
  refuses 'does not go with --recursive' --until 'children>=1' --recursive /a
}

@test "zk-watch --help names every option, --version the version" {
  run -0 zk-watch --help
  local option
  for option in --children --recursive --data --json --no-initial --exec --debounce --exec-timeout --fail-fast \
    --count --timeout --timeout-exit-code --until --hosts --session-timeout --auth-file; do
    assert_output --partial " $option"
  done
  run -0 zk-watch --version
  assert_output --regexp '^zk-watch \(zkutils\) [0-9]'
}

@test "zk-watch fails if there is no server" {
  run -125 --separate-stderr zk-watch --hosts 127.0.0.1:1 --connect-timeout 200ms /a
  assert_output ''
  assert_stderr --partial '127.0.0.1:1'
}

# --- commands ---

@test "zk-watch --exec runs the command on each change, with the data on its standard input" {
  zk create /a/x one
  local show='printf "%s %s " "$ZK_EVENT" "$ZK_PATH"; cat; echo'
  start w zk-watch --no-initial --children /a --data /a/x --exec sh -c "$show"
  wait_watched /a/x
  zk-node set /a/x two
  told w 1
  zk-node create /a/y
  told w 3
  zk-node delete /a/x
  wait_for 5 "the deletion" grep -q deleted "$(out w)"
  wait_for 5 "the children without it" grep -qx 'children /a y' "$(out w)"
  zk-node create /a/x three
  wait_for 5 "the creation" grep -q created "$(out w)"
  end w
  assert_stderr ''
  assert_line --index 0 'changed /a/x two'
  assert_line --index 1 'children /a x'
  assert_line --index 2 'y'
  assert_line 'deleted /a/x '
  assert_line 'created /a/x three'
}

@test "zk-watch --exec gives the command the versions in its environment" {
  zk create /a one
  local show='echo "$ZK_EVENT $ZK_PATH $ZK_EXISTS $ZK_VERSION $ZK_CVERSION $ZK_CZXID $ZK_MZXID $ZK_MISSED $ZK_HOSTS"'
  start w env ZK_EVENT=stale zk-watch /a --exec sh -c "$show"
  told w 1
  local czxid mzxid
  czxid=$(zk stat /a czxid)
  printf 'create /a/x\nset /a two\nset /a three\nset /a four\n' | zk-node txn
  told w 2
  mzxid=$(zk stat /a mzxid)
  printf 'delete /a/x\ndelete /a\n' | zk-node txn
  told w 3
  end w
  assert_output "initial /a 1 0 0 $czxid $czxid 0 $ZK_HOSTS
changed /a 1 3 1 $czxid $mzxid 2 $ZK_HOSTS
deleted /a 0 3 1 $czxid $mzxid 0 $ZK_HOSTS"
}

@test "zk-watch --exec tells the command also what a missing node is" {
  zk create /other
  run -0 zk-watch -n 1 /none --exec sh -c 'echo "$ZK_EVENT $ZK_PATH $ZK_EXISTS"; wc -c'
  assert_line --index 0 'initial /none 0'
  assert_line --index 1 0
}

@test "zk-watch --exec executes its words as they are, without a shell" {
  zk create /a
  run -0 zk-watch -n 1 /a --exec printf '<%s>\n' 'a  b' '$HOME;echo no' '*' --json -n 5 -- ''
  assert_output $'<a  b>\n<$HOME;echo no>\n<*>\n<--json>\n<-n>\n<5>\n<-->\n<>'
}

@test "zk-watch --exec hands over a megabyte, and a command that does not read it is no trouble" {
  head -c 1000000 /dev/urandom >data
  zk-node create /a - <data
  zk-watch -n 1 /a --exec cat >got
  run -0 cmp data got
  run -0 zk-watch -n 1 /a --exec echo ran
  assert_output ran
}

gate() { printf '\n' 1<>"$BATS_TEST_TMPDIR/gate"; } # lets one run of a command end that waits for it

# What a command does that waits for the gate. Both sides open it in both directions, so nobody waits for the other.
at_gate='mkdir busy || echo overlap; echo "$ZK_EVENT $ZK_PATH $ZK_VERSION $(cat)"; exec 3<>gate; read -r _ <&3; rmdir busy'

@test "zk-watch --exec runs one command at a time, and of changes meanwhile the newest of each path" {
  zk create /a 0
  zk create /b 0
  mkfifo gate
  start w zk-watch /a --no-initial /b --exec sh -c "$at_gate"
  wait_watched /a
  wait_watched /b
  zk-node set /a 1
  told w 1
  zk-node set /b 1
  zk-node set /a 2
  zk-node set /b 2
  zk-node set /a 3
  wait_watched /a
  wait_watched /b
  zk exists /a # the answers to what was read have arrived, too
  gate
  told w 2
  zk-node delete /a
  wait_watched /a
  zk exists /b
  gate
  told w 3
  gate
  zk-node set /b 3
  told w 4
  gate
  end w
  assert_output $'changed /a 1 1\nchanged /b 2 2\ndeleted /a 3 \nchanged /b 3 3'
}

@test "zk-watch --exec runs the command for the data and for the children of a path that is watched for both" {
  zk create /a/x data
  zk-node set /a data
  start w zk-watch --debounce 300ms /a --children /a --exec sh -c 'cat; echo'
  wait_for 5 "the data" grep -qx data "$(out w)"
  wait_for 5 "the names" grep -qx x "$(out w)"
  end w
}

@test "zk-watch --recursive --exec hands over the last data also if children were missed after them" {
  zk create /a
  mkfifo gate
  start w zk-watch --recursive /a --exec sh -c "$at_gate"
  told w 1
  zk-node set /a final
  printf 'create /a/x\ndelete /a/x\n' | zk-node txn
  wait_watched /a
  zk exists /a
  gate
  told w 2
  gate
  gate
  wait_for 5 "the last data" grep -q 'final' "$(out w)"
  end w
}

@test "zk-watch --debounce waits for a pause, and hands over the newest" {
  zk create /a
  start w zk-watch --no-initial --debounce 400ms /a --exec sh -c 'echo "$ZK_VERSION $(cat)"'
  wait_watched /a
  set_often /a 20
  told w 1
  set_often /a 10
  told w 2
  end w
  assert_output $'20 set 19\n30 set 9'
}

@test "zk-watch --debounce runs the command also if there is never a pause" {
  zk create /a
  start w zk-watch --no-initial --debounce 200ms /a --exec sh -c 'echo "$ZK_VERSION"'
  wait_watched /a
  local begin took
  begin=$(microseconds)
  start setter /usr/bin/python3 -c 'import logging, os, time
from kazoo.client import KazooClient
zk = KazooClient(os.environ["ZK_HOSTS"])
zk.start()
while True:
  zk.set("/a", b"")
  time.sleep(0.01)'
  told w 1
  took=$((($(microseconds) - begin) / 1000))
  assert running setter
  assert [ "$took" -gt 1500 ] # ten times as long, less what the setter may lose on a busy machine
  signal KILL setter
  finish setter
  end w
}

@test "zk-watch --exec reports a command that fails, and goes on" {
  zk create /a
  start w zk-watch /a --exec sh -c 'echo "$ZK_VERSION"; exit 3'
  wait_for 5 "the first report" grep -q 'zk-watch: sh for /a ended with status 3' "$(err w)"
  zk-node set /a x
  told w 2
  wait_for 5 "the second report" two_reports w
  end w
  assert_output $'0\n1'
}

two_reports() { (($(wc -l <"$(err "$1")") == 2)); }

@test "zk-watch --exec reports a command that is killed, that is not there, that cannot be executed" {
  zk create /a
  : >not-executable
  run -0 --separate-stderr zk-watch -n 1 /a --exec sh -c 'kill -KILL $$'
  assert_stderr 'zk-watch: sh for /a ended with status 137'
  run -0 --separate-stderr zk-watch -n 1 /a --exec no-such-command
  assert_stderr 'zk-watch: cannot execute no-such-command for /a: No such file or directory'
  run -0 --separate-stderr zk-watch -n 1 /a --exec ./not-executable
  assert_stderr 'zk-watch: cannot execute ./not-executable for /a: Permission denied'
}

@test "zk-watch --fail-fast ends with the status of the command that failed" {
  zk create /a
  : >not-executable
  start w zk-watch --fail-fast /a --exec sh -c 'echo "$ZK_VERSION"; exit "$ZK_VERSION"'
  told w 1
  zk-node set /a x
  finish w
  assert_failure 1
  assert_output $'0\n1'
  assert_stderr 'zk-watch: sh for /a ended with status 1'
  run -42 zk-watch --fail-fast /a --exec sh -c 'exit 42'
  run -143 zk-watch --fail-fast /a --exec sh -c 'kill $$'
  run -127 zk-watch --fail-fast /a --exec no-such-command
  run -126 zk-watch --fail-fast /a --exec ./not-executable
}

@test "zk-watch --fail-fast fails also if the command fails that runs last" {
  zk create /a
  local n
  for n in {1..10}; do run -1 zk-watch --fail-fast --until exists /a --exec false; done
  for n in {1..10}; do run -1 zk-watch --fail-fast -n 1 /a --exec false; done
}

@test "zk-watch --count with --exec ends after so many runs, however they end" {
  zk create /a
  start w zk-watch -n 3 /a --exec sh -c 'echo "$ZK_VERSION"; exit "$ZK_VERSION"'
  told w 1
  zk-node set /a x
  told w 2
  zk-node set /a y
  finish w
  assert_success
  assert_output $'0\n1\n2'
}

@test "zk-watch --until with --exec ends when the command has run for what made it true" {
  zk-node create /a one
  start w zk-watch --until =ready --debounce 1h /a --exec sh -c 'sleep 0.3; cat; echo'
  wait_watched /a
  zk-node set /a ready
  finish w
  assert_success
  assert_line --index -1 ready
}

@test "zk-watch --exec-timeout ends a command that hangs, and goes on" {
  zk create /a
  start w zk-watch --exec-timeout 200ms /a --exec sh -c 'echo "$ZK_VERSION"; exec sleep 1000'
  wait_for 5 "the report" grep -q 'sh for /a ended with status 143' "$(err w)"
  zk-node set /a x
  told w 2
  wait_for 5 "the other report" two_reports w
  end w
}

@test "zk-watch --exec-timeout kills a command that ignores TERM, and what it has started" {
  zk create /a
  start w zk-watch --exec-timeout 100ms -n 1 /a --exec sh -c 'trap "" TERM; echo $$; sleep 1000 & echo $!; wait; while :; do sleep 1; done'
  finish w 8
  assert_success
  assert_stderr 'zk-watch: sh for /a ended with status 137'
  local pid
  for pid in "${lines[@]}"; do wait_for 2 "the end of $pid" dead "$pid"; done
}

@test "zk-watch --exec does not wait for what a command leaves in the background" {
  zk create /a
  start w zk-watch -n 2 /a --exec sh -c 'sleep 1000 & echo $!'
  told w 1
  zk-node set /a x
  finish w
  assert_success
  assert_equal "${#lines[@]}" 2
  local pid
  for pid in "${lines[@]}"; do
    assert alive "$pid"
    kill "$pid"
  done
}

@test "zk-watch that is ended by TERM ends its command by TERM, with all of its group" {
  zk create /a
  start w zk-watch /a --exec sh -c 'trap "echo bye; exit" TERM; sleep 1000 & echo $!; wait'
  told w 1
  signal TERM w
  finish w 2
  assert_failure 143
  assert_line --index 1 bye
  wait_for 2 "the end of the one in the background" dead "${lines[0]}"
}

@test "zk-watch that is ended by TERM kills a command that ignores it" {
  zk create /a
  start w zk-watch /a --exec sh -c 'trap "" TERM; echo $$; while :; do sleep 1; done'
  told w 1
  signal TERM w
  finish w 6
  assert_failure 143
  assert dead "${lines[0]}"
}

@test "zk-watch --timeout with --exec ends a command that hangs" {
  zk create /a
  start w zk-watch --timeout 300ms /a --exec sh -c 'echo $$; exec sleep 1000'
  finish w 3
  assert_failure 124
  wait_for 2 "the end of the command" dead "${lines[0]}"
}

@test "zk-watch --exec gives its command no descriptor but 0, 1 and 2, and no signal blocked or ignored" {
  zk create /a
  start w bash -c 'exec 7</dev/null 9>kept; exec env --ignore-signal=USR1,PIPE --block-signal=USR2 zk-watch -n 1 /a --exec sh -c "for n in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do test -e /proc/\$\$/fd/\$n && echo \$n; done; exec grep -E \"^Sig(Blk|Ign)\" /proc/self/status"'
  finish w
  assert_success
  # The C library starts every command with its own two signals, 32 and 33, ignored.
  assert_output $'0\n1\n2\nSigBlk:\t0000000000000000\nSigIgn:\t0000000180000000'
}

@test "zk-watch -v tells when a command has ended, -q not even when it has failed" {
  zk create /a
  run -0 --separate-stderr zk-watch -v -n 1 /a --exec true
  assert_stderr --partial 'true for /a ended'
  run -0 --separate-stderr zk-watch -q -n 1 /a --exec false
  assert_stderr ''
}

# --- readers ---

@test "zk-watch ends at once when its reader has gone, also if nothing happens" {
  zk create /a one
  run -0 --separate-stderr bash -c 'zk-watch /a | head -n 1; echo "${PIPESTATUS[0]}"'
  assert_line --index 0 --partial '"one"'
  assert_line --index 1 141
  assert_stderr ''
  assert_equal "$(watchers /a)" ''
}

@test "zk-watch fails if its output cannot be written" {
  zk create /a
  run -125 --separate-stderr bash -c 'zk-watch /a >/dev/full'
  assert_stderr --partial 'No space left on device'
}

# NAME ARGUMENT...: zk-watch that writes into the fifo NAME.fifo, which nobody reads but $reader
into_fifo() {
  mkfifo "$1.fifo"
  exec {reader}<>"$1.fifo"
  start "$1" sh -c 'exec zk-watch "$@" >"$0"' "$1.fifo" "${@:2}"
}

# More than a pipe holds. Returns when the last of them has been read, or at least asked for.
flood() { # PATH TIMES
  kazoo 'for n in range(int(sys.argv[2])): zk.set_async(sys.argv[1], b"%d " % n + b"x" * 10000)
zk.set(sys.argv[1], b"final")' "$@"
  wait_watched "$1"
}

@test "zk-watch whose reader does not read ends at once by TERM" {
  zk create /a
  into_fifo w --json /a
  wait_watched /a
  flood /a 30
  signal TERM w
  finish w 1
  assert_failure 143
  exec {reader}>&-
}

@test "zk-watch whose reader does not read ends by --timeout" {
  zk create /a
  into_fifo w --json --timeout 2s /a
  wait_watched /a
  flood /a 30
  finish w 4
  assert_failure 124
  exec {reader}>&-
}

memory() { awk '/^VmRSS/ { print $2 }' "/proc/$(pid_of "$1")/status"; } # NAME: in kB

@test "zk-watch whose reader wakes up late keeps its session, the final state and little memory" {
  zk create /a
  into_fifo w --session-timeout 400ms --json /a
  wait_watched /a
  flood /a 20
  local session before after
  session=$(watchers /a)
  before=$(memory w)
  flood /a 2000
  after=$(memory w)
  assert [ "$((after - before))" -lt 8000 ]
  # As long as a session lives without a heartbeat: that of one who is frozen.
  zk create /beside
  watching frozen --session-timeout 400ms /beside
  wait_watched /beside
  signal STOP frozen
  wait_for 10 "the session of the frozen one to end" eval '! watched /beside'
  signal KILL frozen
  finish frozen
  assert_equal "$(watchers /a)" "$session"
  start reader cat w.fifo
  wait_for 5 "the final state" last_is reader version 2022
  end w
  exec {reader}>&-
  finish reader
  assert_equal "$(replay reader)" '["/a", 2022, "final"]'
  run -0 records reader event
  refute_line gap
  assert [ "${#lines[@]}" -lt 100 ]
}

@test "zk-watch --recursive whose reader wakes up late ends in the final picture" {
  zk create /a
  into_fifo w --json --recursive /a
  wait_watched /a
  kazoo 'for n in range(60):
  zk.create_async(f"/a/n{n}", b"x" * 10000)
for n in range(60):
  if n % 3 == 0: zk.delete_async(f"/a/n{n}")
  if n % 3 == 1: zk.set_async(f"/a/n{n}", b"changed")
zk.delete_async("/a/n59")
zk.create("/a/n59", b"again")'
  start reader cat w.fifo
  local there
  there=$(picture /a)
  wait_for 5 "the picture" replays reader "$there"
  end w
  exec {reader}>&-
  finish reader
  assert_equal "$(replay reader)" "$there"
}

@test "zk-watch in a terminal stopped by Ctrl-S keeps its session and the final state" {
  zk create /a
  run -0 timeout -s KILL 20 /usr/bin/python3 -c 'import os, pty, select, subprocess, time
def read_until(word):
  text = b""
  while word not in text:
    assert select.select([master], [], [], 5)[0], text
    text += os.read(master, 65536)
  return text
def sets(n):
  for i in range(n): subprocess.run(["zk-node", "set", "/a", f"{i}"], check=True)
master, slave = pty.openpty()
watch = subprocess.Popen(["zk-watch", "--session-timeout", "400ms", "/a"], stdin=slave, stdout=slave, stderr=slave)
print(read_until(b"initial").decode())
os.write(master, b"\x13")
sets(20)
time.sleep(1)  # longer than the session lives without a heartbeat
assert not select.select([master], [], [], 0)[0]
subprocess.run(["zk-node", "set", "/a", "final"], check=True)
os.write(master, b"\x11")
print(read_until(b"final").decode())
os.write(master, b"\x13")
sets(3)
watch.terminate()
print("status", watch.wait(1))'
  assert_line --partial '"final"'
  assert_line 'status 143'
  refute_output --partial gap
}

# --- cost ---

@test "zk-watch of 300 paths costs one session" {
  own_server
  zk create /n
  children /n 100
  zk create /a
  local n paths=()
  for n in {00000..00099}; do paths+=("/n/n$n"); done
  for n in {1..100}; do paths+=("/missing/$n"); done
  paths+=(--children)
  for n in {00000..00099}; do paths+=("/n/n$n"); done
  wait_for 5 "the others to go" sessions_are 0
  watching w "${paths[@]}" --recursive /a
  told w 301
  sessions_are 1 || fail "$(four_letter cons)"
  zk-node set /n/n00042 changed
  zk-node create /n/n00043/x
  zk-node create /a/b
  told w 304
  end w
  run -0 records w '(event, path)'
  assert_equal "$(tail -n 3 <<<"$output" | sort)" "('changed', '/n/n00042')
('children', '/n/n00043')
('created', '/a/b')"
}

# --- where things are not as usual ---

@test "zk-watch --exec learns how its command ended although whoever started it ignores CHLD" {
  zk create /a
  run -7 timeout --foreground -s KILL 20 env --ignore-signal=CHLD zk-watch -n 1 --fail-fast /a --exec sh -c 'exit 7'
}

@test "zk-watch --exec says so, and does not hang, when no descriptor is left to run its command" {
  zk create /a
  run -0 bash -c 'ulimit -n 9; exec timeout --foreground -s KILL 20 zk-watch -n 1 /a --exec true 3>&- 4>&- 5>&- 6>&- 7>&- 8>&-'
  assert_output --partial 'Too many open files'
}

@test "zk-watch fails if its output is closed" {
  zk create /a
  run -125 --separate-stderr bash -c 'exec timeout --foreground -s KILL 20 zk-watch -n 1 /a >&-'
  assert_stderr --partial 'cannot write to standard output'
}

@test "zk-watch --recursive --exec does not remember what came and went while its command ran" {
  zk create /a
  mkfifo gate
  start w zk-watch --no-initial --recursive /a --exec sh -c 'echo "$ZK_EVENT $ZK_PATH"; read -r _ <gate'
  wait_for 5 "a watch of /a" watched /a
  zk-node create /a/first
  wait_for 5 "its command" grep -q 'created /a/first' "$(out w)"
  for n in {1..20}; do
    zk-node create "/a/$n"
    zk-node delete "/a/$n"
  done
  zk-node create /a/last
  gate
  wait_for 5 "the last one" grep -q 'created /a/last' "$(out w)"
  assert [ "$(grep -cv 'first\|last' "$(out w)")" -le 1 ] # one may have been told before it had gone
  signal TERM w
  finish w
}
