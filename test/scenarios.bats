# The scripts that people watch, without anybody to watch them.
# shellcheck shell=bash

load helpers

setup() {
  test_setup
  export TMPDIR=$BATS_TEST_TMPDIR/temporary
  mkdir "$TMPDIR"
}

screen() { tmux -S "$BATS_TEST_TMPDIR/screen" "$@"; }

shows() { screen capture-pane -p | grep -qE -- "$1"; } # PATTERN: does the screen?

nothing_left() { [[ ! $(ls -A "$TMPDIR") ]]; }

assert_nothing_left() {
  run -0 ls -A "$TMPDIR"
  assert_output ''
}

@test "lock-queue tells its story as text, and leaves nothing" {
  run env STAGE=plain lock-queue </dev/null
  assert_success
  assert_line --regexp 'ana +enters with token'
  assert_line --regexp 'bea +\(ended with status 137\)'
  assert_line --regexp 'cem +leaves'
  assert_line --regexp 'It went as told\.$'
  assert_nothing_left
}

@test "lock-queue tells its story in tmux, and leaves nothing" {
  run -0 env STAGE=tmux lock-queue </dev/null
  assert_line --regexp 'Cem is inside'
  assert_line --regexp 'It went as told\.$'
  assert_nothing_left
}

@test "lock-queue shows the contenders and the queue in panes to who watches on a terminal" {
  screen -f /dev/null new-session -d -x 150 -y 40 "lock-queue; echo status: \$?; exec cat" 3>&-
  wait_for 15 "the queue in its pane" shows 'inside +[^ ]+ \((ana|bea)\)'
  wait_for 5 "the contenders in theirs" shows 'enters with token'
  wait_for 30 "its end" shows '^status: 0'
  screen kill-server
  assert_nothing_left
}

@test "lock-queue fails, and leaves nothing, if the story goes otherwise" {
  mkdir "$BATS_TEST_TMPDIR/bin"
  # A zk-lock that lets everybody in at once.
  # shellcheck disable=SC2016 # for the script
  printf '%s\n' '#!/bin/sh' 'case $* in *--list*) exec "$REAL" "$@" ;; esac' \
    'while [ "$1" != -- ]; do shift; done; shift; ZK_LOCK_TOKEN=1 exec "$@"' >"$BATS_TEST_TMPDIR/bin/zk-lock"
  chmod +x "$BATS_TEST_TMPDIR/bin/zk-lock"
  mkdir -p "$BATS_TEST_TMPDIR/tree/build"
  cp -r "$BATS_TEST_DIRNAME/../scripts" "$BATS_TEST_TMPDIR/tree"
  mv "$BATS_TEST_TMPDIR/bin" "$BATS_TEST_TMPDIR/tree/build/bin"
  run -1 env REAL="$BIN/zk-lock" STAGE=plain "$BATS_TEST_TMPDIR/tree/scripts/lock-queue" </dev/null
  assert_line --partial 'did not happen'
  assert_nothing_left
}

@test "lock-queue leaves nothing when it is interrupted" {
  start queue env STAGE=plain TMPDIR="$TMPDIR" lock-queue
  wait_for 10 "ana to be inside" grep -q 'enters with token' "$(out queue)"
  signal TERM queue
  finish queue
  assert_failure 143
  assert_nothing_left
}

@test "a scenario leaves nothing when its terminal goes away while it waits for who looks" {
  screen -f /dev/null new-session -d -x 150 -y 40 "SCENE_PACE=0 SCENE_LINGER=30 watch-tree" 3>&-
  wait_for 15 "its end" shows 'This closes in a moment'
  screen kill-server
  wait_for 10 "it to have gone" nothing_left
}

@test "watch-tree tells its story as text, and leaves nothing" {
  run env STAGE=plain watch-tree </dev/null
  assert_success
  assert_line --regexp 'watcher +[0-9:.]+  created   /NORMAL  v0 .*"first value"$'
  assert_line --regexp 'watcher +[0-9:.]+  changed   /NORMAL  v6 .*\(4 changes missed\)$'
  assert_line --regexp 'watcher +[0-9:.]+  children  /PAI  -FILHO1 '
  assert_line --regexp 'It went as told\.$'
  assert_nothing_left
}

@test "watch-tree shows the watcher, the live tree and the shell in panes to who watches on a terminal" {
  screen -f /dev/null new-session -d -x 150 -y 40 "watch-tree; echo status: \$?; exec cat" 3>&-
  wait_for 15 "the watcher in its pane" shows 'created   /NORMAL'
  wait_for 5 "the shell in its own" shows '\$ zk-node set /NORMAL'
  wait_for 10 "the tree with a new node, marked, in a third" shows '\+ *└─ FILHO1  "hello"|\+ +├─ FILHO1  "hello"'
  wait_for 30 "its end" shows '^status: 0'
  screen kill-server
  assert_nothing_left
}

@test "two-phase-commit tells its story as text, and leaves nothing" {
  run env STAGE=plain two-phase-commit </dev/null
  assert_success
  assert_line --regexp 'coordinator .*committed  version 1$'
  assert_line --regexp 'coordinator .*aborted  b: votes abort, always$'
  assert_line --regexp 'coordinator .*aborted  c died before its vote$'
  assert_line --regexp 'coordinator .*waits for c to acknowledge it$'
  assert_line --regexp '[abc] +5-1  settled  commit$'
  # What the register holds after each: 1, still 1, still 1, 4, 5.
  assert_equal "$(grep -oE 'coordinator x=[0-9]+$' <<<"$output" | grep -oE '[0-9]+$' | tr '\n' ' ')" '1 1 1 4 5 '
  refute_line --partial Killed
  assert_line --regexp 'It went as told\.$'
  assert_nothing_left
}

@test "two-phase-commit shows three participants, the live tree and the coordinator in panes to who watches on a terminal" {
  SCENE_PACE=0.3 screen -f /dev/null new-session -d -x 160 -y 48 "two-phase-commit; echo status: \$?; exec cat" 3>&-
  wait_for 15 "the tree" shows '├─ alive'
  wait_for 15 "a participant" shows '1-1  prepared'
  wait_for 15 "the coordinator" shows '\$ tpc-coordinator /register set x='
  wait_for 15 "the death of a participant" shows 'dies here, as --fail-at says: before-vote'
  wait_for 30 "its end" shows '^status: 0'
  screen kill-server
  assert_nothing_left
}

@test "two-phase-commit ask lets people vote, each in a pane" {
  screen -f /dev/null new-session -d -x 160 -y 48 "two-phase-commit ask; echo status: \$?; exec cat" 3>&-
  wait_for 15 "a prompt" shows '^>'
  wait_for 15 "the participants" shows 'b  alive'
  screen send-keys 'set x=1' Enter
  wait_for 10 "the question" shows 'ask  set x=1   commit\? \[y/n\]'
  screen send-keys C-b Up
  screen send-keys n Enter
  wait_for 10 "the result" shows '^aborted 1-1: [abc]: said no'
  screen send-keys C-b Down
  screen send-keys C-d
  wait_for 15 "its end" shows '^status: 0'
  screen kill-server
  assert_nothing_left
}

@test "two-phase-commit refuses what it does not know" {
  run -125 two-phase-commit vote
  assert_output "two-phase-commit: what is 'vote'? See --help"
}

@test "make install brings the tools, their manuals and completion" {
  local there=$BATS_TEST_TMPDIR/there tool
  run -0 make -s -C "$BATS_TEST_DIRNAME/.." install DESTDIR="$there" PREFIX=/usr
  for tool in "$BATS_TEST_DIRNAME"/../tools/*/; do
    tool=$(basename "$tool")
    run -0 "$there/usr/bin/$tool" --version
    assert_output --regexp "^$tool \(zkutils\) [0-9.]+$"
    assert_file_contains "$there/usr/share/man/man1/$tool.1" "^\.TH ${tool^^}"
    PATH=$there/usr/bin:$PATH run -0 bash -c "source '$there/usr/share/bash-completion/completions/$tool'
      COMP_WORDS=($tool --h) COMP_CWORD=1; _zkutils $tool --h $tool; printf '%s\n' \"\${COMPREPLY[@]}\""
    assert_line -- --help
    assert_line -- --hosts
  done
}
