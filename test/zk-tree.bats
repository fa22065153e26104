# zk-tree: a subtree as it is, and alive: in pipes, and in panes of a real tmux.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells and awks that are started with it
load helpers

setup() {
  test_setup
  unset NO_COLOR
  export LC_ALL=C.UTF-8 # tmux draws what it takes for letters
}

teardown() {
  screen kill-server 2>/dev/null
  test_teardown
}

# Under `run`: what hangs is ended here, because Bats at its timeout would wait for the end of the output first.
zk-tree() { timeout --foreground -s KILL 20 zk-tree "$@"; }

# --- nodes ---

create() { zk-node create -p "$@" >/dev/null; } # PATH [DATA]

# FOLDER FIRST LAST: n00001 and so on, in transactions that a server accepts
create_many() {
  local from
  zk-node exists "$1" 2>/dev/null || create "$1"
  for ((from = $2; from <= $3; from += 4000)); do
    seq "$from" $((from + 3999 < $3 ? from + 3999 : $3)) | awk -v folder="$1" '{ printf "create %s/n%05d x\n", folder, $1 }' | zk-node txn >/dev/null
  done
}

# Fails if the input has a character that a terminal obeys or that hides or reorders others, or bytes that are none.
harmless() {
  /usr/bin/python3 -c 'import sys, unicodedata
text = sys.stdin.buffer.read().decode("utf-8")
bad = [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp", "Co", "Cn")]
sys.exit(f"harmful: {bad!r}" if bad else 0)'
}

# Eleven nodes whose names and data try everything. Of names the server refuses control characters and what Java
# needs two characters for.
create_hostile() {
  zk-node create -p "$1"
  kazoo 'for name, data in {
    "esc": b"\x1b[2J\x1b]0;title\x07", "c1": "\u009b31m\u0085".encode(), "c1-byte": b"\x9b31m", "bidi": "a\u202eb\u2066c\u200f".encode(),
    "zero-width": "a\u200bb\ufeffc\u2060d\u200d".encode(), "lines": b"a\nb\r\tc\x0b\x00", "separators": "a\u2028b\u2029c".encode(),
    "tag": "a\U000e0041b".encode(),
    "name-\u202egnp.exe": b"1", "name-a\u200bb": b"2", "name-\u2028c": b"3"}.items():
    zk.create(sys.argv[1] + "/" + name, data)' "$1"
}

# --- panes ---

screen() { tmux -u -S "$BATS_TEST_TMPDIR/screen" "$@"; }

# COLUMNS ROWS COMMAND: a terminal of that size, without a status line, in which a shell runs the command
pane() {
  printf '%s\n' 'set -g status off' 'set -g default-shell /bin/sh' >"$BATS_TEST_TMPDIR/tmux.conf"
  (launch tmux -u -S "$BATS_TEST_TMPDIR/screen" -f "$BATS_TEST_TMPDIR/tmux.conf" new-session -d -x "$1" -y "$2" "$3")
}

# COLUMNS ROWS ARGUMENT...: zk-tree --follow in a pane; returns when there is a picture. The shell around it outlives
# Ctrl-C, and does not notice when zk-tree is stopped.
follow() {
  pane "$1" "$2" "trap : INT; zk-tree --follow ${*:3}; echo \"status: \$?\"; exec cat"
  wait_for 10 "the picture" shows '^zk-tree '
}

# COLUMNS ROWS ARGUMENT...: the same from a shell that people use, with jobs
follow_in_bash() {
  pane "$1" "$2" "PS1='ready> ' exec bash --norc --noprofile -i"
  wait_for 10 "the shell" shows '^ready>'
  enter "zk-tree --follow ${*:3}"
  wait_for 10 "the picture" shows '^zk-tree '
}

enter() { screen send-keys "$1" Enter; } # LINE

tree_pid() { pgrep -P "$(screen display -p '#{pane_pid}')" -x zk-tree; }

picture() { screen capture-pane -p; }

shows() { picture | grep -qE -- "$1"; } # PATTERN

hides() { ! shows "$1"; } # PATTERN

shows_all() { # PATTERN...
  local pattern
  for pattern; do shows "$pattern" || return 1; done
}

see() { wait_for "${2:-5}" "the picture to show $1" shows "$1" || show_picture; } # PATTERN [SECONDS]

show_picture() {
  printf -- '-- the picture --\n'
  picture
  return 1
}

see_no() { wait_for "${2:-6}" "the picture not to show $1" hides "$1" || show_picture; } # PATTERN [SECONDS]

# What follows a mark in the picture; rows without one have a space there.
rows() { picture | sed 1d | sed -e '/^$/d' -e 's/^  //'; }

rows_are() { [[ $(rows) == "$1" ]]; } # TEXT

# PATH: the picture below its title is what zk-tree prints once
see_as_printed() { wait_for 10 "the picture of what there is" rows_are "$(zk-tree "$1" | sed 's/ *$//')" || show_picture; }

session_ids() { four_letter cons | sed -nE 's/.*sid=(0x[0-9a-f]+).*/\1/p' | sort; }

# --- once ---

@test "zk-tree prints names, data and versions as a tree, in order" {
  create /app 'the app'
  create /app/b
  create /app/a one
  create /app/a/deep two
  zk-node set /app/a 'one more' >/dev/null
  run -0 --separate-stderr zk-tree /app
  assert_equal "$output" '/app  "the app"  v0
├─ a  "one more"  v1
│  └─ deep  "two"  v0
└─ b  v0'
  refute_stderr
}

@test "zk-tree shows the whole tree without PATH, but not what belongs to the server" {
  create /x/y
  run -0 zk-tree
  assert_line --index 0 --regexp '^/  v0$'
  assert_line --index 1 '└─ x  v0'
  assert_line --index 2 '   └─ y  v0'
  run -0 zk-tree --hosts "$SERVER" --depth 1
  assert_line --index 0 --regexp '^/ '
  refute_output --partial zookeeper
}

@test "zk-tree shows who made a node as host:pid (label)" {
  start holder zk-lock --label 'nightly' /l sleep 1000
  wait_for 5 "the holder" ephemerals_are 1 /l
  run -0 zk-tree /l
  assert_line --index 1 --regexp "^└─ [^ ]+  ephemeral  $(hostname):$(pid_of holder) \(nightly\)  v0$"
  refute_output --partial since
}

@test "zk-tree shows an ephemeral node that says nothing of its owner with its session" {
  start holder zk.py hold /e/node text
  wait_for 5 "the node" ephemerals_are 1 /e
  run -0 zk-tree /e
  assert_line --index 1 --regexp "^└─ node  ephemeral  \"text\"  of session $(zk stat /e/node ephemeralOwner)  v0$"
}

@test "zk-tree shows data that only look like an owner's as data" {
  create /d/json '{"colour":"blue"}'
  create /d/broken '{"pid":'
  run -0 zk-tree /d
  assert_line --index 1 '├─ broken  "{"pid":"  v0'
  assert_line --index 2 '└─ json  "{"colour":"blue"}"  v0'
}

@test "zk-tree shows hostile owners as harmless as everything" {
  create /h
  kazoo 'zk.create("/h/own", b"{\"host\":\"\\u001b[2J\\u202e\",\"pid\":7,\"label\":\"a\\nb\\u009b\"}")'
  run -0 zk-tree /h
  assert_line --index 1 '└─ own  \x1b[2J\u{202e}:7 (a\nb\u{9b})  v0'
}

@test "zk-tree --json prints one object a line for each node, with all of its data" {
  local long
  long=$(printf 'x%.0s' {1..5000})
  create /j "$long"
  create /j/b 'Grüße'
  kazoo 'zk.create("/j/c", b"\xff\x00\x1b")'
  start holder zk-lock --label nightly /j/l sleep 1000
  wait_for 5 "the holder" ephemerals_are 1 /j
  run -0 --separate-stderr zk-tree --json /j
  refute_stderr
  assert_equal "$(json path <<<"$output" | head -4)" $'/j\n/j/b\n/j/c\n/j/l'
  assert_equal "$(head -1 <<<"$output" | json data)" "$long"
  assert_equal "$(sed -n 2p <<<"$output" | json data)" 'Grüße'
  assert_equal "$(sed -n 3p <<<"$output" | json data_base64)" "$(printf '\377\0\033' | base64)"
  assert_equal "$(sed -n 1p <<<"$output" | json '(version, dataLength, numChildren, ephemeralOwner)')" '(0, 5000, 3, 0)'
  assert_equal "$(sed -n 1p <<<"$output" | json czxid)" "$(zk stat /j czxid)"
  assert_equal "$(sed -n 5p <<<"$output" | json 'owner["host"], owner["pid"], owner["label"]')" \
    "('$(hostname)', $(pid_of holder), 'nightly')"
  assert_equal "$(sed -n 5p <<<"$output" | json 'hex(ephemeralOwner)')" "$(zk stat "$(ephemerals /j)" ephemeralOwner)"
}

@test "zk-tree --depth shows so many levels and says that there is more" {
  create /d/a/b/c
  create /d/x
  run -0 --separate-stderr zk-tree --depth 0 /d
  assert_equal "$output" $'/d  v0\n└─ … 2 more'
  assert_stderr 'zk-tree: 1 node shown; at least 2 more left out: see --max and --depth'
  run -0 --separate-stderr zk-tree -d 1 /d
  assert_equal "$output" $'/d  v0\n├─ a  v0\n│  └─ … 1 more\n└─ x  v0'
  run -0 --separate-stderr zk-tree --depth 3 /d # all of it
  refute_stderr
  refute_output --partial more
}

@test "zk-tree --depth --json says in a field what is left out" {
  create /d/a/b
  run -0 --separate-stderr zk-tree --json --depth 1 /d
  assert_equal "$(json '(path, record.get("leftOut"))' <<<"$output")" $'(\'/d\', None)\n(\'/d/a\', 1)'
  assert_stderr --partial 'left out'
}

@test "zk-tree --max shows so many nodes, those at the top, and says how many it left out" {
  create /m/a/below
  create /m/b
  create /m/c
  run -0 --separate-stderr zk-tree --max 3 /m
  assert_equal "$output" $'/m  v0\n├─ a  v0\n│  └─ … 1 more\n├─ b  v0\n└─ … 1 more'
  assert_stderr 'zk-tree: 3 nodes shown; at least 2 more left out: see --max and --depth'
  run -0 --separate-stderr zk-tree --max 1 /m
  assert_equal "$output" $'/m  v0\n└─ … 3 more'
  run -0 --separate-stderr zk-tree --max 5 /m # all of it
  refute_stderr
  refute_output --partial more
}

@test "zk-tree answers 1 if there is no such node" {
  create /there
  run -1 --separate-stderr zk-tree /there/not
  assert_output ''
  assert_stderr 'zk-tree: no such node: /there/not'
  run -1 --separate-stderr zk-tree --json /there/not
  assert_output ''
  run -1 --separate-stderr zk-tree $'/\u202enot'
  assert_stderr 'zk-tree: no such node: /\u{202e}not'
}

@test "zk-tree shows what it may not read as such, and all the rest" {
  create /p/a one
  zk create /p/secret hidden --acl world:anyone:cdwa >/dev/null
  create /p/secret/below two
  create /p/z three
  run -0 --separate-stderr zk-tree /p
  assert_equal "$output" '/p  v0
├─ a  "one"  v0
├─ secret  (not authorised to read it)
└─ z  "three"  v0'
  run -0 --separate-stderr zk-tree --json /p
  assert_equal "$(json '(path, record.get("error"))' <<<"$output")" \
    "$(printf '%s\n' "('/p', None)" "('/p/a', None)" "('/p/secret', 'not authorised (see --auth-file)')" "('/p/z', None)")"
  refute_output --partial hidden
  run -0 zk-tree /p/secret
  assert_output '/p/secret  (not authorised to read it)'
}

@test "zk-tree reads with the credentials of ZK_AUTH_FILE what others may not" {
  local hash
  create /p
  hash=$(printf 'user:word' | openssl sha1 -binary | base64)
  zk create /p/secret hidden --acl "digest:user:$hash:cdrwa" >/dev/null
  (umask 077 && printf 'digest:user:word\n' >"$BATS_TEST_TMPDIR/auth")
  run -0 zk-tree /p
  assert_line --partial 'not authorised'
  run -0 env ZK_AUTH_FILE="$BATS_TEST_TMPDIR/auth" "$BIN/zk-tree" /p
  assert_line --index 1 '└─ secret  "hidden"  v0'
}

@test "zk-tree shows the beginning of long data and counts the rest, and binary data as bytes" {
  create /l/long "$(printf 'x%.0s' {1..1000})"
  kazoo 'zk.create("/l/binary", bytes(range(128, 140)) + b"ok"); zk.create("/l/empty"); zk.create("/l/zero", b"\0")'
  run -0 zk-tree /l
  assert_line --index 1 '├─ binary  "\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8bok"  v0'
  assert_line --index 2 '├─ empty  v0'
  assert_line --index 3 --regexp '^├─ long  "x{60}… \(940 bytes more\)"  v0$'
  assert_line --index 4 '└─ zero  "\x00"  v0'
}

@test "zk-tree shows no control character of names and data raw" {
  create_hostile /h
  run -0 zk-tree /h
  harmless <<<"$output"
  assert_equal "${#lines[@]}" 12 # one line for each, whatever is in it
  assert_line '├─ bidi  "a\u{202e}b\u{2066}c\u{200f}"  v0'
  assert_line '├─ c1  "\u{9b}31m\u{85}"  v0'
  assert_line '├─ c1-byte  "\x9b31m"  v0'
  assert_line '├─ esc  "\x1b[2J\x1b]0;title\x07"  v0'
  assert_line '├─ lines  "a\nb\r\tc\x0b\x00"  v0'
  assert_line '├─ tag  "a\u{e0041}b"  v0'
  assert_output --partial '─ name-\u{202e}gnp.exe  "1"'
  assert_output --partial '─ name-a\u{200b}b  "2"'
  assert_output --partial '─ name-\u{2028}c  "3"'
  assert_line '└─ zero-width  "a\u{200b}b\u{feff}c\u{2060}d\u{200d}"  v0'
}

@test "zk-tree --json shows no control character raw, and loses none" {
  create_hostile /h
  run -0 zk-tree --json /h
  harmless <<<"$output"
  assert_equal "${#lines[@]}" 12
  assert_equal "$(json 'path == "/h/esc" and data == "\x1b[2J\x1b]0;title\x07"' <<<"$output" | grep -c True)" 1
  assert_equal "$(json 'path == "/h/name-\u202egnp.exe"' <<<"$output" | grep -c True)" 1
}

@test "zk-tree shows 10,000 nodes at once and says what is more" {
  create_many /many 1 10000
  run -0 --separate-stderr zk-tree /many
  assert_equal "${#lines[@]}" 10001 # a line says what is left out
  assert_line --index 9999 '├─ n09999  "x"  v0'
  assert_line --index 10000 '└─ … 1 more'
  assert_stderr --partial '10000 nodes shown; at least 1 more'
  run -0 --separate-stderr zk-tree --max 20000 /many
  assert_line --index 10000 '└─ n10000  "x"  v0'
  refute_stderr
  run -0 --separate-stderr zk-tree --max 20000 --json /many
  assert_equal "${#lines[@]}" 10001
  run -0 bash -c 'zk-tree /many | head -2'
  assert_line --index 1 '├─ n00001  "x"  v0'
}

@test "zk-tree shows a tree of 100 levels" {
  local path
  path=$(printf '/d%.0s' {1..100})
  create "$path" bottom
  run -0 zk-tree
  assert_equal "${#lines[@]}" 101
  assert_line --index 100 --regexp '^( {3}){99}└─ d  "bottom"  v0$'
  run -0 zk-tree "$path"
  assert_output "$path  \"bottom\"  v0"
}

@test "zk-tree knows paths below the chroot only" {
  create /c/inner/node
  run -0 env ZK_HOSTS="$ZK_HOSTS/c/inner" "$BIN/zk-tree"
  assert_output $'/  v0\n└─ node  v0'
  run -1 --separate-stderr env ZK_HOSTS="$ZK_HOSTS/c/missing" "$BIN/zk-tree"
  assert_output ''
  assert_stderr 'zk-tree: no such node: /'
}

@test "zk-tree says so if what it prints cannot be written" {
  local how
  create /t
  for how in '' --json --follow; do
    run -125 --separate-stderr bash -c "timeout 10 zk-tree $how /t >/dev/full"
    assert_stderr --partial 'cannot write to standard output'
  done
}

# TEXT ARGUMENT...: zk-tree refuses the arguments, and says TEXT to that
refuses() {
  run -125 --separate-stderr zk-tree "${@:2}"
  assert_output ''
  assert_stderr --partial "$1"
}

@test "zk-tree refuses wrong usage with a sentence" {
  refuses "a path starts with '/'" app
  refuses "a path does not end with '/'" /app/
  refuses 'a path has no empty component' /a//b
  refuses "a path starts with '/'" ''
  refuses "--depth: 'x' is not a number from 0 to 1000" --depth x
  refuses "--depth: '-1' is not a number" --depth=-1
  refuses "--max: '0' is not a number from 1 to 1000000" --max 0
  refuses '--nothing' --nothing
  refuses two /one /two
  refuses '--follow excludes --json' --follow --json /app
  refuses "a path starts with '/'" --follow app
}

@test "zk-tree says that there is no server" {
  local how
  for how in '' --follow; do
    # shellcheck disable=SC2086 # it may be none
    run -125 --separate-stderr zk-tree $how --hosts 127.0.0.1:1 --connect-timeout 500ms /x
    refute_output
    assert_stderr --partial '127.0.0.1:1'
  done
}

# --- alive, into a pipe ---

# NAME: the last whole picture that was printed; each ends with an empty line
last_picture() { awk 'BEGIN { RS = "" } { last = $0 } END { print last }' "$(out "$1")"; }

last_picture_has() { last_picture "$1" | grep -qE -- "$2"; } # NAME PATTERN

last_picture_is() { [[ $(last_picture "$1") == "$2" ]]; } # NAME TEXT

@test "zk-tree --follow prints pictures one after the other into a pipe, without escapes" {
  create /t/a one
  start follower zk-tree --follow /t
  wait_for 5 "the first picture" last_picture_has follower '"one"'
  zk-node set /t/a two >/dev/null
  wait_for 5 "the second picture" last_picture_has follower '^~ └─ a  "two"  v1$'
  create /t/b
  wait_for 5 "the third picture" last_picture_has follower '^\+ └─ b  v0$'
  zk-node delete /t/a >/dev/null
  wait_for 5 "the fourth picture" last_picture_has follower '^- ├─ a '
  wait_for 6 "the last picture" last_picture_is follower $'zk-tree /t  2 nodes\n  /t  v0\n  └─ b  v0'
  signal TERM follower
  finish follower
  assert_failure 143
  refute_output --partial $'\e'
  harmless <<<"$output"
}

@test "zk-tree --follow never says that a node is missing that is there" {
  create /t/a
  start follower zk-tree --follow /t
  wait_for 5 "the picture" last_picture_has follower '─ a'
  signal TERM follower
  finish follower
  refute_output --partial 'no such node'
}

@test "zk-tree --follow into a pipe ends when its reader has, also if nothing changes" {
  create /t/a/b/c/d
  # The reader goes when it has seen all that there is, and there will be nothing more to write.
  start follower bash -c 'zk-tree --follow /t | sed "/ d  v0/q"; echo "status: ${PIPESTATUS[*]}"'
  finish follower 5
  assert_line --index 0 --regexp '^zk-tree /t '
  assert_line --regexp '^status: 141 0$'
  start follower bash -c 'zk-tree --follow /t | head -3; echo "status: ${PIPESTATUS[*]}"'
  finish follower 5
  assert_line --regexp '^status: 141 0$'
  assert_stderr ''
}

@test "zk-tree --follow into a pipe ends when its reader has and something changes" {
  create /t/a
  start follower bash -c 'zk-tree --follow /t | { read -r line; echo "$line"; read -r line; }; echo "status: ${PIPESTATUS[*]}"'
  wait_for 5 "the first picture" grep -q '^zk-tree /t' "$(out follower)"
  create /t/b
  finish follower 5
  assert_line --regexp '^status: 141 0$'
}

@test "zk-tree --follow says what --depth and --max leave out" {
  create /t/a/b/c
  create /t/x
  start deep zk-tree --follow --depth 1 /t
  wait_for 5 "the picture" last_picture_is deep $'zk-tree /t  3 nodes, 1 left out\n  /t  v0\n  ├─ a  v0\n  │  └─ … 1 more\n  └─ x  v0'
  create /t/a/d # not shown, but counted
  wait_for 5 "the next picture" last_picture_is deep $'zk-tree /t  3 nodes, 2 left out\n  /t  v0\n  ├─ a  v0\n  │  └─ … 2 more\n  └─ x  v0'
  start few zk-tree --follow --max 2 /t
  wait_for 5 "the picture" last_picture_has few '^zk-tree /t  2 nodes, 3 left out$'
}

@test "zk-tree --follow --max shows what there is room for again when other nodes have gone" {
  create /t/a
  create /t/b
  create /t/c
  start few zk-tree --follow --max 3 /t
  wait_for 5 "the picture" last_picture_has few '1 left out'
  zk-node delete /t/a >/dev/null
  wait_for 6 "all that is left" last_picture_is few $'zk-tree /t  3 nodes\n  /t  v0\n  ├─ b  v0\n  └─ c  v0'
}

@test "zk-tree --follow --max shows what there is room for again when nodes elsewhere have gone" {
  create /t/a/1
  create /t/a/2
  create /t/b/1
  create /t/b/2
  start few zk-tree --follow --max 5 /t
  wait_for 5 "the picture" last_picture_has few '^zk-tree /t  5 nodes, 2 left out$'
  zk-node delete -r /t/a >/dev/null
  wait_for 6 "all that is left" last_picture_is few $'zk-tree /t  4 nodes\n  /t  v0\n  └─ b  v0\n     ├─ 1  v0\n     └─ 2  v0'
}

@test "zk-tree --follow shows what it may not read as such, and follows the rest" {
  create /p/a one
  zk create /p/secret hidden --acl world:anyone:cdwa >/dev/null
  start follower zk-tree --follow /p
  wait_for 5 "the picture" last_picture_has follower 'secret  \(not authorised to read it\)'
  zk-node set /p/a two >/dev/null
  wait_for 5 "the change" last_picture_has follower '^~ ├─ a  "two"'
  zk-node delete /p/secret >/dev/null
  wait_for 6 "its end" last_picture_is follower $'zk-tree /p  2 nodes\n  /p  v0\n  └─ a  "two"  v1'
  run ! grep -q hidden "$(out follower)"
}

# FIFO: there is no room in it
full() {
  /usr/bin/python3 -c 'import os, select, sys
fifo = os.open(sys.argv[1], os.O_RDWR | os.O_NONBLOCK)
sys.exit(bool(select.select([], [fifo], [], 0)[1]))' "$1"
}

@test "zk-tree --follow into a full pipe ends at once on TERM" {
  local fifo=$BATS_TEST_TMPDIR/fifo
  mkfifo "$fifo"
  exec {pipe}<>"$fifo" # somebody who does not read
  create_many /t 1 4000
  start follower sh -c 'exec zk-tree --follow /t >"$1"' - "$fifo"
  wait_for 10 "the pipe to be full" full "$fifo"
  signal TERM follower
  finish follower 3
  assert_failure 143
  exec {pipe}>&-
}

# --- alive, in a terminal ---

@test "zk-tree --follow marks for a moment what appeared, changed and vanished" {
  create /t/a one
  create /t/b
  follow 60 12 /t
  see '^  ├─ a  "one"  v0'
  create /t/c new
  zk-node set /t/a two >/dev/null
  zk-node delete /t/b >/dev/null
  wait_for 5 "three marks" shows_all '^~ ├─ a  "two"  v1' '^- ├─ b  v0' '^\+ └─ c  "new"  v0' || show_picture
  see '^zk-tree /t  3 nodes$' # what has vanished does not count
  see_no '^[-+~]'
  assert_equal "$(picture | sed '/^$/d')" $'zk-tree /t  3 nodes\n  /t  v0\n  ├─ a  "two"  v1\n  └─ c  "new"  v0'
}

@test "zk-tree --follow marks what is changed again, or created again, as that" {
  create /t # made as a parent it would be a container, and vanish with its last child
  create /t/a one
  follow 60 12 /t
  see '─ a  "one"'
  zk-node delete /t/a >/dev/null
  see '^- └─ a'
  create /t/a again
  see '^\+ └─ a  "again"  v0'
  zk-node set /t/a more >/dev/null
  see '^~ └─ a  "more"  v1'
  zk-node delete /t/a >/dev/null
  see '^- └─ a'
  see_no '─ a'
  see '^zk-tree /t  1 node$'
}

@test "zk-tree --follow colours marks, but not with NO_COLOR" {
  colours() { screen capture-pane -ep | grep -q $'\e\\['; }
  create /t/a one
  follow 60 12 /t
  see '─ a  "one"'
  zk-node set /t/a two >/dev/null
  see '^~ └─ a'
  colours
  screen kill-server
  export NO_COLOR=1
  follow 60 12 /t
  see '─ a  "two"'
  zk-node set /t/a three >/dev/null
  see '^~ └─ a'
  run ! colours
}

@test "zk-tree --follow unfolds a large folder where something happens" {
  create_many /t/large 1 300
  create /t/z
  follow 60 12 /t
  see '… 29[0-9] more'
  see '└─ z  v0' # the others keep their place
  hides n00250
  zk-node set /t/large/n00250 changed >/dev/null
  see '^~ │  [├└]─ n00250  "changed"  v1'
  zk-node delete /t/large/n00177 >/dev/null
  see '^- │  [├└]─ n00177'
  see_no n00177
  see '^zk-tree /t  302 nodes$'
}

@test "zk-tree --follow shows nodes that appear below new nodes" {
  create /t
  follow 60 16 /t
  see '^  /t  v0'
  create /t/a/b/c/d deep
  see '^\+ +└─ d  "deep"  v0'
  create /t/a/b/x
  see '^\+ +└─ x  v0'
  zk-node delete -r /t/a >/dev/null
  see '^- .*└─ d'
  create /t/a/b/c second
  see '^\+ +[├└]─ c  "second"  v0'
  see_as_printed /t
}

@test "zk-tree --follow waits for a node that does not exist yet, and goes on when it is deleted and created again" {
  follow 60 12 /t/later
  see '^zk-tree /t/later  no such node$'
  create /t/later/child one
  see '^\+ └─ child  "one"'
  see '^\+ /t/later'
  zk-node delete -r /t/later >/dev/null
  see '^zk-tree /t/later  no such node$'
  wait_for 5 "the marks to be over" rows_are ''
  create /t/later/other two
  see '^\+ └─ other  "two"'
  hides child
  see_as_printed /t/later
  see '^zk-tree /t/later  2 nodes$'
}

# --- interruptions ---

@test "zk-tree --follow says that the server has gone, and shows what changed before it was back" {
  own_server
  proxy_start
  create /t/kept one
  create /t/gone
  follow 90 12 --hosts "$PROXY$CHROOT" --session-timeout 6s /t
  see '─ kept  "one"'
  own_server_stop
  see '^\(no connection since [0-9]{2}:[0-9]{2}:[0-9]{2}\)  zk-tree /t'
  shows '─ kept  "one"' # the last picture stays
  proxy_mode rst        # for zk-tree only, it is still away
  own_server_restart
  zk-node set /t/kept two >/dev/null
  zk-node delete /t/gone >/dev/null
  create /t/new
  proxy_mode pass
  wait_for 10 "what has changed" shows_all '^- ├─ gone' '^~ ├─ kept  "two"' '^\+ └─ new' || show_picture
  see '^\(connected again at [0-9]{2}:[0-9]{2}:[0-9]{2}\)  zk-tree /t'
  hides 'no connection'
  see_as_printed /t
  create /t/later # and it goes on
  see '^\+ .*later'
}

@test "zk-tree --follow goes on in a new session when the old one expires in an outage" {
  proxy_start
  create /t/kept one
  create /t/gone
  follow 90 12 --hosts "$PROXY$CHROOT" --session-timeout 600ms /t
  see '─ kept  "one"'
  local session
  session=$(session_ids)
  proxy_mode drop
  see 'no connection since'
  wait_for 10 "the end of the session" session_ended "$session"
  zk-node set /t/kept two >/dev/null
  zk-node delete /t/gone >/dev/null
  create /t/new
  proxy_mode pass
  wait_for 10 "what has changed" shows_all '^- ├─ gone' '^~ ├─ kept  "two"' '^\+ └─ new' || show_picture
  see '^\(new session at [0-9]{2}:[0-9]{2}:[0-9]{2}\)  zk-tree /t'
  see_as_printed /t
  create /t/later
  see '^\+ .*later'
}

# ID: the server has no such session any more
session_ended() { ! four_letter dump | grep -q "$1"; }

@test "zk-tree --follow goes on in a new session when it was stopped for longer than the old one lives" {
  create /t/kept one
  create /t/gone
  follow 90 12 --session-timeout 600ms /t
  see '─ kept  "one"'
  local session pid
  session=$(session_ids)
  pid=$(tree_pid)
  kill -STOP "$pid"
  wait_for 10 "the end of the session" session_ended "$session"
  zk-node delete /t/gone >/dev/null
  create /t/new/below
  kill -CONT "$pid"
  wait_for 10 "what has changed" shows_all '^- ├─ gone' '^\+ └─ new' '^\+    └─ below' || show_picture
  see '\(new session at '
  see_as_printed /t
}

@test "zk-tree --follow goes on in a new session when an administrator closes the old one" {
  proxy_start
  create /t/a one
  follow 90 12 --hosts "$PROXY$CHROOT" /t
  see '─ a  "one"'
  local session
  session=$(session_ids)
  proxy_mode rst # or else it would take its session back from the one who closes it
  zk closesession "$session"
  proxy_mode pass
  see '\(new session at '
  shows '^  └─ a  "one"' # that nothing has changed, it shows as well
  create /t/b
  see '^\+ └─ b'
}

@test "zk-tree --follow shows what became of its node while there was no session" {
  proxy_start
  create /t/old
  follow 90 12 --hosts "$PROXY$CHROOT" --session-timeout 600ms /t
  see '─ old'
  local session
  session=$(session_ids)
  proxy_mode drop
  wait_for 10 "the end of the session" session_ended "$session"
  zk-node delete -r /t >/dev/null
  proxy_mode pass
  see '^\(new session at [0-9:]+\)  zk-tree /t  no such node' 15
  create /t/young
  see '^\+ └─ young'
  see_as_printed /t
}

# N: the proxy has cut so many connections
resets_are() { (($(grep -c 'reset$' "$(proxy_log)") == $1)); }

@test "zk-tree --follow shows again what it could not read for a while" {
  proxy_start
  create /p/a
  zk create /p/secret data >/dev/null
  follow 90 12 --hosts "$PROXY$CHROOT" --session-timeout 20s /p
  see '─ secret  "data"'
  zk setacl /p/secret world:anyone:cdwa # nobody is told of that; who reads anew finds out
  proxy_mode rst
  wait_for 5 "the reset" resets_are 1
  proxy_mode pass
  see '─ secret  \(not authorised to read it\)'
  zk setacl /p/secret world:anyone:cdrwa
  proxy_mode rst
  wait_for 5 "the next reset" resets_are 2
  proxy_mode pass
  see '─ secret  "data"'
}

@test "zk-tree --follow tells of a lost connection in a narrow pane as well" {
  proxy_start
  create /application/config
  follow 30 8 --hosts "$PROXY$CHROOT" --session-timeout 3s /application/config
  see '^zk-tree /application/config'
  proxy_mode rst
  see 'no connection'
  proxy_mode pass
  see 'connected again'
}

# --- the terminal ---

@test "zk-tree --follow survives the resizing of its pane, down to one row" {
  create /application/first 'some data that is long'
  create /application/second
  follow 80 24 /application
  see '├─ first  "some data that is long"  v0'
  screen resize-window -x 20 -y 5
  see '^  ├─ first  "some d…$'
  see '^zk-tree /applicatio…$'
  screen resize-window -x 20 -y 3
  see '^  /application  v0$'
  see 'more'
  screen resize-window -x 20 -y 1
  wait_for 5 "the title alone" picture_is 'zk-tree /applicatio…' || show_picture
  create /application/third
  screen resize-window -x 1 -y 1
  screen resize-window -x 60 -y 10
  see '^zk-tree /application  4 nodes$'
  see_as_printed /application
  screen resize-window -x 20 -y 1
  wait_for 5 "the title alone" picture_is 'zk-tree /applicatio…' || show_picture
}

picture_is() { [[ $(picture) == "$1" ]]; } # TEXT

@test "zk-tree --follow cuts wide characters at the edge of a narrow pane, and never goes on in the next line" {
  create /w/cjk '漢字漢字漢字漢字漢字漢字'
  create /w/emoji '🔒🔑🔒🔑🔒🔑🔒🔑🔒🔑🔒🔑'
  create /w/漢字漢字漢字漢字漢字漢字漢字 x
  create /w/last
  local width
  follow 40 10 /w
  see '─ last'
  for width in 24 23 22 21 20 19; do
    screen resize-window -x "$width" -y 10
    wait_for 5 "a picture of $width columns" cut_at "$width" 3 || show_picture
  done
}

@test "zk-tree --follow knows the width of emoji from everywhere" {
  create /w/alarm '⏰⏰⏰⏰⏰⏰⏰⏰⏰⏰⏰⏰⏰⏰⏰'
  create /w/check '✅✅✅✅✅✅✅✅✅✅✅✅✅✅✅'
  create /w/mahjong '🀄🀄🀄🀄🀄🀄🀄🀄🀄🀄🀄🀄🀄🀄🀄'
  create /w/last
  follow 36 10 /w
  wait_for 5 "a picture of 36 columns" cut_at 36 3 || show_picture
}

# COLUMNS N: the N rows with wide characters are there, and each ends with … in the last column, or, where half a
# character would be left, in the one before
cut_at() {
  picture | /usr/bin/python3 -c 'import sys, unicodedata
lines = sys.stdin.read().split("\n")[:7]
wide = [line for line in lines if any(unicodedata.east_asian_width(c) == "W" for c in line)]
columns = lambda line: sum(2 if unicodedata.east_asian_width(c) == "W" else 1 for c in line)
ok = len(wide) == int(sys.argv[2]) and all(line.endswith("…") and int(sys.argv[1]) - 1 <= columns(line) <= int(sys.argv[1]) for line in wide)
sys.exit(not ok or not any("─ last" in line for line in lines))' "$@"
}

@test "zk-tree --follow shows no control character of names and data raw" {
  create_hostile /h
  follow 70 16 /h
  see '─ esc  "\\x1b\[2J\\x1b\]0;title\\x07"  v0'
  see '─ c1-byte  "\\x9b31m"'
  see 'name-\\u\{202e\}gnp.exe  "1"'
  kazoo 'zk.set("/h/esc", b"\x1b[5;1Hhere\r\n\x1bc")'
  see '^~ ├─ esc  "\\x1b\[5;1Hhere\\r\\n\\x1bc"  v1'
  picture | harmless
  start follower zk-tree --follow /h
  wait_for 5 "the picture in a pipe" last_picture_has follower 'zero-width'
  signal TERM follower
  finish follower
  harmless <<<"$output"
}

@test "zk-tree --follow gives the terminal back on Ctrl-C, and answers 130" {
  create /t/a one
  follow_in_bash 60 12 /t
  see '─ a  "one"'
  assert_equal "$(screen display -p '#{cursor_flag} #{wrap_flag}')" '0 0'
  screen send-keys C-c
  see '^ready>'
  assert_equal "$(screen display -p '#{cursor_flag} #{wrap_flag}')" '1 1'
  shows '─ a  "one"' # the last picture stays to be read
  enter 'echo "status $?"'
  see '^status 130$'
}

@test "zk-tree --follow ends on Ctrl-C while it has no connection yet, and leaves the terminal as it is" {
  proxy_start
  proxy_mode hold
  pane 60 12 "trap : INT; zk-tree --follow --hosts $PROXY$CHROOT --connect-timeout 30s /t; echo \"status: \$?\"; exec cat"
  wait_for 5 "its attempt" grep -q opened "$(proxy_log)"
  screen send-keys C-c
  see 'status: 130$' 3
  assert_equal "$(screen display -p '#{cursor_flag} #{wrap_flag}')" '1 1'
}

# In hundredths of a second, since it was started.
cpu_time() { awk '{ print $14 + $15 }' "/proc/$(tree_pid)/stat"; }

@test "zk-tree --follow leaves the terminal alone in the background, and does next to nothing there" {
  create /t/a one
  follow_in_bash 60 16 /t
  see '─ a  "one"'
  screen send-keys C-z
  see 'Stopped'
  enter bg
  see 'zk-tree --follow /t &$'
  local before
  before=$(cpu_time)
  zk-node set /t/a two >/dev/null
  enter 'sleep 1; echo still here'
  see '^still here$'
  (($(cpu_time) - before <= 10)) || fail "it used $(($(cpu_time) - before)) hundredths of a second"
  hides '"two"'
  enter fg
  see '─ a  "two"  v1' 10
  screen send-keys C-c
  see '^ready>'
}

@test "zk-tree --follow gives the terminal back on Ctrl-Z, and takes it again with fg" {
  create /t/a one
  follow_in_bash 60 16 /t
  see '─ a  "one"'
  screen send-keys C-z
  see 'Stopped'
  assert_equal "$(screen display -p '#{cursor_flag} #{wrap_flag}')" '1 1'
  zk-node set /t/a two >/dev/null
  enter 'echo still here'
  see '^still here$'
  enter fg
  see '─ a  "two"  v1' 10
  see_no 'still here'
  assert_equal "$(screen display -p '#{cursor_flag} #{wrap_flag}')" '0 0'
  screen send-keys C-c
  see '^ready>'
  assert_equal "$(screen display -p '#{cursor_flag} #{wrap_flag}')" '1 1'
}

@test "zk-tree --follow keeps its session while Ctrl-S holds the terminal, and shows what is in the end" {
  create_many /t 1 100
  follow 60 20 --session-timeout 600ms /t
  see '^zk-tree /t  101 nodes$'
  local session
  session=$(session_ids)
  screen send-keys C-s
  kazoo 'for round in range(60):
    for _ in [zk.set_async("/t/n%05d" % n, b"%d" % round) for n in range(1, 101)]: _.get()'
  zk-node delete -r /t/n00001 >/dev/null
  create /t/n00000 last
  hides n00000
  screen send-keys C-q
  see '─ n00000  "last"  v0'
  see '^zk-tree /t  101 nodes$' # no word of a new session
  see_no n00001
  see '^  ├─ n00002  "59"  v60$'
  assert_equal "$(session_ids)" "$session"
}

@test "zk-tree --follow ends at once on TERM while Ctrl-S holds the terminal" {
  create_many /t 1 100
  follow 60 20 /t
  see '^zk-tree /t  101 nodes$'
  local pid
  pid=$(tree_pid)
  screen send-keys C-s
  kazoo 'for round in range(20):
    for _ in [zk.set_async("/t/n%05d" % n, b"%d" % round) for n in range(1, 101)]: _.get()'
  kill -TERM "$pid"
  wait_for 3 "its end" dead "$pid"
  screen send-keys C-q
  see 'status: 143$' # behind what was held
}

@test "zk-tree --follow ends when its terminal has gone" {
  create /t/a
  follow 60 12 /t
  local pid
  pid=$(tree_pid)
  screen kill-server
  wait_for 5 "its end" dead "$pid"
}

# --- much of everything ---

@test "zk-tree --follow shows what is there after a storm of changes" {
  create /t/kept
  follow 70 24 /t
  start pipe zk-tree --follow /t
  see '─ kept'
  kazoo 'import random
random.seed(7)
there, waiting = set(), []
for i in range(2000):
    folder = "/t/f%d" % random.randrange(3)
    name = folder + "/n%d" % random.randrange(20)
    if name in there: waiting.append(zk.delete_async(name)); there.remove(name)
    else: waiting += [zk.create_async(folder), zk.create_async(name, b"%d" % i)]; there.add(name)
for name in sorted(there)[5:]: waiting.append(zk.delete_async(name))
zk.create("/t/last", b"done")
for one in waiting: one.wait()'
  see '─ last  "done"'
  see_as_printed /t
  see "^zk-tree /t  $(zk-tree /t | wc -l) nodes$"
  wait_for 10 "the same in the pipe" last_picture_below_title_is "$(zk-tree /t | sed 's/^/  /')"
  signal TERM pipe
  finish pipe
}

last_picture_below_title_is() { [[ $(last_picture pipe | sed 1d) == "$1" ]]; } # TEXT

@test "zk-tree --follow stays usable with 10,000 nodes, and says what it leaves out" {
  create_many /t/many 1 10001
  create /t/a
  follow 60 20 /t
  see '^zk-tree /t  10000 nodes, 4 left out$' 20
  see '└─ … 99[0-9]{2} more'
  zk-node set /t/many/n07000 changed >/dev/null
  see '^~ +├─ n07000  "changed"' 3
  screen resize-window -x 60 -y 10
  see '└─ … 99[0-9]{2} more' 3
  screen send-keys C-c
  see '^status: 130$' 3
}

@test "zk-tree --follow shows of a deep tree what fits, and says how much more there is" {
  local path
  path=$(printf '/d%.0s' {1..100})
  create "$path" bottom
  follow 60 12 /
  see '^zk-tree /  101 nodes$'
  see '… 91 lines more'
  hides bottom
  screen resize-window -x 330 -y 103
  see '└─ d  "bottom"  v0'
}
