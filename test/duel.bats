# The duel: players in panes of a real tmux, whose keys are pressed; and the story that plays by itself.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
load helpers

setup() {
  test_setup
  export TMPDIR=$BATS_TEST_TMPDIR/temporary LC_ALL=C.UTF-8
  mkdir "$TMPDIR"
  # Letters come soon, and stay long: what is quick is so on a slow machine as well.
  export ZK_SESSION_TIMEOUT=2s DUEL_SEED=1 DUEL_TARGETS=3 DUEL_PACE=25 DUEL_PAUSE=0.2
}

teardown() {
  screen kill-server 2>/dev/null
  test_teardown
}

# --- panes ---

screen() { tmux -u -S "$BATS_TEST_TMPDIR/screen" "$@"; }

terminal() { # NAME COMMAND: in a terminal of that name, whose shell survives Ctrl-C
  (launch tmux -u -S "$BATS_TEST_TMPDIR/screen" -f /dev/null new-session -d -s "$1" -x 60 -y 16 "trap : INT; $2; exec sleep 1000") \
    </dev/null >/dev/null 2>&1
}

come() { # NAME [VARIABLE=VALUE...]: a player comes; when it has gone, its terminal says how, and whether it is as it was
  terminal "$1" "modes=\$(stty -g); ${*:2} duel-player $1; echo \"status: \$?\"; [ \"\$modes\" = \"\$(stty -g)\" ] && echo sane"
}

picture() { screen capture-pane -p -t "$1"; }

shows() { picture "$1" | grep -qE -- "$2"; } # NAME PATTERN

see() { # NAME PATTERN [SECONDS]
  wait_for "${3:-8}" "$1 to see $2" shows "$1" "$2" || {
    picture "$1"
    return 1
  }
}

keys() { screen send-keys -t "$1" "${@:2}"; } # NAME KEY...

both_begin() {
  come ana "$@"
  see ana 'Waiting for somebody'
  come bob "$@"
  see ana 'Duel 1: ana'
  see bob 'Duel 1: bob'
}

hit() { # NAME [POINTS]: answers the next letter
  see "$1" 'Press [a-z]'
  keys "$1" "$(letter "$1")"
  see "$1" "Hit: \+${2:-3}"
}

letter() { picture "$1" | sed -n 's/^ Press //p'; }

miss() { # NAME: answers the next letter by another of the same hand
  see "$1" 'Press [a-z]'
  case $(letter "$1") in [sdfgert]) keys "$1" c ;; c) keys "$1" s ;; p) keys "$1" h ;; *) keys "$1" p ;; esac
  see "$1" 'Wrong: -1'
}

leave() { keys "$1" C-c; }

table() { picture "$1" | sed -n '/^Duel [0-9]* .*points/,/^$/p'; }

# DUEL TEXT: both have the same table, and it says that
both_see() {
  see ana "^Duel $1 .*points"
  see ana 'Again\?'
  see bob 'Again\?'
  assert_equal "$(table bob)" "$(table ana)"
  run table ana
  assert_output --partial "$2"
}

gone() { # NAME STATUS: it has ended like that, and its terminal is sane
  see "$1" "^status: $2\$"
  see "$1" '^sane$'
  assert_equal "$(screen display -p -t "$1" '#{cursor_flag}')" 1
}

both_end() {
  keys ana n
  keys bob n
  gone ana 0
  gone bob 0
}

barrier_pid() { zk-barrier --list --json /duel/arena | sed -nE 's/.*\{"id":"'"$1"'",[^}]*"pid":([0-9]+).*/\1/p'; }

kill_barrier() {
  allow_lingering
  kill -KILL "$(barrier_pid "$1")"
}

# --- the game ---

@test "a player waits for another one; then the game begins for both" {
  come ana
  see ana 'Waiting for somebody'
  wait_for 5 "ana in line" ephemerals_are 1 /duel
  run ! shows ana 'Duel 1'
  come bob
  see ana 'Duel 1: ana 0 : 0 bob'
  see bob 'Duel 1: bob 0 : 0 ana'
  see ana 'Your keys \(left hand\)'
  see bob 'Your keys \(right hand\)'
  run -0 zk-node get /duel/score/1/ana
  assert_output 'playing 0 0 0'
  leave ana
  leave bob
  both_see 1 'A draw.'
  both_end
}

@test "keys score: a hit, a wrong key, an early key; but not those of the other hand" {
  both_begin DUEL_TARGETS=4
  hit ana
  see bob 'Press'
  keys bob s d f Space Enter Escape x 9
  hit bob
  see ana '(Duel 1: ana 3 : [03] bob)'
  miss ana
  see ana 'Duel 1: ana 2 : 3 bob'
  hit ana
  hit ana
  see ana 'That was the last one'
  keys ana s d f # nothing is lost any more
  see ana 'Duel 1: ana 8 : '
  leave ana
  see ana 'Waiting for bob'
  leave bob
  both_see 1 'ana                   8      3      1'
  both_see 1 'bob                   3      1      0'
  both_end
}

@test "an early key costs one point, a letter that nobody answers none" {
  both_begin DUEL_PACE=0.5 DUEL_PAUSE=4
  keys ana s
  see ana 'Too early: -1'
  see ana 'Too late'
  leave ana
  leave bob
  both_see 1 'ana                  -1      0      1'
  both_end
}

@test "a later hit is worth less" {
  both_begin DUEL_PACE=3
  see ana 'Press'
  run ! await 2.2 shows ana 'Too late'
  hit ana 1
  leave ana
  leave bob
  both_see 1 'The winner is ana.'
  both_end
}

@test "for both the letters are the same ones, and other ones in each duel" {
  left=sdfgertc right=hjkluiop
  place() { # LETTER KEYS
    local before=${2%%"$1"*}
    printf '%s\n' "${#before}"
  }
  unset DUEL_SEED
  both_begin
  local turn
  for turn in 1 2 3; do
    see ana 'Press'
    see bob 'Press'
    shows ana "Letter $turn of 3"
    assert_equal "$(place "$(letter ana)" "$left")" "$(place "$(letter bob)" "$right")"
    hit ana
    hit bob
  done
  leave ana
  leave bob
  both_see 1 'A draw.'
  both_end
}

@test "Ctrl-C leaves and waits for the other; both see the same score, with the winner" {
  both_begin
  hit bob
  leave ana
  see ana 'Waiting for bob to finish'
  run -0 zk-node get /duel/score/1/ana
  assert_output 'left 0 0 0'
  hit bob # who plays on, alone
  run ! shows ana 'points'
  leave bob
  both_see 1 'The winner is bob.'
  both_see 1 'bob                   6      2      0'
  both_end
}

@test "equal points are a draw" {
  both_begin
  hit ana
  hit bob
  leave bob
  see bob 'Waiting for ana to finish'
  leave ana
  both_see 1 'A draw.'
  both_end
}

@test "they play again at once, and each duel has its score" {
  both_begin
  hit ana
  leave ana
  leave bob
  both_see 1 'The winner is ana.'
  keys ana x y
  see ana 'Waiting for somebody'
  keys bob Y
  see ana 'Duel 2: ana 0 : 0 bob'
  see bob 'Duel 2: bob 0 : 0 ana'
  hit bob
  leave ana
  leave bob
  both_see 2 'The winner is bob.'
  both_end
  run -0 zk-node get /duel/score/1/ana
  assert_output 'left 3 1 0'
  run -0 zk-node get /duel/score/2/bob
  assert_output 'left 3 1 0'
}

# --- who does not play to the end ---

@test "a player whose zk-barrier is killed forfeits, and the other is told" {
  both_begin
  hit bob
  kill_barrier bob
  gone bob 137
  shows bob 'You were killed: you forfeit'
  see ana 'bob has died, and forfeits'
  see ana 'bob             forfeit      1      0'
  see ana 'The winner is ana.'
  run -0 zk-node get /duel/score/1/bob
  assert_output 'forfeit 3 1 0'
  see ana 'Again\?'
  keys ana n
  gone ana 0
}

@test "a player who is killed after the other has left forfeits as well" {
  both_begin
  leave ana
  see ana 'Waiting for bob to finish'
  kill_barrier bob
  see ana 'bob has died, and forfeits'
  see ana 'The winner is ana.'
  see ana 'Again\?'
  keys ana n
  gone ana 0
}

@test "a player whose terminal goes away forfeits" {
  both_begin
  hit bob
  screen kill-session -t bob
  see ana 'Duel 1'
  leave ana
  see ana 'bob             forfeit      1      0'
  see ana 'The winner is ana.'
  see ana 'Again\?'
  keys ana n
  gone ana 0
}

@test "a player whose game is killed forfeits, and both see it" {
  both_begin
  kill -KILL "$(pgrep -f 'duel-player bob /duel/arena /duel/score' | while read -r pid; do
    if tr '\0' '\n' <"/proc/$pid/environ" | grep -qxF "ZKUTILS_TEST=$ZKUTILS_TEST"; then echo "$pid"; fi
  done | head -1)"
  see bob 'Waiting for ana'
  leave ana
  both_see 1 'bob             forfeit      0      0'
  both_see 1 'The winner is ana.'
  both_end
}

@test "a player who loses ZooKeeper forfeits, and the game is taken from the screen" {
  proxy_start
  come ana
  see ana 'Waiting for somebody'
  come bob "ZK_HOSTS=$PROXY$CHROOT"
  see bob 'Duel 1: bob'
  hit bob
  proxy_mode drop
  see ana 'bob has died, and forfeits' 10
  see ana 'bob             forfeit      1      0'
  gone bob 120
  shows bob 'you forfeit the duel'
  proxy_mode pass
  see ana 'Again\?'
  keys ana n
  gone ana 0
  run -0 zk-node get /duel/score/1/bob
  assert_output 'forfeit 3 1 0'
}

@test "a game that is not inside of the barrier writes no score" {
  come ana
  see ana 'Waiting for somebody'
  ZK_BARRIER_GENERATION=1 ZK_BARRIER_RANK=0 ZK_BARRIER_MEMBERS='bob ana' \
    run -1 env ZK_BARRIER_NODE=/duel/arena/here-bob@2#0000000009 duel-player --game bob /duel/arena /duel/score </dev/null
  assert_output 'The score cannot be written: there is no duel without.'
  run -1 zk-node get /duel/score/1/bob
  leave ana
  gone ana 130
}

@test "a score that is none counts as none, whatever another has written" {
  both_begin
  hit ana
  zk-node set /duel/score/1/bob "left a[\$(touch $BATS_TEST_TMPDIR/harm)] 1 1" >/dev/null
  hit ana
  see ana 'Duel 1: ana 6 : 0 bob'
  leave ana
  see ana 'Waiting for bob'
  keys bob C-c
  see bob 'Again'
  zk-node set /duel/score/1/ana $'left 08 \e[2J 1' >/dev/null
  keys ana y
  keys bob y
  see ana 'Duel 2: ana 0 : 0 bob'
  see bob 'Duel 2: bob 0 : 0 ana'
  zk-node set /duel/score/2/bob $'left 9999999999999999999 1 1' >/dev/null
  hit ana
  see ana 'Duel 2: ana 3 : 0 bob'
  leave ana
  leave bob
  both_see 2 'The winner is ana.'
  both_end
  assert_not_exist "$BATS_TEST_TMPDIR/harm"
}

@test "who does not want to wait goes by Ctrl-C, before the duel and behind it" {
  come ana
  see ana 'Waiting for somebody'
  leave ana
  gone ana 130
  shows ana 'You did not wait. Goodbye, ana'
  wait_for 5 "nothing of ana" ephemerals_are 0 /duel
  screen kill-server
  both_begin
  leave bob
  see bob 'Waiting for ana'
  leave bob
  gone bob 130
  shows bob 'You did not wait for the score'
  leave ana # who sees the score all the same
  see ana 'A draw.'
  keys ana C-c
  gone ana 0
}

@test "a third player is told that the duel is full, and plays in the next" {
  both_begin
  come cem
  see cem 'The duel is full: ana and bob are in it'
  see cem 'You may wait for the next one'
  run ! shows cem 'Duel'
  leave ana
  leave bob
  both_see 1 'A draw.'
  keys bob n
  gone bob 0
  keys ana y
  see ana 'Duel 2: ana'
  see cem 'Duel 2: cem 0 : 0 ana'
  hit cem
  leave cem
  see cem 'Waiting for ana to finish'
  leave ana
  see ana 'The winner is cem.'
  see cem 'The winner is cem.'
  assert_equal "$(table cem)" "$(table ana)"
  see ana 'Again\?'
  keys ana n
  keys cem n
  gone ana 0
  gone cem 0
}

@test "a third player who does not want to wait goes, and takes nothing along" {
  both_begin
  come cem
  see cem 'The duel is full'
  leave cem
  gone cem 130
  hit ana
  leave ana
  leave bob
  both_see 1 'The winner is ana.'
  both_end
}

@test "a player ends on TERM, and leaves its game in good order" {
  both_begin
  kill -TERM "$(ps -o ppid= -p "$(barrier_pid ana)")"
  see ana 'Waiting for bob to finish'
  leave bob
  both_see 1 'A draw.'
  both_end
}

@test "duel-player refuses wrong names, paths and doubles with a sentence" {
  run -125 duel-player 'a b'
  assert_output --partial 'a NAME has'
  run -125 duel-player ana duel
  assert_output --partial 'a PATH has'
  run -125 duel-player
  assert_output --partial 'Usage: duel-player NAME'
  run -0 duel-player --help
  come ana
  see ana 'Waiting for somebody'
  run -125 duel-player ana </dev/null
  assert_output --partial 'ana'
  leave ana
  gone ana 130
}

# --- the stage and the story ---

assert_nothing_left() {
  run -0 ls -A "$TMPDIR"
  assert_output ''
}

@test "duel tells its story as text, and leaves nothing" {
  run -0 env STAGE=plain duel </dev/null
  assert_line --regexp 'bob +The game begins!'
  assert_line --regexp 'cem +The duel is full: ana and bob'
  assert_line --regexp 'ana +The winner is ana\.'
  assert_line --regexp 'bob +cem has died, and forfeits\.'
  assert_line --regexp 'It went as told\.$'
  assert_nothing_left
}

@test "duel fails, and leaves nothing, if the story goes otherwise" {
  mkdir -p "$BATS_TEST_TMPDIR/tree/build/bin"
  cp -r "$BATS_TEST_DIRNAME/../scripts" "$BATS_TEST_TMPDIR/tree"
  # A zk-node that makes up a score.
  printf '%s\n' '#!/bin/sh' 'case $* in "get /duel/score/1/bob") echo "left 1 1 1" ;; *) exec "$REAL" "$@" ;; esac' \
    >"$BATS_TEST_TMPDIR/tree/build/bin/zk-node"
  chmod +x "$BATS_TEST_TMPDIR/tree/build/bin/zk-node"
  run -1 env REAL="$BIN/zk-node" STAGE=plain "$BATS_TEST_TMPDIR/tree/scripts/duel" </dev/null
  assert_line --partial 'NOT as told: the first duel is on record'
  assert_nothing_left
}

both_are_asked() { [[ $(picture stage | grep -oE 'A draw\.|Again\?' | sort | uniq -c | tr -s ' \n' ' ') == ' 2 A draw. 2 Again? ' ]]; }

@test "duel opens a stage: two players, one keyboard, and the live tree" {
  terminal stage 'tmux set -g status off; duel; echo "status: $?"'
  screen resize-window -t stage -x 120 -y 34
  see stage 'Duel 1: ana 0 : 0 bob .*Duel 1: bob 0 : 0 ana' 15
  see stage '─ ana  "playing 0 0 0"'
  see stage 'Press [a-z] .*Press [a-z]'
  local both
  both=$(picture stage | sed -nE 's/^ Press (.).*Press (.).*/\1 \2/p')
  keys stage "${both% *}" # the letters of both, at one keyboard
  see stage 'Hit: \+3 .*Press'
  keys stage "${both#* }"
  see stage 'Duel 1: ana 3 : [0-3] bob .*Duel 1: bob 3 : '
  see stage '"playing 3 1 0"'
  keys stage C-c # for ana alone
  see stage 'Waiting for bob to finish'
  shows stage 'Duel 1: bob 3'
  keys stage Tab
  keys stage C-c
  wait_for 8 "both to see the score" both_are_asked
  keys stage n
  see stage '^status: 0' 10
  shows stage 'ana  "left 3 1 0"'
  assert_nothing_left
}
