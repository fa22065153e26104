# scripts/dinner, without anybody to watch it.
# shellcheck shell=bash

load helpers

setup() {
  test_setup
  export TMPDIR=$BATS_TEST_TMPDIR/temporary LC_ALL=C.UTF-8 DINNER_MEALS=2
  mkdir "$TMPDIR" "$BATS_TEST_TMPDIR/here"
  cd "$BATS_TEST_TMPDIR/here" || return
}

screen() { tmux -u -S "$BATS_TEST_TMPDIR/screen" "$@"; }

shows() { screen capture-pane -p | grep -qE -- "$1"; } # PATTERN: does the screen?

on_terminal() { # COLUMNS ROWS ARGUMENT...
  screen -f /dev/null new-session -d -x "$1" -y "$2" "dinner ${*:3}; echo status: \$?; exec cat" 3>&-
}

assert_nothing_left() {
  run -0 ls -A "$TMPDIR"
  assert_output ''
}

assert_picture() { # FILE SEATS: one that a program that knows the format can read, with all seats
  /usr/bin/python3 -c 'import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
assert root.tag == "{http://www.w3.org/2000/svg}svg", root.tag
texts = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
lanes = [text for text in texts if text and text.startswith("seat ")]
assert len(lanes) == int(sys.argv[2]), texts' "$@"
}

@test "dinner tells its story as text, with the tally, leaves a picture and nothing else" {
  run env STAGE=plain dinner 3 </dev/null
  assert_success
  assert_line --regexp 'seat 2 +eating  meal 2  token [0-9]+$'
  assert_line --regexp 'referee +2 +2 +[0-9]+ms'
  assert_line --regexp 'referee +neighbours eating at once: never$'
  assert_line --regexp 'It went as told\.$'
  assert_picture dinner-fair.svg 3
  run -0 ls -A
  assert_output dinner-fair.svg
  assert_nothing_left
}

@test "dinner naive shows the deadlock with its ring, and how it ends" {
  DINNER_MEALS=8 run env STAGE=plain dinner 3 naive </dev/null
  assert_success
  assert_line --regexp 'DEADLOCK'
  assert_line --regexp '0 -> 1 -> 2 -> 0\.$'
  assert_line --regexp 'referee +[^ ]+  deadlock: seat 0 holds fork 0 and waits for fork 1; seat 1 .*; seat 2 holds fork 2 and waits for fork 0$'
  assert_line --regexp 'referee 2 +referee: deadlock: asking seat [0-2] to put its fork down$'
  assert_line --regexp 'referee 2 +deadlocks: [1-9]'
  assert_line --regexp 'It went as told\.$'
  assert_picture dinner-naive.svg 3
  assert_nothing_left
}

@test "dinner shows the referee's live view and the philosophers in panes to who watches on a terminal" {
  DINNER_MEALS=3 SCENE_LINGER=1 on_terminal 150 40 9 ordered
  wait_for 15 "the board" shows '│8 +(thinking|hungry|eating) +[0-9] meals?'
  wait_for 15 "a philosopher in its pane" shows '(^|│)eating  meal [0-9]  token [0-9]+ '
  shows 'seat 0 ─.* seat 3 ─.*' || fail "the philosophers are not side by side"
  wait_for 40 "its end" shows '^status: 0'
  shows '^8 +3 +[0-9]+ms' || fail "no tally in the end"
  screen kill-server
  assert_picture dinner-ordered.svg 9
  assert_nothing_left
}

@test "dinner naive fits into a small terminal, and shows the deadlock there" {
  DINNER_MEALS=8 SCENE_LINGER=1 SCENE_PACE=2 on_terminal 80 24 5 naive
  wait_for 20 "the deadlock on the referee's board" shows '│DEADLOCK: seat 0 holds fork 0 and waits for fork 1;'
  shows '│/dinner-naive ' || fail "the top of the board has been pushed out of its pane"
  shows '│4   hungry +[0-9] meals? +holds 4 +waits for 0' || fail "a line of the board does not fit"
  wait_for 5 "the narrator" shows 'DEADLOCK\. All hold'
  wait_for 40 "its end" shows '^status: 0'
  screen kill-server
  assert_nothing_left
}

@test "dinner takes a place for its picture, overwrites one of its own, and nothing else" {
  printf 'my notes\n' >notes
  ln -s notes dinner-table.svg
  run -125 env STAGE=plain dinner 2 table </dev/null
  assert_output --partial 'is no picture of a dinner'
  run -125 env STAGE=plain DINNER_SVG=notes dinner 2 </dev/null
  assert_output --partial 'notes is there already'
  assert_equal "$(<notes)" 'my notes'
  run -125 env STAGE=plain DINNER_SVG=nowhere/picture.svg dinner 2 </dev/null
  assert_output --partial 'cannot be written'
  run -0 env STAGE=plain DINNER_MEALS=1 DINNER_SVG="a picture.svg" dinner 2 table </dev/null
  assert_picture 'a picture.svg' 2
  run -0 env STAGE=plain DINNER_MEALS=1 DINNER_SVG="a picture.svg" dinner 3 table </dev/null
  assert_picture 'a picture.svg' 3
}

@test "dinner refuses what it does not understand" {
  local arguments
  for arguments in 1 17 five '5 fast' '5 fair 6' '-1' '""' '5 ""'; do
    eval "run -125 dinner $arguments"
    assert_output --regexp '^dinner: .*(not: |too much: )'
  done
  DINNER_MEALS=0 run -125 dinner
  assert_output --partial 'DINNER_MEALS'
  run -0 dinner --help
  assert_output --partial 'Usage: dinner [N] [RULE]'
  run -0 ls -A
  assert_output ''
}

@test "dinner fails, and leaves nothing, if somebody does not eat" {
  mkdir -p "$BATS_TEST_TMPDIR/tree/build"
  cp -r "$BATS_TEST_DIRNAME/../scripts" "$BATS_TEST_TMPDIR/tree"
  cp -r "$BIN" "$BATS_TEST_TMPDIR/tree/build/bin"
  # Seat 1 leaves without a meal.
  # shellcheck disable=SC2016 # for the script
  printf '%s\n' '#!/bin/sh' 'case "$*" in *"--seat 1"*) exec "$REAL" "$@" --meals 0 ;; esac' 'exec "$REAL" "$@"' \
    >"$BATS_TEST_TMPDIR/tree/build/bin/philosopher"
  run -1 env REAL="$BIN/philosopher" STAGE=plain "$BATS_TEST_TMPDIR/tree/scripts/dinner" 3 </dev/null
  assert_line --partial 'NOT as told: each has eaten 2 times'
  assert_line --regexp 'It did not go as told\.$'
  assert_nothing_left
}

@test "dinner leaves nothing, also no picture, when it is interrupted" {
  DINNER_MEALS=16 start dinner env STAGE=plain TMPDIR="$TMPDIR" dinner
  wait_for 20 "a meal" grep -q 'eating  meal 1' "$(out dinner)"
  signal TERM dinner
  finish dinner
  assert_failure 143
  run -0 ls -A
  assert_output ''
  assert_nothing_left
}
