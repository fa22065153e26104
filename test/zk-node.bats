# zk-node: one change to a node, or one look at it; on a healthy server, and with replies that are lost.
# shellcheck shell=bash
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
# shellcheck disable=SC2030,SC2031 # each test is a subshell, and its variables are its own
load helpers

setup() {
  test_setup
  cd "$BATS_TEST_TMPDIR" || return
}

# Under `run`: what hangs is ended here, because Bats at its timeout would wait for the end of the output first.
zk-node() { timeout --foreground -s KILL 20 zk-node "$@"; }

# --- what it answers ---

says() { [[ ${stderr-} == *"$1"* ]] || fail "standard error does not say '$1': ${stderr-}"; } # TEXT

# REASON ARGUMENT...: the answer is no, with the reason and nothing else
answers_no() {
  run -1 --separate-stderr zk-node "${@:2}"
  assert_output ''
  assert_stderr "zk-node: $1"
}

# TEXT ARGUMENT...: zk-node refuses the arguments, and says TEXT to that
refuses() {
  run -125 --separate-stderr zk-node "${@:2}"
  assert_output ''
  says "$1"
}

# ARGUMENT...: it does what it is told, without a word
does() {
  run -0 --separate-stderr zk-node "$@"
  assert_output ''
  assert_stderr ''
}

holds() { assert_equal "$(zk get "$1")" "$2"; } # PATH DATA

is_there() { zk exists "$1" || fail "there is no $1"; } # PATH

is_missing() { if zk exists "$1"; then fail "there is $1"; fi; } # PATH

tree_is() { assert_equal "$(zk tree)" "$(printf '%s\n' "$@")"; } # PATH...

# The server does not tell that a node is a container, but deletes it soon once it has had a child and has none.
server_that_looks_after_containers() { ZK_SERVER_JAVA_OPTS="-Dznode.container.checkIntervalMs=100 ${1-}" own_server; }

has_gone() { ! zk exists "$1"; } # PATH

on_terminal() { SHELL=/bin/bash script -qec "$1" /dev/null </dev/null | tr -d '\r'; } # COMMAND: prints what it shows on one

# --- processes that stay ---

# NAME OPTION... PATH: an ephemeral node, kept by a zk-node that is there when this returns; `end_input` ends it
keep() {
  mkfifo "$1.in"
  exec {input}<>"$1.in"
  start "$1" sh -c 'exec zk-node create -e "$@" <"$0"' "$1.in" "${@:2}"
  wait_for 10 "$1 to have its node" test -s "$(out "$1")"
}

end_input() { exec {input}>&-; }

# NAME OPTION... PATH: a holder of the lock; sets node to its ZK_LOCK_NODE
hold_lock() {
  start "$1" zk-lock "${@:2}" -- sh -c 'echo "$ZK_LOCK_NODE"; exec sleep 1000'
  wait_for 10 "$1 to be inside" test -s "$(out "$1")"
  node=$(<"$(out "$1")")
}

leave() { # NAME: sees it out of its lock
  signal TERM "$1"
  finish "$1"
  assert_failure 143
}

# --- get and set ---

@test "zk-node sets and gets data that stand in an argument" {
  zk create /a
  does set /a 'some words'
  holds /a 'some words'
  run -0 --separate-stderr zk-node get /a
  assert_output 'some words'
  assert_stderr ''
}

@test "zk-node get adds nothing to the data, not even a newline" {
  zk create /a word
  zk-node get /a >got
  assert_equal "$(wc -c <got)" 4
}

@test "zk-node set and create take an argument as it is, escapes and bidi marks and all" {
  local data=$'a\\n\\x41 %s $HOME \u202e\u2066 \e[31m\n\ttab\r'
  does create /a "$data"
  zk-node get /a >got
  assert_equal "$(<got)" "$data"
  does set /a "$data$data"
  zk-node get /a >got
  assert_equal "$(<got)" "$data$data"
}

@test "zk-node takes and gives any bytes by standard input and output: NUL, what is not UTF-8, line ends" {
  /usr/bin/python3 -c 'import sys; sys.stdout.buffer.write(bytes(range(256)) + b"\n\n\0")' >data
  assert_equal "$(wc -c <data)" 259
  does create /a - <data
  zk-node get /a >got
  cmp data got
  tac data >other
  does set /a - <other
  zk-node get /a | cmp other -
  does set /a -- - <data
  zk-node get /a | cmp data -
}

@test "zk-node writes 0 bytes, from an argument and from standard input" {
  does create /a - </dev/null
  assert_equal "$(zk stat /a dataLength)" 0
  does set /a full
  does set /a ''
  assert_equal "$(zk stat /a version)" 2
  assert_equal "$(zk stat /a dataLength)" 0
  does set /a full
  does set /a - </dev/null
  assert_equal "$(zk stat /a dataLength)" 0
  zk-node get /a >got
  assert_equal "$(wc -c <got)" 0
}

@test "zk-node writes and reads 1,000,000 bytes, the most that a node holds" {
  head -c 1000000 /dev/urandom >data
  does create /a - <data
  zk-node get /a | cmp data -
  does create /b
  does set /b - <data
  zk-node get /b | cmp data -
}

@test "zk-node refuses more than 1,000,000 bytes, with both numbers, and changes nothing" {
  zk create /a old
  refuses 'data of 1000001 bytes for /a is too large: a node holds at most 1000000' set /a - < <(head -c 1000001 /dev/zero)
  holds /a old
  refuses 'data of 5000000 bytes for /b is too large: a node holds at most 1000000' create /b - < <(head -c 5000000 /dev/zero)
  is_missing /b
}

@test "zk-node set does not read for ever from an input without an end" {
  zk create /a old
  refuses 'is too large: a node holds at most 1000000' set /a - < <(yes)
  holds /a old
}

@test "zk-node reads all of its input before it changes anything" {
  zk create /a old
  mkfifo slow
  exec {input}<>slow
  start setter sh -c 'exec zk-node set /a - <slow'
  printf 'one ' >slow
  wait_for 5 "the first part to be read" nothing_waits_in slow
  holds /a old
  printf 'two' >slow
  wait_for 5 "the second part to be read" nothing_waits_in slow
  end_input
  finish setter
  assert_success
  holds /a 'one two'
}

nothing_waits_in() { ! IFS= read -r -t 0 <>"$1"; } # FIFO

@test "zk-node set that waits for its input ends at a signal and changes nothing" {
  zk create /a old
  mkfifo slow
  exec {input}<>slow
  start setter sh -c 'exec zk-node set /a - <slow'
  printf 'one ' >slow
  wait_for 5 "the first part to be read" nothing_waits_in slow
  signal TERM setter
  finish setter 2
  assert_failure 143
  assert_stderr ''
  holds /a old
}

@test "zk-node set that cannot read its input says so and changes nothing" {
  zk create /a old
  refuses 'cannot read standard input' set /a - </
  refuses 'cannot read standard input' create /b - </
  refuses 'cannot read standard input' txn </
  holds /a old
  tree_is /a
}

@test "zk-node set does not take an input that is closed for one without data" {
  zk create /a old
  run --separate-stderr bash -c 'exec zk-node set /a - <&-' # not by us, who would get a file of Bats in its place
  holds /a old
  assert_failure 125
  says 'standard input'
}

@test "zk-node set and get answer 1 when there is no such node" {
  answers_no 'no such node: /nix' get /nix
  answers_no 'no such node: /nix' set /nix data
  answers_no 'no such node: /nix' set --version 0 /nix data
  is_missing /nix
}

@test "zk-node set --version sets only a node of that version, and says which it has" {
  zk create /a old
  answers_no '/a has version 0, not 1' set --version 1 /a new
  holds /a old
  does set --version 0 /a new
  holds /a new
  answers_no '/a has version 1, not 0' set --version 0 /a newer
  does set --version=1 /a newest
  holds /a newest
}

@test "zk-node --version takes every version that a node can have" {
  zk create /a old
  answers_no '/a has version 0, not 1000000000' set --version 1000000000 /a new
  answers_no '/a has version 0, not 2147483647' delete --version 2147483647 /a
  refuses 'not a number from 0 to 2147483647' set --version 2147483648 /a new
  refuses 'not a number from 0 to 2147483647' set --version 99999999999999999999 /a new
  holds /a old
}

@test "zk-node get --json shows text as it is and other bytes in base64, with the stat" {
  zk create /a $'text \u202e "quoted"\n'
  run -0 --separate-stderr zk-node get --json /a
  assert_stderr ''
  assert_equal "${#lines[@]}" 1
  refute_output --regexp $'[^ -~]'
  assert_equal "$(json 'ascii(data)' <<<"$output")" "'text \\u202e \"quoted\"\\n'"
  assert_equal "$(json '[path, version, dataLength, numChildren, ephemeralOwner]' <<<"$output")" "['/a', 0, 18, 0, 0]"
  assert_equal "$(json czxid <<<"$output")" "$(zk stat /a czxid)"

  printf '\0\xff\xfe' | zk-node set /a -
  run -0 zk-node get --json /a
  assert_equal "$(json '[data_base64, dataLength, version]' <<<"$output")" "['AP/+', 3, 1]"
  refute_output --partial '"data":'

  zk-node set /a ''
  run -0 zk-node get /a --json
  assert_equal "$(json '[data, dataLength]' <<<"$output")" "['', 0]"
}

@test "zk-node set --json prints the new stat" {
  zk create /a old
  run -0 --separate-stderr zk-node set --json /a newer
  assert_stderr ''
  assert_equal "$(json '[path, version, dataLength]' <<<"$output")" "['/a', 1, 5]"
  assert_equal "$(json mzxid <<<"$output")" "$(zk stat /a mzxid)"
}

@test "zk-node get on a terminal shows control characters, bidi marks and bytes that are not UTF-8 as escapes, on one line" {
  printf 'red \e[31m\a\0 \xe2\x80\xae turned\nline\xff' | zk-node create /a -
  run -0 on_terminal 'zk-node get /a'
  assert_output 'red \x1b[31m\x07\x00 \u{202e} turned\nline\xff'
  assert_equal "${#lines[@]}" 1
}

@test "zk-node get of much data ends quietly when its reader has read enough" {
  head -c 1000000 /dev/zero | zk-node create /a -
  run -0 --separate-stderr bash -c 'zk-node get /a | head -c 1 | wc -c; echo "${PIPESTATUS[0]}"'
  assert_output $'1\n141'
  assert_stderr ''
}

@test "zk-node get whose reader does not read ends at a signal" {
  head -c 1000000 /dev/zero | zk-node create /a -
  mkfifo unread
  exec {reader}<>unread
  start getter sh -c 'exec zk-node get /a >unread'
  head -c 1 <&"$reader" >first # it has begun, and a pipe does not take all of it
  signal TERM getter
  finish getter 2
  exec {reader}>&-
  assert_failure 143
  assert_stderr ''
}

@test "zk-node says so when it cannot write its answer, because the disk is full" {
  local command
  head -c 100000 /dev/zero | zk-node create /a -
  zk create /a/b
  zk create /gone
  for command in 'get /a' 'get --json /a' 'stat /a' 'stat --json /a' 'ls /a' 'ls --json /a' 'ls -R /' 'exists --json /a' \
    'set --json /a x' 'create --json /json' 'create -s /s-' 'create -e /e' 'delete --json /json' 'delete -r /gone' \
    'txn --json'; do
    # shellcheck disable=SC2086 # these are words
    run --separate-stderr full_disk $command
    assert_equal "$command: $status" "$command: 125"
    says 'cannot write to standard output'
  done
  is_missing /e
}

@test "zk-node says so when it cannot write its help or its version" {
  local question
  for question in --help --version; do
    run --separate-stderr full_disk "$question"
    assert_equal "$question: $status" "$question: 125"
    says 'cannot write to standard output'
  done
}

full_disk() { zk-node "$@" <<<'set /a y' >/dev/full; } # ARGUMENT...

# --- create ---

@test "zk-node create makes a node, with data or without, and says nothing" {
  does create /a
  holds /a ''
  does create /b 'some words'
  holds /b 'some words'
  does create /b/c - <<<'from input'
  holds /b/c 'from input'
}

@test "zk-node create answers 1 when the node exists, and leaves it as it is" {
  zk create /a old
  answers_no 'it exists already: /a' create /a new
  answers_no 'it exists already: /a' create -p /a new
  answers_no 'it exists already: /a' create -e /a new
  answers_no 'it exists already: /a' create --container /a new
  holds /a old
}

@test "zk-node create answers 1 when the parent is missing, and says what makes it" {
  zk create /a
  answers_no 'no such node: /a/b, the parent of /a/b/c; -p makes it' create /a/b/c
  tree_is /a
}

@test "zk-node create -p makes the missing parents, as containers" {
  server_that_looks_after_containers
  zk create /a
  does create -p /a/b/c/d data
  does create --parents /x/y
  does create -p /z
  tree_is /a /a/b /a/b/c /a/b/c/d /x /x/y /z
  holds /a/b/c/d data
  does delete /a/b/c/d
  wait_for 10 "the parents to go" has_gone /a/b
  tree_is /a /x /x/y /z
}

@test "zk-node create makes a chroot that does not exist yet, with whatever is the first node in it" {
  local option
  for option in --persistent -s -e --container -p; do
    CHROOT=/test-$BATS_SUITE_TEST_NUMBER-$RANDOM/deep$option
    export ZK_HOSTS=$SERVER$CHROOT
    # shellcheck disable=SC2086 # --persistent is no option: it stands for none
    run -0 --separate-stderr zk-node create ${option/--persistent/} /a data
    assert_stderr ''
    if [[ $option != -e ]]; then assert_equal "$(zk tree | wc -l)" 1; fi
  done
}

@test "zk-node finds nothing in a chroot that does not exist" {
  local chroot=$CHROOT-none
  answers_no 'no such node: /' --hosts "$SERVER$chroot" ls /
  answers_no 'no such node: /a' --hosts "$SERVER$chroot" get /a
  answers_no 'no such node: /a' --hosts "$SERVER$chroot" set /a data
  answers_no 'no such node: /a' --hosts "$SERVER$chroot" delete /a
  answers_no 'no such node: /a' --hosts "$SERVER$chroot" delete -r /a
  answers_no 'no such node: /a, the parent of /a/b; -p makes it' --hosts "$SERVER$chroot" create /a/b
  zk-node --hosts "$SERVER" ls / >all
  run ! grep -Fx "${chroot#/}" all
}

@test "zk-node create -s appends a number that rises, and prints the name" {
  run -0 --separate-stderr zk-node create -s /job- one
  assert_output /job-0000000000
  assert_stderr ''
  run -0 zk-node create --sequential /job- two
  assert_output /job-0000000001
  run -0 zk-node create -p -s /q/job- three
  assert_output /q/job-0000000000
  holds /job-0000000000 one
  holds /job-0000000001 two
  holds /q/job-0000000000 three
}

@test "zk-node create --json prints the path and the stat" {
  run -0 --separate-stderr zk-node create --json /a data
  assert_stderr ''
  assert_equal "$(json '[path, version, dataLength]' <<<"$output")" "['/a', 0, 4]"
  assert_equal "$(json czxid <<<"$output")" "$(zk stat /a czxid)"
  run -0 zk-node create --json -s /s- data
  assert_equal "$(json path <<<"$output")" /s-0000000001 # the number counts all that was created in the parent
}

@test "zk-node create --container makes a node that goes when its last child has gone" {
  server_that_looks_after_containers
  does create --container /c data
  holds /c data
  does create /c/child
  does delete /c/child
  wait_for 10 "the container to go" has_gone /c
}

@test "zk-node create --ttl makes a node that goes when it has been unchanged for so long" {
  server_that_looks_after_containers -Dzookeeper.extendedTypesEnabled=true
  does create --ttl 1h /long data
  does create --ttl 300ms /short data
  run -0 zk-node create -s --ttl 1h /s- data
  assert_output /s-0000000002
  wait_for 10 "the short-lived node to go" has_gone /short
  holds /long data
  is_there /s-0000000002
}

@test "zk-node create --ttl that no server can keep is refused, on a server that allows others, too" {
  ZK_SERVER_JAVA_OPTS=-Dzookeeper.extendedTypesEnabled=true own_server
  local ttl
  for ttl in 0 1000000h; do
    refuses --ttl create --ttl "$ttl" /t
    is_missing /t
  done
}

@test "zk-node create --ttl says clearly when the server does not allow it" {
  refuses 'the server does not allow --ttl: it has to be started with zookeeper.extendedTypesEnabled=true' create --ttl 5s /t
  refuses 'the server does not allow --ttl' create -s --ttl 5s /t
  tree_is ''
}

@test "zk-node creates no child of an ephemeral node, and says why" {
  keep keeper /e
  refuses 'an ephemeral node cannot have children' create /e/child
  end_input
  finish keeper
  assert_success
}

# --- create -e ---

@test "zk-node create -e keeps the node until the end of its input" {
  keep keeper /e 'some words'
  assert_equal "$(<"$(out keeper)")" /e
  ephemerals_are 1
  holds /e 'some words'
  printf 'what is typed does not matter\n' >&"$input"
  wait_for 5 "its input to be read" nothing_waits_in keeper.in
  ephemerals_are 1
  end_input
  finish keeper
  assert_success
  assert_stderr ''
  ephemerals_are 0
}

@test "zk-node create -e keeps the node until a signal, whose status it ends with" {
  local signal
  for signal in TERM:143 INT:130 HUP:129 QUIT:131; do
    keep "by-$signal" /e
    signal "${signal%:*}" "by-$signal"
    finish "by-$signal"
    assert_equal "$signal: $status" "$signal: ${signal#*:}"
    assert_stderr ''
    ephemerals_are 0
    end_input
  done
}

@test "zk-node create -e with data from its input keeps the node until a signal" {
  start keeper sh -c 'printf "a b" | exec zk-node create -e /e -'
  wait_for 5 "the node" ephemerals_are 1
  holds /e 'a b'
  start other zk-node create -e /f - # its input has ended already
  wait_for 5 "the other node" ephemerals_are 2
  signal TERM other
  finish other
  assert_failure 143
  running keeper
  kill -TERM "$(pgrep -s "$(pid_of keeper)" -x zk-node)"
  finish keeper
  assert_failure 143
  ephemerals_are 0
}

@test "zk-node create -e -s prints the name that its node got" {
  keep one -s /e-
  assert_equal "$(<"$(out one)")" /e-0000000000
  start two zk-node create -e -s --json /e- -
  wait_for 5 "the other node" ephemerals_are 2
  assert_equal "$(json '[path, ephemeralOwner != 0]' <"$(out two)")" "['/e-0000000001', True]"
  end_input
  finish one
  assert_success
  signal TERM two
  finish two
}

@test "zk-node create -e ends with 120 when someone else deletes its node" {
  keep keeper /e
  zk delete /e
  finish keeper
  assert_failure 120
  assert_stderr 'zk-node: lost: /e was deleted by someone else'
  end_input
}

@test "zk-node create -e ends with 120 when someone else puts a node of theirs in the place of its node" {
  keep keeper /e
  run -0 zk-node txn <<<$'delete /e\ncreate /e theirs'
  finish keeper
  assert_failure 120
  end_input
  holds /e theirs
}

@test "zk-node create -e does not end when its node is changed" {
  keep keeper /e one
  does set /e two
  does set /e three
  zk delete /e
  finish keeper
  assert_failure 120
  end_input
}

@test "zk-node create -e ends with 120 when its session is closed" {
  proxy_start
  keep keeper --hosts "$PROXY$CHROOT" /e
  proxy_mode drop # or else it would be connected again at once, and take the session from who closes it
  zk closesession /e
  proxy_mode pass
  finish keeper
  assert_failure 120
  says 'lost: '
  end_input
}

@test "zk-node create -e ends with 120 when its session has expired behind a cut cable" {
  proxy_start
  keep keeper --hosts "$PROXY$CHROOT" --session-timeout 400ms /e
  proxy_mode drop
  wait_for 5 "the node to expire" ephemerals_are 0
  proxy_mode pass
  finish keeper
  assert_failure 120
  says 'lost: '
  end_input
}

@test "zk-node create -e keeps its node when the server is killed and comes back" {
  own_server --tick 1000 # so that sessions may be long enough
  keep keeper /e
  own_server_kill9
  own_server_restart
  wait_for 5 "it to be connected again" is_connected keeper
  does set /e again
  running keeper
  end_input
  finish keeper
  assert_success
  wait_for 5 "the end of the node" ephemerals_are 0
}

# NAME: it has a connection to the server. What ss would tell is not in every container.
is_connected() { [[ $(four_letter cons | grep -c 'to=10000') -gt 0 ]] && running "$1"; }

@test "zk-node create -e is told that its node was deleted while it had no connection" {
  proxy_start
  keep keeper --hosts "$PROXY$CHROOT" --session-timeout 2s /e
  proxy_mode drop
  zk delete /e
  proxy_mode pass
  finish keeper
  assert_failure 120
  says '/e was deleted by someone else'
  end_input
}

# --- create -e on a terminal ---

terminal() { tmux -S "$BATS_TEST_TMPDIR/terminal" -f /dev/null "$@"; }

open_terminal() { # COMMAND...
  (launch tmux -S "$BATS_TEST_TMPDIR/terminal" -f /dev/null new-session -d -x 150 -y 50 -- "$@") </dev/null >/dev/null 2>&1
}

shows() { terminal capture-pane -p | grep -qE -- "$1"; } # REGEX

@test "zk-node create -e on a terminal says how to give the node up: Ctrl-D or Ctrl-C" {
  open_terminal sh -c 'zk-node create -e /e; echo "status $?"
    trap : INT; zk-node create -e /f; echo "status $?"; exec sleep 1000'
  wait_for 5 "the first node" shows 'holding /e; Ctrl-D or Ctrl-C gives it up'
  terminal send-keys C-d
  wait_for 5 "its end" shows '^status 0'
  wait_for 5 "the second node" shows 'holding /f; Ctrl-D or Ctrl-C gives it up'
  terminal send-keys C-c
  wait_for 5 "its end" shows 'status 130' # behind the ^C that the terminal shows
  ephemerals_are 0
  terminal kill-server
}

# --- delete ---

@test "zk-node delete deletes a node, and answers 1 when there is none" {
  zk create /a
  does delete /a
  is_missing /a
  answers_no 'no such node: /a' delete /a
}

@test "zk-node delete does not delete a node with children, and says what does" {
  zk create /a/b
  answers_no '/a has children: -r deletes them, too' delete /a
  tree_is /a /a/b
}

@test "zk-node delete --version deletes only a node of that version, and says which it has" {
  zk create /a
  zk set /a new
  answers_no '/a has version 1, not 0' delete --version 0 /a
  is_there /a
  does delete --version 1 /a
  is_missing /a
}

@test "zk-node delete --json says what it deleted" {
  zk create /a
  run -0 --separate-stderr zk-node delete --json /a
  assert_output '{"path":"/a","deleted":true}'
  assert_stderr ''
}

@test "zk-node delete -r deletes a node with all below, and prints what, children before their parents" {
  local option
  for option in -r -R --recursive; do
    zk create /a/b/c
    zk create /a/d
    zk create /ab
    run -0 --separate-stderr zk-node delete "$option" /a
    assert_output $'/a/b/c\n/a/b\n/a/d\n/a'
    assert_stderr ''
    tree_is /ab
    zk delete /ab
  done
  answers_no 'no such node: /a' delete -r /a
}

@test "zk-node delete -r --json prints what it deleted, one object a line" {
  zk create /a/b
  run -0 zk-node delete -r --json /a
  assert_output $'{"path":"/a/b","deleted":true}\n{"path":"/a","deleted":true}'
}

@test "zk-node delete -r deletes nothing when there are more nodes than --max" {
  zk create /a/b/c
  zk create /a/d
  refuses 'there are more than 3 nodes at and below /a: nothing was deleted' delete -r --max 3 /a
  tree_is /a /a/b /a/b/c /a/d
  run -0 zk-node delete -r --max 4 /a
  is_missing /a
}

@test "zk-node delete -r that may not list or delete everything says what stopped it" {
  zk create /a/shut/child
  zk create /a/open
  zk setacl /a/shut world:anyone:cdwa
  refuses 'list /a/shut: not authorised' delete -r /a
  tree_is_at /a/shut /a/open
  zk setacl /a/shut world:anyone:crwa
  refuses 'not authorised' delete -r /a
  is_there /a/shut/child
}

tree_is_at() { local path && for path in "$@"; do is_there "$path"; done; } # PATH...

@test "zk-node delete -r takes away what is created while it is at it" {
  zk create /a
  start others sh -c 'while zk-node create -s /a/n- >/dev/null; do :; done'
  wait_for 5 "some nodes" has_children 3 /a
  zk-node delete -r /a >deleted
  # The others end when there is no parent any more.
  finish others
  assert_stderr --partial 'no such node: /a'
  is_missing /a
  assert_equal "$(tail -n 1 deleted)" /a
  assert_equal "$(sort deleted | uniq -d)" ''
}

has_children() { (($(zk children "$2" | wc -l) >= $1)); } # N PATH

# --- stat, exists, ls ---

@test "zk-node stat prints what the server knows of a node, one field a line" {
  local field
  zk create /a 'some words'
  zk set /a 'other words'
  zk create /a/child
  run -0 --separate-stderr zk-node stat /a
  assert_stderr ''
  for field in czxid mzxid pzxid version cversion aversion dataLength numChildren; do
    assert_line "$field $(zk stat /a "$field")"
  done
  assert_line 'ephemeralOwner 0'
  assert_line --regexp '^ctime 20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z$'
  assert_line --regexp '^mtime 20[0-9]{2}-'
  assert_equal "${#lines[@]}" 11
  run -0 zk-node stat --json /a
  assert_equal "$(json '[path, version, dataLength, numChildren]' <<<"$output")" "['/a', 1, 11, 1]"
  assert_equal "$(json 'ctime[:2]' <<<"$output")" 20
  answers_no 'no such node: /nix' stat /nix
  run -0 zk-node stat /
}

@test "zk-node exists answers 0 or 1" {
  zk create /a
  does exists /a
  does exists /
  answers_no 'no such node: /nix' exists /nix
  run -0 --separate-stderr zk-node exists --json /a
  assert_output '{"path":"/a","exists":true}'
  run -1 --separate-stderr zk-node exists --json /nix
  assert_output '{"path":"/nix","exists":false}'
}

@test "zk-node ls prints the names of the children, sorted" {
  local name
  for name in b a c/grandchild 'with space'; do zk create "/d/$name"; done
  run -0 --separate-stderr zk-node ls /d
  assert_output $'a\nb\nc\nwith space'
  assert_stderr ''
  does ls /d/a
  answers_no 'no such node: /nix' ls /nix
  run -0 zk-node ls /
  assert_output d
  run -0 zk-node ls --json /d
  assert_line --index 0 '{"path":"/d/a","name":"a"}'
  assert_equal "${#lines[@]}" 4
}

@test "zk-node ls -R prints the paths of all that is below, parents before their children" {
  zk create /d/b/c
  zk create /d/a
  zk create /e
  local option
  for option in -R -r --recursive; do
    run -0 --separate-stderr zk-node ls "$option" /d
    assert_output $'/d/a\n/d/b\n/d/b/c'
    assert_stderr ''
  done
  run -0 zk-node ls -R /
  assert_output $'/d\n/d/a\n/d/b\n/d/b/c\n/e'
  does ls -R /e
  answers_no 'no such node: /nix' ls -R /nix
  run -0 zk-node ls -R --json /d
  assert_equal "$(json '[path, name, numChildren]' <<<"$output")" $'[\'/d/a\', \'a\', 0]\n[\'/d/b\', \'b\', 1]\n[\'/d/b/c\', \'c\', 0]'
}

@test "zk-node ls -R lists no more than --max, and says that there is more" {
  zk create /d/a/x
  zk create /d/b/y
  run -0 --separate-stderr zk-node ls -R --max 3 /d
  assert_output $'/d/a\n/d/a/x\n/d/b'
  assert_stderr 'zk-node: at least 1 node more is not listed; see --max'
  run -0 --separate-stderr zk-node ls -R --max 4 /d
  assert_equal "${#lines[@]}" 4
  assert_stderr ''
}

@test "zk-node prints names as they are to a pipe, and harmless to a terminal and in messages" {
  local name=$'\u202eabc \u00fc'
  does create "/$name" data
  does create "/$name/child"
  run -0 zk-node ls /
  assert_output "$name"
  run -0 zk-node get "/$name"
  assert_output data
  run -0 on_terminal 'zk-node ls /'
  assert_output '\u{202e}abc ü'
  run -0 on_terminal 'zk-node ls -R /'
  assert_output $'/\\u{202e}abc ü\n/\\u{202e}abc ü/child'
  run -0 zk-node ls --json /
  assert_output "{\"path\":\"/\\u202eabc \\u00fc\",\"name\":\"\\u202eabc \\u00fc\"}"
  answers_no 'no such node: /\u{202e}nix' get $'/\u202enix'
  answers_no 'it exists already: /\u{202e}abc ü' create "/$name"
  run -0 on_terminal "zk-node delete -r '/$name'"
  assert_output $'/\\u{202e}abc ü/child\n/\\u{202e}abc ü'
}

@test "zk-node prints the names of new nodes harmless to a terminal" {
  local name=$'\u202eabc'
  zk create /d
  run -0 on_terminal "zk-node create -s '/d/$name'"
  assert_output '/d/\u{202e}abc0000000000'
  run -0 on_terminal "zk-node create -e '/d/$name'"
  assert_line '/d/\u{202e}abc'
  run -0 on_terminal "zk-node txn <<<'create -s \"/d/$name\"'"
  assert_output '/d/\u{202e}abc0000000002'
}

@test "zk-node copes with 10,000 children: it makes them in one transaction, lists and deletes them" {
  does create /many
  seq -f 'create /many/%05.0f' 10000 >operations
  does txn <operations
  seq -f '%05.0f' 10000 >names
  zk-node ls /many | cmp names -
  seq -f '/many/%05.0f' 10000 >paths
  zk-node ls -R /many | cmp paths -
  assert_equal "$(zk-node ls -R --json /many | json path | cmp paths - && echo same)" same
  assert_equal "$(zk-node stat /many | grep numChildren)" 'numChildren 10000'
  # With the node itself they are one more than goes without being asked for.
  refuses 'there are more than 10000 nodes at and below /many: nothing was deleted' delete -r /many
  zk-node delete -r --max 10001 /many >deleted
  echo /many >>paths
  cmp paths deleted
  is_missing /many
}

# --- --if-held: fenced writes ---

@test "zk-node set and delete --if-held write for who holds the lock" {
  local node
  zk create /a old
  zk create /gone
  hold_lock holder /l
  does set --if-held "$node" /a new
  holds /a new
  run -0 --separate-stderr zk-node set --if-held "$node" --json /a newer
  assert_equal "$(json '[path, version, dataLength]' <<<"$output")" "['/a', 2, 5]"
  does delete --if-held "$node" /gone
  is_missing /gone
  leave holder
}

@test "zk-node --if-held works in the command of zk-lock, with what it finds there" {
  zk create /a old
  run -0 --separate-stderr zk-lock /l -- sh -c 'zk-node set --if-held "$ZK_LOCK_NODE" /a "token $ZK_LOCK_TOKEN"'
  assert_stderr ''
  assert_regex "$(zk get /a)" '^token [0-9]+$'
}

@test "zk-node --if-held refuses the write of a former holder" {
  local node former
  zk create /a old
  zk create /d/child
  hold_lock first /l
  former=$node
  leave first
  answers_no "not held: $former" set --if-held "$former" /a new # nobody has it
  hold_lock second /l
  answers_no "not held: $former" set --if-held "$former" /a new
  answers_no "not held: $former" set --if-held "$former" --version 0 /a new
  answers_no "not held: $former" delete --if-held "$former" /a
  answers_no "not held: $former" delete --if-held "$former" -r /d
  answers_no "not held: $former" set --if-held "$former" /nix new
  holds /a old
  is_there /d/child
  leave second
  zk deleteall /l
  answers_no "not held: $former" set --if-held "$former" /a new # not even its folder is left
  holds /a old
}

@test "zk-node --if-held refuses the write of one who only waits for the lock" {
  local node waiting
  zk create /a old
  hold_lock holder /l
  start waiter zk-lock /l -- sh -c 'echo "$ZK_LOCK_NODE"; exec sleep 1000'
  wait_for 5 "the waiter" ephemerals_are 2 /l
  waiting=$(ephemerals /l | grep -vFx "$node")
  answers_no "not held: $waiting" set --if-held "$waiting" /a new
  answers_no "not held: $waiting" delete --if-held "$waiting" /a
  answers_no "not held: $waiting" delete --if-held "$waiting" -r /a
  holds /a old
  leave holder
  wait_for 5 "its turn" test -s "$(out waiter)"
  does set --if-held "$waiting" /a new
  holds /a new
  leave waiter
}

@test "zk-node --if-held lets all readers of a lock write, and all within a limit, and no other" {
  local node nodes=() waiting
  zk create /a old
  for n in 1 2; do
    hold_lock "reader$n" -s /l
    nodes+=("$node")
    hold_lock "permit$n" --limit 2 /m
    nodes+=("$node")
  done
  for node in "${nodes[@]}"; do does set --if-held "$node" /a "by $node"; done
  start third zk-lock --limit 2 /m true
  start writer zk-lock /l true
  wait_for 5 "the third" ephemerals_are 3 /m
  wait_for 5 "the writer" ephemerals_are 3 /l
  for waiting in $(ephemerals | grep -vFx "$(printf '%s\n' "${nodes[@]}")"); do
    answers_no "not held: $waiting" set --if-held "$waiting" /a new
  done
  holds /a "by $node"
  for n in 1 2; do
    leave "reader$n"
    leave "permit$n"
  done
  finish third
  finish writer
}

@test "zk-node --if-held checks the lock in the transaction of the write, too" {
  local node
  zk create /a old
  hold_lock holder /l
  proxy_start
  proxy_mode delay:400
  # Its session is known by its timeout.
  start late zk-node --hosts "$PROXY$CHROOT" --session-timeout 1789ms set --if-held "$node" /a new
  wait_for 5 "it to have seen the lock held" has_listed 1789
  leave holder # while the write is on its way
  running late
  finish late
  assert_failure 1
  assert_stderr "zk-node: not held: $node"
  holds /a old
}

# TIMEOUT: the session with this timeout has asked for children
has_listed() { four_letter cons | grep -q "lop=GETC.*to=$1,"; }

@test "zk-node --if-held with what is no holder's node is refused" {
  local wrong
  zk create /a old
  zk create /l/other
  for wrong in /l /l/other /nix/nix / x '' /a; do
    refuses "take ZK_LOCK_NODE" set --if-held "$wrong" /a new
    refuses "take ZK_LOCK_NODE" delete --if-held "$wrong" /a
    refuses "take ZK_LOCK_NODE" delete -r --if-held "$wrong" /a
  done
  holds /a old
}

@test "zk-node --if-held and --version both have to be right" {
  local node
  zk create /a old
  hold_lock holder /l
  answers_no '/a has version 0, not 1' set --if-held "$node" --version 1 /a new
  answers_no '/a has version 0, not 1' delete --if-held "$node" --version 1 /a
  answers_no 'no such node: /nix' set --if-held "$node" /nix new
  answers_no 'no such node: /nix' delete --if-held "$node" /nix
  answers_no 'no such node: /nix' delete --if-held "$node" -r /nix
  does set --if-held "$node" --version 0 /a new
  does delete --if-held "$node" --version 1 /a
  zk create /d/e
  answers_no '/d has children: -r deletes them, too' delete --if-held "$node" /d
  run -0 zk-node delete -r --if-held "$node" /d
  assert_output $'/d/e\n/d'
  leave holder
}

# --- txn ---

@test "zk-node txn carries out all its operations" {
  zk create /a old
  zk create /gone
  run -0 --separate-stderr zk-node txn <<'END'
# a comment, and an empty line

create /b 'some words'   # and another comment
create /b/c
create -s /b/job- "with number"
	set --version 0 /a new
set /a newer
check --version 2 /a
check /b
delete --version 0 /gone
END
  assert_output /b/job-0000000001
  assert_stderr ''
  tree_is /a /b /b/c /b/job-0000000001
  holds /a newer
  holds /b 'some words'
  holds /b/job-0000000001 'with number'
}

# LINE REASON OPERATIONS: refused as a whole because of this line
txn_refuses() {
  run -1 --separate-stderr zk-node txn <<<"$3"
  assert_output ''
  assert_stderr "zk-node: line $1: $2; nothing was changed"
}

@test "zk-node txn carries out nothing when one operation is refused, and says which line and why" {
  zk create /a old
  zk create /d/e
  local first=$'set /a new\ncreate /b\n\n# the line is counted as in the input\n'
  txn_refuses 5 'create /a: the node exists already' "${first}create /a"
  txn_refuses 5 'create /x/y: no such node: /x' "${first}create /x/y"
  txn_refuses 5 'set /nix: no such node' "${first}set /nix data"
  txn_refuses 5 'set /a: it has version 0, not 7' $'create /b\n\n\n\nset --version 7 /a new'
  txn_refuses 5 'delete /nix: no such node' "${first}delete /nix"
  txn_refuses 5 'delete /d: the node has children' "${first}delete /d"
  txn_refuses 5 'check /nix: no such node' "${first}check /nix"
  txn_refuses 1 'check /a: it has version 0, not 1' $'check --version 1 /a\nset /a new'
  txn_refuses 2 'delete /nix: no such node' $'set /a new\ndelete /nix\ndelete /nix2'
  holds /a old
  tree_is /a /d /d/e
}

@test "zk-node txn --json prints an object for each operation" {
  zk create /a old
  zk create /gone
  run -0 --separate-stderr zk-node txn --json <<<$'create -s /s-\nset /a newer\n\ndelete /gone\ncheck /a\ncreate /b x'
  assert_stderr ''
  assert_line --index 0 '{"line":1,"operation":"create","path":"/s-0000000002"}'
  assert_equal "$(json '[line, operation, path, version, dataLength]' <<<"${lines[1]}")" "[2, 'set', '/a', 1, 5]"
  assert_equal "$(json 'mzxid' <<<"${lines[1]}")" "$(zk stat /a mzxid)"
  assert_line --index 2 '{"line":4,"operation":"delete","path":"/gone"}'
  assert_line --index 3 '{"line":5,"operation":"check","path":"/a"}'
  assert_line --index 4 '{"line":6,"operation":"create","path":"/b"}'
  assert_equal "${#lines[@]}" 5
}

@test "zk-node txn takes words in quotes, with escapes" {
  zk create /d # in which there is something, so that its chroot exists
  does txn <<'END'
create /single 'a \n "b" # c'
create /double "a\tb\n\"c\" \\ 'd' # \x41\x00\xff"
create "/with space" ""
create '/joined'"-up" one' 'word
create /bidi "\xe2\x80\xae"
END
  assert_equal "$(zk get /single)" 'a \n "b" # c'
  printf 'a\tb\n"c" \\ '"'d'"' # A\0\xff' >expected
  zk get /double | cmp expected -
  holds '/with space' ''
  holds /joined-up 'one word'
  holds /bidi $'\u202e'
}

@test "zk-node txn refuses a line that it does not understand, and carries out nothing" {
  local text line
  zk create /a old
  while IFS='|' read -r text line; do
    run -125 --separate-stderr zk-node txn <<<"set /a new"$'\n'"$line"
    assert_output ''
    says "line 2: "
    says "$text"
  done <<'END'
'fly' is not one of create, set, delete, check|fly /a
the path is missing|create
the path is missing|delete --version 3
the data are missing|set /a
'three' is one word too many: put data in quotes|set /a two three
'data' is one word too many|delete /a data
create has no option '--version' here|create --version 3 /b
set has no option '-s' here|set -s /a b
create has no option '--ttl' here|create --ttl 3 /b
create has no option '-e' here|create -e /b
'x' is not a version|set --version x /a b
'-1' is not a version|set --version -1 /a b
'99999999999' is not a version|check --version 99999999999 /a
a ' has no end|set /a 'open
a " has no end|set /a "open
\x is followed by two hexadecimal digits|set /a "\xg"
\q has no meaning|set /a "\q"
a path starts with '/'|create b
a path does not end with '/'|create /b/
/zookeeper belongs to the server|create /zookeeper/b
END
  holds /a old
  tree_is /a
}

@test "zk-node txn without operations does nothing, and succeeds" {
  does txn </dev/null
  does txn <<<$'# only\n\n   # comments'
}

@test "zk-node txn reads a last line without a newline, and lines with CRLF" {
  zk create /a old
  printf 'create /b x\r\nset /a new' >operations
  does txn <operations
  holds /a new
  holds /b x
}

@test "zk-node txn refuses more than a transaction can carry, and changes nothing" {
  { printf 'create /a '; head -c 999999 /dev/zero | tr '\0' x; } >operations
  refuses 'too large' txn <operations
  seq -f 'create /n%.0f' 20000 >operations
  refuses 'too large' txn <operations
  refuses 'too large' txn < <(yes 'create /a')
  tree_is ''
}

@test "zk-node txn refuses what only with the chroot is more than a transaction can carry" {
  CHROOT=$CHROOT/$(printf '%0300d' 0)
  export ZK_HOSTS=$SERVER$CHROOT
  does create /d
  seq -f 'create /d/n%.0f' 5000 >operations # 5,000 x 300 bytes
  refuses 'too large' txn <operations
  tree_is /d
}

# --- permissions ---

@test "zk-node says that it is not authorised, whatever it was to do" {
  zk create /shut/child old
  zk create /shut/other
  zk setacl /shut/child world:anyone:a
  zk setacl /shut world:anyone:a
  refuses 'not authorised' get /shut
  refuses 'not authorised' get --json /shut/child
  refuses 'not authorised' set /shut new
  refuses 'not authorised' set --version 0 /shut/child new
  refuses 'not authorised' create /shut/new
  refuses 'not authorised' create -p /shut/new/newer
  refuses 'not authorised' create -s /shut/new-
  refuses 'not authorised' create -e /shut/e
  refuses 'not authorised' delete /shut/child
  refuses 'not authorised' delete -r /shut/child
  refuses 'not authorised' delete -r /shut
  refuses 'not authorised' ls /shut
  refuses 'line 2: set /shut/child: not authorised' txn <<<$'create /a\nset /shut/child new'
  zk setacl /shut world:anyone:cdrwa
  zk setacl /shut/child world:anyone:cdrwa
  tree_is /shut /shut/child /shut/other
}

@test "zk-node ls -R lists what it can, and fails naming what it could not list" {
  zk create /d/shut/child
  zk create /d/open/child
  zk setacl /d/shut world:anyone:cdwa
  run -125 --separate-stderr zk-node ls -R /d
  assert_output $'/d/open\n/d/open/child\n/d/shut'
  assert_stderr 'zk-node: list /d/shut: not authorised (see --auth-file)'
}

@test "zk-node ls -R of a node that it may not list is refused, as without -R" {
  zk create /d/child
  zk setacl /d world:anyone:cdwa
  refuses 'list /d: not authorised' ls /d
  refuses 'list /d: not authorised' ls -R /d
}

@test "zk-node --acl creator makes nodes for those with its credentials only" {
  local node
  (umask 077 && echo 'digest:ana:secret' >ana && echo 'digest:bea:secret' >bea)
  does --auth-file ana create -p /private/a data
  does --auth-file ana --acl open create /public data
  does --auth-file ana txn <<<'create /private/b'
  for node in /private/a /private/b; do
    assert_regex "$(zk --auth digest:ana:secret acl "$node")" '^digest:ana:[^:]+:cdrwa$'
  done
  assert_equal "$(zk acl /public)" world:anyone:cdrwa
  run -0 zk-node --auth-file ana get /private/a
  assert_output data
  refuses 'read /private/a: not authorised' get /private/a
  refuses 'not authorised' --auth-file bea get /private/a
  refuses 'not authorised' --auth-file bea set /private/a new
  refuses '--acl creator needs --auth-file' --acl creator create /x
}

# --- lost replies: the server has done it, and zk-node does not know ---

through_proxy() {
  proxy_start
  export ZK_HOSTS=$PROXY$CHROOT
}

# OPERATION[:N] ARGUMENT...: runs zk-node, which loses that many replies to OPERATION
losing() {
  proxy_mode "swallow:$1"
  run --separate-stderr zk-node "${@:2}"
  wait_for 5 "the replies to be lost" has_mode_pass
}

has_mode_pass() { [[ $(<proxy-1/mode) == pass ]]; }

# [OUTPUT]: it is done and it says so, or it says that it does not know; anything else would be a wrong answer
assert_done_or_unknown() {
  if ((status == 0)); then
    assert_output "${1-}"
    assert_stderr ''
  else
    assert_equal "$status" 122
    assert_output ''
    says 'whether it was done is unknown'
  fi
}

@test "zk-node create whose reply is lost does not say that the node exists already, and makes one" {
  zk create /d
  through_proxy
  losing create2 create /d/a data
  assert_done_or_unknown
  losing container create --container /d/c data
  assert_done_or_unknown
  losing create2 create -s /d/s- data
  assert_done_or_unknown /d/s-0000000002
  tree_is /d /d/a /d/c /d/s-0000000002
  holds /d/a data
  holds /d/s-0000000002 data
}

@test "zk-node create whose reply is lost does not take the node of someone else for its own" {
  zk create /a theirs
  through_proxy
  losing create2 create /a ours
  case $status in
  1) assert_stderr 'zk-node: it exists already: /a' ;;
  *) assert_done_or_unknown && assert_failure 122 ;;
  esac
  holds /a theirs
}

@test "zk-node create -p makes the parents although the replies are lost" {
  zk create /d
  through_proxy
  losing container:2 create -p /d/a/b/c data
  assert_success
  tree_is /d /d/a /d/a/b /d/a/b/c
  losing create2 create -p /d/x/y data # the parent was missing, which is what is lost
  assert_success
  holds /d/x/y data
}

@test "zk-node create in a chroot that does not exist makes it although a reply is lost" {
  through_proxy
  losing create2 create /a data
  assert_done_or_unknown
  holds /a data
}

@test "zk-node create -e knows its node again although the reply is lost" {
  zk create /d
  through_proxy
  proxy_mode swallow:create2
  keep keeper /d/e data
  has_mode_pass
  assert_equal "$(<"$(out keeper)")" /d/e
  ephemerals_are 1
  holds /d/e data
  end_input
  finish keeper
  assert_success
  ephemerals_are 0
}

@test "zk-node create -e -s whose reply is lost leaves no node behind if it does not know its name" {
  zk create /d
  through_proxy
  losing create2 create -e -s --session-timeout 400ms /d/e- </dev/null
  assert_done_or_unknown /d/e-0000000000
  wait_for 5 "the node to go" ephemerals_are 0
}

@test "zk-node set whose reply is lost has set, or says that it does not know" {
  zk create /a old
  through_proxy
  losing multi set /a new
  assert_done_or_unknown
  holds /a new
  losing multi set --version "$(zk stat /a version)" /a newer
  assert_done_or_unknown
  holds /a newer
}

@test "zk-node set --version whose reply is lost does not say that it was refused for its own change, nor the reverse" {
  zk create /a old
  through_proxy
  losing multi set --version 7 /a new # the refusal is lost, and may be asked for again
  assert_failure
  holds /a old
  case $status in
  1) assert_stderr 'zk-node: /a has version 0, not 7' ;;
  *) assert_done_or_unknown ;;
  esac
}

@test "zk-node delete whose reply is lost has deleted, or says that it does not know" {
  zk create /a
  zk create /b
  through_proxy
  losing multi delete /a
  assert_done_or_unknown
  losing multi delete --version 0 /b
  assert_done_or_unknown
  tree_is ''
}

@test "zk-node delete whose reply is lost does not delete what someone else makes thereafter" {
  zk create /a
  proxy_start
  proxy_start "${PROXY##*:}" far
  export ZK_HOSTS=$PROXY$CHROOT
  proxy_mode swallow:multi # next to the server
  proxy_mode delay:700 far # so that there is time before it is connected again
  start deleter zk-node delete /a
  wait_for 10 "the reply to be lost" has_mode_pass
  does --hosts "$SERVER$CHROOT" create /a theirs
  finish deleter
  holds /a theirs
  assert_regex "$status" '^(0|122)$'
}

@test "zk-node --if-held whose reply is lost has written, or says that it does not know" {
  local node
  zk create /a old
  zk create /b
  hold_lock holder /l
  through_proxy
  losing multi set --if-held "$node" /a new
  assert_done_or_unknown
  holds /a new
  losing children set --if-held "$node" /a newer
  assert_success
  holds /a newer
  losing multi delete --if-held "$node" /b
  assert_done_or_unknown
  is_missing /b
  leave holder
}

@test "zk-node delete -r whose replies are lost reports all the same what it removed" {
  zk create /a/b/c
  zk create /a/d
  through_proxy
  losing multi delete -r /a
  assert_success
  assert_equal "$(sort <<<"$output")" $'/a\n/a/b\n/a/b/c\n/a/d'
  is_missing /a
}

@test "zk-node txn whose reply is lost says that it does not know, and is not carried out twice" {
  zk create /a old
  through_proxy
  losing multi txn <<<$'create -s /s-\nset /a new'
  assert_done_or_unknown /s-0000000001
  tree_is /a /s-0000000001
  assert_equal "$(zk stat /a version)" 1
}

@test "zk-node reads although the replies are lost" {
  zk create /a/b/c data
  through_proxy
  losing get:2 get /a/b/c
  assert_success
  assert_output data
  losing exists:2 stat /a
  assert_success
  assert_line 'numChildren 1'
  losing exists exists /a
  assert_success
  losing exists exists /nix
  assert_failure 1
  losing children ls /a
  assert_success
  assert_output b
  losing children ls -R /a
  assert_success
  assert_output $'/a/b\n/a/b/c'
  losing exists ls -R /a
  assert_success
  assert_output $'/a/b\n/a/b/c'
}

# --- servers that are silent, or not there ---

# NAME ARGUMENT...: zk-node, connected to a server that falls silent before it has heard the request
asks_in_vain() {
  proxy_start "${SERVER##*:}" "$1"
  proxy_mode delay:400 "$1"
  echo 'set /a by-txn' >operations
  start "$1" sh -c 'exec zk-node "$@" <operations' - --hosts "$PROXY$CHROOT" --session-timeout 1s "${@:2}"
  wait_for 5 "its first request" grep -q 'delays a request' "$(proxy_log "$1")"
  proxy_mode drop "$1"
  finish "$1" 10
}

@test "zk-node that changes something says that it does not know when the server falls silent" {
  local n=0 change
  zk create /a/b old
  for change in 'create /new x' 'create -s /new- x' 'create -e /new x' 'set /a new' 'set --version 0 /a new' 'delete /a/b' 'txn'; do
    # shellcheck disable=SC2086 # these are words
    asks_in_vain "change-$((++n))" $change
    assert_equal "$change: $status" "$change: 122"
    assert_output ''
    says 'whether it was done is unknown'
  done
}

@test "zk-node that reads fails when the server falls silent" {
  local n=0 question
  zk create /a/b old
  for question in 'get /a' 'stat /a' 'exists /a' 'ls /a'; do
    # shellcheck disable=SC2086 # these are words
    asks_in_vain "question-$((++n))" $question
    assert_equal "$question: $status" "$question: 125"
    assert_output ''
  done
}

@test "zk-node ls -R does not wait for ever for a server that has fallen silent" {
  zk create /a/b
  asks_in_vain cut ls -R /a
  assert_failure 125
  assert_output ''
}

@test "zk-node delete -r does not wait for ever for a server that has fallen silent" {
  zk create /a/b
  asks_in_vain cut delete -r /a
  assert_regex "$status" '^(122|125)$' # it has not begun to delete
  assert_output ''
}

has_looked() { four_letter cons | grep -q "lop=EXIS.*to=$1,"; } # TIMEOUT: the same for a node

@test "zk-node delete -r says that it does not know when the server falls silent while it deletes" {
  zk create /a
  proxy_start
  proxy_mode delay:400
  start deleter zk-node --hosts "$PROXY$CHROOT" --session-timeout 1789ms delete -r /a
  # The answer passes at once, so by now the transaction is on its way to the proxy.
  wait_for 5 "it to have looked at the node" has_looked 1789
  proxy_mode drop
  finish deleter
  assert_failure 122
  assert_output ''
}

@test "zk-node fails quickly, with 125, when no server is there" {
  local begin took command
  for command in 'get /a' 'create /a' 'set /a x' 'delete -r /a' 'ls -R /'; do
    begin=$(microseconds)
    # shellcheck disable=SC2086 # these are words
    run -125 --separate-stderr zk-node --hosts 127.0.0.1:1/some --connect-timeout 500ms $command
    took=$((($(microseconds) - begin) / 1000))
    ((took < 2000)) || fail "it took $took ms"
    assert_output ''
    says 'no ZooKeeper answered at 127.0.0.1:1 within 500ms'
  done
}

@test "zk-node fails with 125 when the server accepts connections and never says a word" {
  proxy_start
  proxy_mode hold
  refuses 'no ZooKeeper answered' --hosts "$PROXY" --connect-timeout 500ms create /a
}

@test "zk-node finds what it wrote when the server has been restarted" {
  own_server
  does create /a old
  does set /a new
  run -0 zk-node create -s /s-
  own_server_kill9
  own_server_restart
  run -0 zk-node get /a
  assert_output new
  does set --version 1 /a newer
  run -0 zk-node create -s /s-
  assert_output /s-0000000002
  does txn <<<$'check --version 2 /a\ndelete /a'
}

# --- the command line ---

@test "zk-node says what is missing, or too much, or unknown" {
  local command
  refuses 'what to do is missing: create, get, set, delete, stat, ls, exists, txn'
  refuses "'frob' is not one of create, get, set, delete, stat, ls, exists, txn" frob /a
  for command in create get set delete stat ls exists; do
    refuses 'PATH is missing' "$command"
    refuses "'more' is one argument too many" "$command" /a data more
  done
  for command in get delete stat ls exists; do refuses "$command takes no DATA" "$command" /a data; done
  refuses 'DATA is missing' set /a
  refuses 'txn takes no PATH: it reads operations from standard input' txn /a
  tree_is ''
}

@test "zk-node refuses paths that ZooKeeper does not take, and shows them harmless" {
  local command path
  for command in create get 'set -- ' delete 'delete -r' stat ls 'ls -R' exists; do
    local data=()
    if [[ $command == set* ]]; then data=(data); fi
    # shellcheck disable=SC2086 # these are words
    while IFS='|' read -r path text; do
      refuses "$text" $command "$(printf '%b' "$path")" "${data[@]}"
    done <<'END'
a|path 'a' is not valid: a path starts with '/'
|path '' is not valid: a path starts with '/'
/a/|path '/a/' is not valid: a path does not end with '/'
/a//b|path '/a//b' is not valid: a path has no empty component ('//')
/a/../b|path '/a/../b' is not valid: a path has no '.' or '..' component
/a\001\033[31m|path '/a\x01\x1b[31m' is not valid: a path has no control or private characters
/a\0377|path '/a\xff' is not valid: a path is valid UTF-8
/zookeeper/quota|/zookeeper belongs to the server itself
END
    # shellcheck disable=SC2086 # these are words
    refuses 'a path has at most 16384 bytes' $command "/$(printf '%016384d' 0)" "${data[@]}"
  done
  refuses '/ exists always' create /
  refuses '/ cannot be deleted' delete /
  refuses '/ cannot be deleted' delete -r /
  tree_is ''
}

@test "zk-node refuses options that exclude each other, or go with something else" {
  local option
  zk create /a/b
  for option in -s -e '--ttl 3s'; do
    # shellcheck disable=SC2086 # these are words
    refuses '--container excludes --sequential, --ephemeral and --ttl' create --container $option /n
  done
  refuses '--ephemeral excludes --ttl' create -e --ttl 3s /n
  refuses '--recursive excludes --version' delete -r --version 0 /a
  refuses '--max goes with --recursive' delete --max 3 /a
  refuses '--max goes with --recursive' ls --max 3 /a
  tree_is /a /a/b
}

@test "zk-node refuses the options of another subcommand, and names it" {
  local words
  zk create /a
  while read -r words; do
    # shellcheck disable=SC2086 # these are words
    refuses "$(grep -oE -- ' -[^ ]+' <<<"$words" | head -n 1 | tr -d ' ')" $words
    says "zk-node ${words%% *}"
  done <<'END'
get -p /a
get --if-held /l /a
get -r /a
stat -s /a
ls -e /a
exists --ttl 3s /a
set -r /a data
set --max 3 /a data
set --container /a data
create -r /n
create --if-held /l /n
create --max 3 /n
delete -p /a
txn -s
txn --if-held /l
delete --frob /a
END
  tree_is /a
}

@test "zk-node refuses option values that make no sense, and names the option" {
  refuses '--version: '"'x' is not a number" set --version x /a data
  refuses '--version: '"'-1' is not a number" set --version -1 /a data
  refuses '--version: '"'' is not a number" delete --version '' /a
  refuses '--max: '"'0' is not a number from 1" delete -r --max 0 /a
  refuses '--max: '"'many' is not a number from 1" ls -R --max many /a
  refuses "--ttl: 'soon' is not a duration" create --ttl soon /a
  refuses "--ttl: '-1' is not a duration" create --ttl -1 /a
  refuses '--ttl needs a value' create /a --ttl
  refuses '--if-held needs a value' set /a data --if-held
  refuses '--json takes no value' get --json=yes /a
}

@test "zk-node takes options before, between and after the arguments, and before the subcommand those for all" {
  zk create /a old
  does set --version 0 /a one
  does set /a --version 1 two
  does set /a three --version 2
  holds /a three
  run -0 zk-node --json get /a
  assert_equal "$(json data <<<"$output")" three
  run -0 zk-node --hosts "$SERVER$CHROOT" -q get /a
  assert_output three
}

@test "zk-node takes data that begin with a dash after --" {
  zk create /a old
  does set -- /a -v
  holds /a -v
  does set /a -- --version
  holds /a --version
  does create -- /b -p
  holds /b -p
  tree_is /a /b
}

@test "zk-node does not take data that look like a number below zero for an option" {
  zk create /a old
  run --separate-stderr zk-node set /a -5
  assert_failure 125
  says '-5'
  holds /a old
}

@test "zk-node --version and --help answer before and after the subcommand where it has no --version of its own" {
  local version command
  run -0 --separate-stderr zk-node --version
  assert_output --regexp '^zk-node \(zkutils\) [0-9.]+$'
  version=$output
  for command in create get stat ls exists txn; do
    run -0 zk-node "$command" --version
    assert_output "$version"
    run -0 zk-node "$command" --help
    assert_line --index 0 'Usage: zk-node create [OPTION]... PATH [DATA|-]'
  done
  run -0 zk-node --version set --version 3 /a data
  assert_output "$version"
  refuses '--version needs a value' set --version
  refuses '--version does not go with arguments' get --version 3 /a
}

@test "zk-node -q says nothing when the answer is no, but errors" {
  run -1 --separate-stderr zk-node -q get /nix
  assert_output ''
  assert_stderr ''
  run -1 --separate-stderr zk-node txn --quiet <<<'delete /nix'
  assert_stderr ''
  refuses '/ cannot be deleted' -q delete /
}
