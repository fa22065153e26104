# tpc-participant on a healthy server: what it prints, how it votes, its directory, its disk, its port, and how it catches
# up. What happens when things break has a file of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
load helpers
load registers

# TEXT ARGUMENT...: tpc-participant refuses the arguments, and says TEXT to that
refuses() {
  run -125 --separate-stderr timeout --foreground -s KILL 20 tpc-participant "${@:2}"
  assert_output ''
  assert_stderr --partial "$1"
}

# TEXT ID OPTION...: the replica ends by itself, and says TEXT to that
is_refused() {
  replica "${@:2}"
  fails "$2" "$1"
}

fails() { # ID TEXT
  finish "$1"
  assert_failure 125
  assert_stderr --partial "$2"
}

# ID [TRANSACTION]: what happened to it, a word each
events() { awk -v id="${2:-[0-9]+-[0-9]+}" '$2 ~ "^" id "$" { print $3 }' "$(out "$1")" | paste -s -d ' '; }

log_of() { printf '%s\n' "$1.d"/log-*; }

size_of() { stat -c %s "$(log_of "$1")"; }

# So big that the log is larger than anything else that a replica writes.
large() { head -c "$1" /dev/zero | tr '\0' x; }

# --- the command line ---

@test "tpc-participant refuses what makes no sense, with the reason, and leaves nothing" {
  refuses '--id is missing' /r --data d
  refuses '--data is missing' /r --id a
  refuses 'REGISTER' --id a --data d
  refuses 'path' relative --id a --data d
  refuses '--id' /r --id a/b --data d
  refuses '--id' /r --id .. --data d
  refuses "--vote 'maybe': say commit, abort, random, random:P, ask or command" /r --id a --data d --vote maybe
  local vote
  for vote in random: random:x random:1.1 random:-0.1 random:nan random:0.5x; do
    refuses "--vote $vote: the probability of a yes is between 0 and 1" /r --id a --data d --vote "$vote"
  done
  refuses '--vote command needs --vote-command' /r --id a --data d --vote command
  refuses '--vote-command goes with --vote command' /r --id a --data d --vote abort --vote-command true
  refuses '--seed' /r --id a --data d --seed x
  refuses '--vote-timeout' /r --id a --data d --vote-command true --vote-timeout soon
  refuses "--fail-at has no point 'somewhere'; there are before-vote, after-prepare, after-vote, before-apply, after-apply, before-ack" \
    /r --id a --data d --fail-at somewhere
  refuses '--fail-at after-vote:explode: say kill or pause' /r --id a --data d --fail-at after-vote:explode
  refuses '--fail-at' /r --id a --data d --fail-at after-begin
  refute [ -e d ]
  run ! zk exists /r
}

@test "tpc-participant refuses a --listen that is none, and leaves nothing" {
  local listen
  for listen in x localhost:1 127.0.0.1 127.0.0.1:65536 127.0.0.1:x :1; do
    refuses '--listen' /r --id a --data d --listen "$listen"
  done
  refute [ -e d ]
  run ! zk exists /r
}

@test "tpc-participant refuses a node that is no register, and leaves it as it is" {
  zk create /r 'the settings of somebody'
  is_refused '/r is there, but is not a register: the settings of somebody' a
  assert_equal "$(zk get /r)" 'the settings of somebody'
  assert_equal "$(zk children /r)" ''
  refute [ -e a.d ]
}

@test "tpc-participant says that it may not make a register where it has no permission" {
  zk create /p --acl world:anyone:r
  refuses 'not authorised' /p/r --id a --data d
}

@test "tpc-participant makes the register, and the folders above it" {
  start a tpc-participant /some/where/r --id a --data d
  wait_alive a
  run -0 zk children /some/where/r
  assert_output $'alive\ncoordinators\nlog\nmembers\ntx'
  assert_equal "$(zk children /some/where/r/members)" a
  leave a
}

# --- what it tells ---

@test "tpc-participant tells of a commit and an abort in lines, in the order in which they happen" {
  replicas a b
  committed x=1
  leave a
  aborted 'x is 1, not 2' --quorum 1 set x=3 if x=2
  wait_told b '^..:..:..\.... +2-1  decision  abort$'
  leave b
  run -0 cut -d ' ' -f 3- b.out
  assert_output 'b  alive  version 0
1-1  begin  set x=1  asked: a and b
1-1  prepared
1-1  vote  yes
1-1  decision  commit, version 1
1-1  applied  version 1
1-1  acknowledged  version 1
2-1  begin  set x=3 if x=2  asked: b
2-1  vote  no: x is 1, not 2
2-1  decision  abort'
  run -0 grep -vEc '^[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9]{3}  ' b.out || assert_output 0
}

@test "tpc-participant --json tells the same for programs" {
  replica a --json
  wait_alive a
  committed x=1 y=$'two\nlines'
  aborted '' delete x if-missing x
  wait_told a '"decision":"abort"'
  leave a
  run -0 json '(member, event, record.get("transaction"), record.get("vote"), record.get("decision"), record.get("version"), record.get("text"))' <a.out
  assert_output "('a', 'alive', None, None, None, None, None)
('a', 'begin', '1-1', None, None, None, None)
('a', 'prepared', '1-1', None, None, None, None)
('a', 'vote', '1-1', 'yes', None, None, None)
('a', 'decision', '1-1', None, 'commit', 1, None)
('a', 'applied', '1-1', None, None, 1, None)
('a', 'acknowledged', '1-1', None, None, 1, None)
('a', 'begin', '2-1', None, None, None, None)
('a', 'vote', '2-1', 'no', None, None, 'x exists: 1')
('a', 'decision', '2-1', None, 'abort', None, None)"
  run -0 json '(roster, changes, conditions)' < <(grep '"begin"' a.out)
  assert_output "(['a'], [{'key': 'x', 'value': '1'}, {'key': 'y', 'value': 'two\\nlines'}], [])
(['a'], [{'key': 'x', 'value': None}], [{'key': 'x', 'value': None}])"
  run -0 json time <a.out
  local time
  for time in "${lines[@]}"; do assert_regex "$time" "^$(date -u +%Y)-..-..T[0-9:]{8}\\.[0-9]{3}Z\$"; done
}

@test "tpc-participant says on standard error only who it is, and that with --verbose" {
  replica a
  wait_alive a
  leave a
  assert_stderr ''
  replica a --verbose
  wait_alive a
  leave a
  assert_stderr --regexp 'replica a of /r, version 0, listens on 127\.0\.0\.1:[0-9]+'
}

@test "tpc-participant ends with status 0 at TERM and at INT, and is away at once" {
  replicas a b
  leave a
  assert is_away a
  signal INT b
  finish b
  assert_success
  assert is_away b
}

@test "tpc-participant does not care whether anybody reads what it prints" {
  mkfifo pipe
  exec {keep}<>pipe
  head -c 65536 /dev/zero >pipe # no more fits in
  start full sh -c 'exec tpc-participant /r --id full --data full.d >pipe'
  start gone sh -c 'tpc-participant /r --id gone --data gone.d | head -n 1'
  start device sh -c 'exec tpc-participant /r --id device --data device.d >/dev/full'
  wait_status 'sum(member["alive"] for member in members) == 3'
  committed x=1
  committed x=2
  cat pipe >heard &
  local reader=$!
  committed x=3
  wait_for 10 "the rest to be said" grep -aq '3-1  acknowledged' heard
  kill "$reader"
  exec {keep}>&-
  leave full
  assert_equal "$(tr -d '\0' <heard | cut -d ' ' -f 3- | grep -v '[23]-1')" 'full  alive  version 0
1-1  begin  set x=1  asked: device, full and gone
1-1  prepared
1-1  vote  yes
1-1  decision  commit, version 1
1-1  applied  version 1
1-1  acknowledged  version 1'
  leave device
  pkill -TERM -P "$(pid_of gone)" -x tpc-participant
  finish gone
  assert_success
}

# --- how it votes ---

@test "tpc-participant --vote abort always says no, and the coordinator says who" {
  replica a
  replica b --vote abort
  wait_alive a b
  aborted 'b: votes abort, always' set x=1
  wait_told b '  decision  abort'
  assert_equal "$(events b)" 'begin vote decision'
  assert_equal "$(dump)" ''
  wait_nothing_left
}

@test "tpc-participant says no before it asks its policy when a condition does not hold" {
  replica a --vote-command 'touch asked'
  wait_alive a
  aborted 'x does not exist' set x=1 if x=2
  refute [ -e asked ]
  committed x=1
  assert [ -e asked ]
}

@test "tpc-participant --vote random says the same again with the same --seed" {
  local n flips='' id
  for n in {1..24}; do flips+="set k=$n"$'\n'; done
  for id in a b; do
    start "$id" tpc-participant "/$id" --id "$id" --data "$id.d" --vote random --seed 7
    wait_alive "$id"
    run -0 tpc-coordinator "/$id" run <<<"$flips"
    cut -d ' ' -f 1 <<<"$output" >"$id.votes"
    assert_equal "${#lines[@]}" 24
  done
  assert_files_equal a.votes b.votes
  run -0 sort -u a.votes
  assert_output $'aborted\ncommitted'
  leave a b
}

@test "tpc-participant --vote random:P says yes with that probability" {
  local n flips='' p
  for n in {1..100}; do flips+="set k$n=$n"$'\n'; done
  for p in 0 0.8 1; do
    start "p$p" tpc-participant "/r$p" --id a --data "$p.d" --vote "random:$p" --seed 1
    wait_alive "p$p"
    run -0 tpc-coordinator --parallel 32 "/r$p" run <<<"$flips"
    grep -c ^committed <<<"$output" >"$p.count" || true
    leave "p$p"
  done
  assert_equal "$(cat 0.count 1.count)" $'0\n100'
  assert [ "$(cat 0.8.count)" -gt 60 -a "$(cat 0.8.count)" -lt 95 ]
}

@test "tpc-participant --vote ask does what the person says, and asks again when that is neither" {
  by_hand a
  wait_alive a
  start c1 tpc-coordinator /r set x=1
  wait_told a '  1-1  ask  set x=1   commit\? \[y/n\] '
  say a y
  finish c1
  assert_success
  start c2 tpc-coordinator /r delete x if x=1
  wait_told a '  2-1  ask  delete x if x=1   commit\? \[y/n\] '
  say a perhaps
  wait_for 10 "it to ask again" asked_twice a 2-1
  assert running c2
  say a no
  finish c2
  assert_failure 1
  assert_output --partial 'a: no: said no'
  assert_equal "$(value_of x)" 1
}

asked_twice() { (($(grep -o " $2  ask  " "$(out "$1")" | wc -l) == 2)); } # ID TRANSACTION

@test "tpc-participant --vote ask says no when nobody is there any more, and that it is so" {
  by_hand a
  wait_alive a
  start c1 tpc-coordinator /r set x=1
  wait_asked a
  hang_up a
  finish c1
  assert_failure 1
  assert_output --partial 'a: no: nobody is there to be asked'
  aborted 'nobody is there to be asked' set x=2
}

@test "tpc-participant --vote ask withdraws a question that somebody else has decided" {
  by_hand a
  replica b --vote-command 'until test -e go; do sleep 0.02; done; test -e yes'
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_asked a
  touch go
  finish c1
  assert_failure 1
  wait_told a '^..:..:..\....  1-1  decision  abort$' # on a line of its own
  touch yes
  start c2 tpc-coordinator /r set x=2
  wait_asked a 2
  say a yes
  finish c2
  assert_success
  assert_equal "$(value_of x)" 2
}

@test "tpc-participant --vote ask puts one question after the other" {
  by_hand a
  wait_alive a
  start both tpc-coordinator --parallel 2 /r run
  start c1 tpc-coordinator /r set x=1
  wait_asked a
  start c2 tpc-coordinator /r set y=1
  wait_told a ' begin  set y=1'
  assert has_asked a 1
  run ! has_asked a 2
  say a y
  wait_asked a 2
  say a n
  finish c1
  assert_success
  finish c2
  assert_failure 1
  finish both
  assert_success
}

@test "tpc-participant --vote ask --json asks in JSON" {
  by_hand a --json
  wait_alive a
  start c1 tpc-coordinator /r set x=1
  wait_asked a
  assert_equal "$(grep '"ask"' a.out | json '(event, transaction, what)')" "('ask', '1-1', 'set x=1')"
  say a y
  finish c1
  assert_success
}

@test "tpc-participant --vote ask works at a terminal, and Ctrl-C ends it while it asks" {
  screen -f /dev/null new-session -d -x 100 -y 20 "tpc-participant /r --id a --data a.d --vote ask; echo status: \$?; exec cat" 3>&-
  wait_for 10 "it to be alive" shows '  a  alive'
  start c1 tpc-coordinator /r set x=1
  wait_for 10 "the question" shows 'ask  set x=1   commit\? \[y/n\]'
  screen send-keys y Enter
  finish c1
  assert_success
  start c2 tpc-coordinator /r set x=2
  wait_for 10 "the question" shows 'ask  set x=2   commit\? \[y/n\]'
  screen send-keys C-c
  wait_for 10 "its end" shows 'status: 0$'
  finish c2
  assert_failure 1
  assert_output --partial 'a died before its vote'
  screen kill-server
}

@test "tpc-participant --vote ask at a terminal takes no answer that was typed before the question was there" {
  screen -f /dev/null new-session -d -x 100 -y 20 "tpc-participant /r --id a --data a.d --vote ask" 3>&-
  wait_for 10 "it to be alive" shows '  a  alive'
  screen send-keys y Enter # to one that was withdrawn while it was typed, say
  wait_for 10 "that to be typed" shows '^y$'
  start c1 tpc-coordinator /r set x=1
  wait_for 10 "the question" shows 'ask  set x=1   commit\? \[y/n\]'
  screen send-keys n Enter
  finish c1
  assert_failure 1
  assert_output --partial 'a: no: said no'
  screen kill-server
}

screen() { tmux -u -S "$BATS_TEST_TMPDIR/screen" "$@"; }

shows() { screen capture-pane -p | grep -qE -- "$1"; } # PATTERN: does the screen?

@test "tpc-participant --vote-command gets the transaction, and votes with its status" {
  replica a --vote-command 'cat >given; echo "$ZK_TRANSACTION" >which; exit "$(cat status)"'
  wait_alive a
  echo 0 >status
  committed x=1 y=$'a\nb'
  assert_equal "$(<which)" 1-1
  run -0 json '(transaction, member, roster, changes, conditions)' <given
  assert_output "('1-1', 'a', ['a'], [{'key': 'x', 'value': '1'}, {'key': 'y', 'value': 'a\\nb'}], [])"
  echo 3 >status
  aborted 'a: the command said no, with status 3' set x=2
}

@test "tpc-participant --vote-command that is not there or is killed is a no" {
  replica a --vote-command '/no/such/command'
  wait_alive a
  aborted 'status 127' set x=1
  leave a
  replica a --vote-command 'kill -9 $$'
  wait_alive a
  aborted 'the command was ended by a signal' set x=1
}

@test "tpc-participant --vote-command takes no longer than --vote-timeout, and leaves nothing running" {
  replica a --vote-command 'echo $$ >pid; exec sleep 1000' --vote-timeout 200ms
  wait_alive a
  aborted 'took longer than 200ms' set x=1
  assert dead "$(<pid)"
}

@test "tpc-participant that is ended ends the command that votes" {
  replica a --vote-command 'echo $$ >pid; exec sleep 1000'
  wait_alive a
  start c1 tpc-coordinator /r set x=1
  wait_for 10 "the command" test -s pid
  leave a
  assert dead "$(<pid)"
  finish c1
  assert_failure 1
}

@test "tpc-participant goes on with others' transactions while one is being thought about" {
  replica a --vote-command 'grep -q slow || exit 0; until test -e go; do sleep 0.02; done'
  wait_alive a
  start c1 tpc-coordinator /r set slow=1
  wait_told a '1-1  begin'
  zk create /elsewhere
  start b tpc-participant /other --id b --data b.d
  wait_alive b
  touch go
  finish c1
  assert_success
  committed quick=1
}

# --- after a commit ---

@test "tpc-participant --on-commit runs a command for each commit, one by one, in order, and for no abort" {
  replica a --on-commit 'test ! -e running || touch together; touch running; cat >>given; echo "$ZK_TRANSACTION" >>which; rm running'
  wait_alive a
  local n
  run -0 coordinator --parallel 8 run < <(for n in {1..20}; do
    echo "set x=$n y$n=$n"
    echo "set x=$n if never=1"
  done)
  wait_for 10 "all to be run" all_given 20
  leave a
  refute [ -e together ]
  assert_equal "$(json version <given)" "$(seq 20)"
  assert_equal "$(json 'changes[0]["value"]' <given)" "$(seq 20)"
  assert_equal "$(json transaction <given)" "$(<which)"
}

all_given() { [[ -e given ]] && (($(wc -l <given) >= $1)) && [[ ! -e running ]]; } # N

@test "tpc-participant --on-commit that fails is told, and changes nothing" {
  replica a --on-commit 'exit 9'
  wait_alive a
  committed x=1
  wait_for 10 "the sentence" grep -q '1-1: --on-commit ended with status 9' a.err
  committed x=2
}

@test "tpc-participant --on-commit runs also for a commit that is applied after a restart" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_told a '1-1  vote  yes'
  kill_replicas a
  wait_asked b
  say b y
  finish c1
  replica a --on-commit 'cat >given'
  wait_told a '1-1  applied  version 1'
  wait_for 3 "the command" all_given 1
}

# --- its directory ---

@test "tpc-participant makes its directory for itself alone, and remembers what it holds" {
  umask 0
  replicas a
  assert_equal "$(stat -c '%a' a.d a.d/* | sort -u)" $'600\n700'
  committed x=1
  leave a
  replicas a
  assert told a '  a  alive  version 1$'
  assert_equal "$(value_of x)" 1
}

@test "tpc-participant refuses a directory that others may read, a symbolic link, a file, and somebody's files" {
  mkdir -m 750 a.d
  is_refused 'a.d is open to other users; chmod 700 it' a
  assert_equal "$(ls -A a.d)" ''
  mkdir -m 700 real
  ln -s real b.d
  is_refused 'b.d is a symbolic link' b
  touch c.d
  is_refused 'c.d is not a directory' c
  mkdir -m 700 d.d
  touch d.d/letter
  is_refused 'd.d holds other files (letter) and no store' d
  assert_equal "$(ls -A real d.d)" $'d.d:\nletter\n\nreal:'
  refuses 'is missing' /r --id e --data no/such
}

@test "tpc-participant refuses a file of its directory that others may read" {
  replicas a
  leave a
  chmod 644 "$(log_of a)"
  is_refused "$(log_of a) is open to other users; chmod 600 it" a
}

@test "tpc-participant refuses a directory of another register" {
  replicas a
  leave a
  start other tpc-participant /other --id a --data a.d
  fails other 'register'
  assert_stderr --partial 'a.d'
  run -0 zk children /other/members
  assert_output ''
  replicas a
}

@test "tpc-participant refuses the directory of another replica" {
  replicas a
  leave a
  start b tpc-participant /r --id b --data a.d
  fails b "a.d"
  assert_equal "$(zk children /r/members)" a
}

@test "tpc-participant refuses a directory that another process uses" {
  replicas a
  refuses 'a.d is in use by another process' /r --id a --data a.d
  committed x=1
}

@test "tpc-participant with a copy of the directory of one that runs waits, and is refused when that has gone on" {
  replicas a
  committed x=1
  cp -a a.d copy
  start copy tpc-participant /r --id a --data copy
  wait_told copy '  a  waiting  for the end of an earlier session of a$'
  committed x=2
  assert_equal "$(events copy)" ''
  leave a
  fails copy 'a has acknowledged version 2, but its directory holds version 1 only'
  run ! told copy '  alive  '
}

@test "tpc-participant refuses another directory for the same replica, until that is forgotten" {
  replicas a b
  committed x=1
  leave a
  mv a.d lost
  is_refused 'a is registered at /r with another directory' a
  assert_stderr --partial 'tpc-coordinator /r forget a'
  run -0 coordinator forget a
  replicas a
  assert_same_stores a b
  # And the other way round: the one that was lost is not that replica any more.
  leave a
  rm -r a.d
  mv lost a.d
  is_refused 'a is registered at /r with another directory' a
}

@test "tpc-participant refuses a second process of the same replica, which has another directory" {
  replicas a
  start other tpc-participant /r --id a --data other.d
  fails other 'a is registered at /r with another directory'
  committed x=1
}

@test "tpc-participant refuses an old copy of its directory, because it has acknowledged more" {
  replicas a b
  committed x=1
  leave a
  cp -a a.d backup
  replicas a
  committed x=2
  leave a
  rm -r a.d
  cp -a backup a.d
  is_refused 'a has acknowledged version 2, but its directory holds version 1 only' a
  assert_stderr --partial 'tpc-coordinator /r forget a'
  diff -r a.d backup
  # What it says is what helps.
  rm -r a.d
  run -0 coordinator forget a
  replicas a
  assert_same_stores a b
}

@test "tpc-participant drops what was not written to its end, says how much, and goes on" {
  replicas a
  committed x=1
  leave a
  local log size
  log=$(log_of a)
  size=$(size_of a)
  head -c 40 "$log" >beginning # of a record that is longer
  cat beginning >>"$log"
  replicas a
  leave a
  assert_stderr --partial 'a.d: the last record was not written to its end, and promised nothing; dropped 40 bytes'
  assert_equal "$(size_of a)" "$size"
  head -c 1000 /dev/zero >>"$log"
  replicas a
  committed x=2
  leave a
  assert_stderr --partial 'dropped 1000 bytes'
  replicas a
  assert_equal "$(value_of x)" 2
  leave a
  assert_stderr ''
}

@test "tpc-participant whose log has lost what it had acknowledged is refused" {
  replicas a b
  committed x=1
  committed x=2
  leave a
  truncate -s -3 "$(log_of a)"
  is_refused 'a has acknowledged version 2, but its directory holds version 1 only' a
}

@test "tpc-participant refuses a store with a flipped bit, says where, and guesses nothing" {
  replicas a
  committed x=1
  committed y=2
  leave a
  cp -a a.d good
  local log size at
  log=$(log_of a)
  size=$(size_of a)
  for at in 5 $((size / 3)) $((size / 2)) $((size - 60)); do
    rm -r a.d
    cp -a good a.d
    /usr/bin/python3 -c 'import sys
with open(sys.argv[1], "r+b") as file:
  file.seek(int(sys.argv[2]))
  byte = file.read(1)[0]
  file.seek(-1, 1)
  file.write(bytes([byte ^ 16]))' "$log" "$at"
    cp -a a.d flipped
    is_refused "$log is damaged at byte" a
    diff -r a.d flipped
    rm -r flipped
  done
}

# --- its disk ---

# That its own lines are no part of it, a limit is set when the log is larger than they are.
limit() { prlimit --pid "$(pid_of "$1")" --fsize="$2:unlimited"; } # ID BYTES

@test "tpc-participant whose disk is full before its vote says no with the reason, and yes when there is room again" {
  replicas a b
  committed "x=$(large 20000)"
  limit a "$(size_of a)"
  aborted 'a: a.d/log-0 cannot be written: File too large; make room' set y=1
  assert running a
  aborted 'make room' set z=1
  limit a unlimited
  committed y=2
  assert_same_stores a b
  wait_nothing_left
  leave a b
  replicas a b
  assert_same_stores a b
}

@test "tpc-participant on a file system that is full says no with the reason, and yes when there is room again" {
  requires_root 'a file system of its own'
  mkdir -m 700 small
  mount -t tmpfs -o size=256k,mode=700 tmpfs small 2>/dev/null || skip "file systems cannot be mounted here"
  rmdir a.d 2>/dev/null || true
  start a tpc-participant /r --id a --data small/a.d
  wait_alive a
  committed x=1
  head -c 1M /dev/zero >small/filler 2>/dev/null || true
  aborted 'No space left on device; make room' set "y=$(large 20000)"
  assert running a
  rm small/filler
  committed "y=$(large 20000)"
  leave a
}

teardown() {
  local verdict=0
  test_teardown || verdict=$?
  if mountpoint -q "$BATS_TEST_TMPDIR/small"; then umount -l "$BATS_TEST_TMPDIR/small"; fi
  return "$verdict"
}

@test "tpc-participant whose disk is full after its vote ends with a sentence, and finishes when there is room" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set "x=$(large 20000)"
  wait_told a '1-1  vote  yes'
  limit a "$(size_of a)"
  wait_asked b
  say b y
  fails a 'a.d/log-0 cannot be written: File too large; make room'
  assert_stderr --partial 'what was committed cannot be written. Its promises stand: make room, and start it again'
  finish c1
  assert_success
  assert_stderr --partial 'committed, and not acknowledged yet by a'
  assert status_shows 'transactions[0]["state"] == "committed" and transactions[0]["waits_for"] == ["a"]'
  replicas a
  wait_nothing_left
  assert_same_stores a b
}

@test "tpc-participant whose disk is still full when it is started again says so, and has lost nothing" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set "x=$(large 20000)"
  wait_told a '1-1  vote  yes'
  local size
  size=$(size_of a)
  limit a "$size"
  wait_asked b
  say b y
  fails a 'make room'
  start a prlimit --fsize="$size:unlimited" tpc-participant /r --id a --data a.d
  fails a 'make room'
  finish c1
  assert_success
  replicas a
  assert_same_stores a b
}

@test "tpc-participant whose disk fails votes nothing, writes nothing more, and says so" {
  replicas a b
  committed x=1
  leave a
  start a env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -f -o trace -e trace=fdatasync,fsync \
    -e inject=fdatasync:error=EIO tpc-participant /r --id a --data a.d
  wait_alive a
  run -1 coordinator set x=2
  refute_output --partial 'a: yes'
  fails a 'a.d/log-0 cannot be brought to the disk: Input/output error'
  run ! told a '  vote  '
  assert_equal "$(grep -c 'EIO' trace)" 1
  replicas a
  committed x=3
  assert_same_stores a b
}

@test "tpc-participant whose disk fails after its vote finishes when it is started again" {
  replicas a
  by_hand b
  wait_alive b
  leave a
  start a env ASAN_OPTIONS="${ASAN_OPTIONS:-}:detect_leaks=0" strace -f -o trace -e trace=fdatasync \
    -e inject=fdatasync:error=EIO:when=2+ tpc-participant /r --id a --data a.d
  wait_alive a
  start c1 tpc-coordinator /r set x=1
  wait_told a '1-1  vote  yes'
  wait_asked b
  say b y
  fails a 'cannot be brought to the disk: Input/output error'
  run ! told a '  applied  '
  finish c1
  assert_success
  replicas a
  wait_nothing_left
  assert_same_stores a b
}

# --- its port ---

free_port() { /usr/bin/python3 -c 'import socket
with socket.socket() as any:
  any.bind(("127.0.0.1", 0))
  print(any.getsockname()[1])'; }

@test "tpc-participant listens on the loopback alone, or where --listen says" {
  local port
  port=$(free_port)
  replica a
  replica b --listen "127.0.0.1:$port"
  wait_alive a b
  assert_regex "$(zk get /r/alive/a | json endpoint)" '^127\.0\.0\.1:[0-9]+$'
  assert_equal "$(zk get /r/alive/b | json endpoint)" "127.0.0.1:$port"
  committed x=1
  assert_same_stores a b
  # It comes back to the same port.
  leave b
  replica b --listen "127.0.0.1:$port"
  wait_alive b
  assert_same_stores a b
}

@test "tpc-participant refuses a port that is taken, and an address that is not this host's" {
  replicas a
  local endpoint
  endpoint=$(zk get /r/alive/a | json endpoint)
  is_refused 'the address is in use already' b --listen "$endpoint"
  assert_stderr --partial "$endpoint"
  is_refused 'this host has no such address' b --listen 192.0.2.1:0
}

@test "tpc-participant answers nothing to whoever does not know its key, and lets nobody wait for that" {
  replicas a
  committed secret=treasure
  local read='{"do":"read","keys":[],"at_least":0}' key=0123456789abcdef0123456789abcdef
  assert_equal "$(ask_replica a "$read" "$key")" nothing
  assert_equal "$(ask_replica a "$read" '')" nothing
  run -0 ask_replica a "$read"
  assert_output --partial treasure
  assert_equal "$(ask_replica a '{"do":"destroy","at_least":0}')" nothing
  assert_equal "$(ask_replica a 'no JSON')" nothing
  # Those who say something else, or nothing.
  start strangers /usr/bin/python3 -c 'import os, socket, sys, time
host, port = sys.argv[1].split(":")
for said in b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", bytes(64), b"\xff" * 64:
  with socket.create_connection((host, int(port)), 10) as stranger:
    stranger.sendall(said)
    stranger.settimeout(10)
    try: heard = stranger.recv(100)
    except ConnectionError: heard = b""
    assert heard == b"", heard
silent = [socket.create_connection((host, int(port)), 10) for _ in range(300)]
open("silent", "w")
while not os.path.exists("go"): time.sleep(0.02)' "$(zk get /r/alive/a | json endpoint)"
  wait_for 10 "300 that say nothing" test -e silent
  committed x=1
  assert_equal "$(value_of secret)" treasure
  touch go
  finish strangers
  assert_success
}

@test "tpc-participant does not tell its key to whoever looks at its processes" {
  replicas a
  local key
  key=$(zk get /r/alive/a | json key)
  assert_regex "$key" '^[0-9a-f]{32}$'
  run ! grep -aq "$key" "/proc/$(pid_of a)/cmdline" "/proc/$(pid_of a)/environ" a.out a.err
}

# --- values ---

@test "tpc-participant keeps values of any text, of many lines and of nearly 1 MB, over a restart" {
  replicas a b
  large 800000 | sed 's/^/set big=/' >line
  printf '\nset lines="one\\n\\ttwo\\n" empty="" "utf=äöü€😀 x=y" quote="\\"\\\\"\n' >>line
  run -0 coordinator run <line
  assert_output --regexp '^committed .* version 1
committed .* version 2$'
  leave a b
  replicas a b
  run -0 --separate-stderr coordinator --json get lines empty utf quote
  assert_equal "$(json '[what["value"] for key, what in sorted(values.items())]' <<<"$output")" \
    "['', 'one\\n\\ttwo\\n', '\"\\\\', 'äöü€😀 x=y']"
  assert_equal "$(value_of big | wc -c)" 800000
  assert_same_stores a b
}

# --- catching up ---

lines() { # FROM TO [WORD]...: transactions that set k<n> and last
  local n
  for ((n = $1; n <= $2; n++)); do printf 'set k%d=%d last=%d\n' "$n" "$n" "$n"; done
}

@test "tpc-participant that was away catches up from another before it is asked" {
  replicas a b c
  committed last=0
  leave c
  run -0 coordinator --parallel 32 run < <(lines 1 50)
  assert_equal "$(grep -c '^committed' <<<"$output")" 50
  wait_nothing_left
  replicas c
  run -0 cut -d ' ' -f 3- c.out
  assert_line --index 0 --regexp '^c  caught up  from [ab], version 51$'
  assert_line --index 1 'c  alive  version 51'
  committed last=51 'k51=51'
  assert_same_stores a b c
  assert_equal "$(store_of c | grep -o "'k[0-9]*'" | sort -u | wc -l)" 51
}

@test "tpc-participant that comes new to an old register gets everything, however much it is" {
  replicas a b
  # More than the others remember one by one.
  local n
  run -0 coordinator --parallel 4 run < <(for n in {1..20}; do
    printf 'set n%d=' "$n"
    large 800000
    printf '\n'
  done)
  assert_equal "$(grep -c '^committed' <<<"$output")" 20
  replicas c
  assert told c '  c  caught up  from [ab], version 20$'
  committed x=1
  leave a b
  assert_equal "$(coordinator --quorum 1 --json get n1 n20 x 2>/dev/null | json 'sorted((key, len(what["value"])) for key, what in values.items())')" \
    "[('n1', 800000), ('n20', 800000), ('x', 1)]"
  leave c
  replicas c
  assert told c '  c  alive  version 21$'
}

@test "tpc-participant that is behind and has nobody to ask waits, says so, and is not alive" {
  replicas a b
  committed x=1
  leave a
  run -0 coordinator --quorum 1 set x=2
  wait_nothing_left
  leave b
  replica a --json
  wait_told a '"member":"a","event":"waiting","text":"a replica with version 2; this one has 1"'
  assert is_away a
  run -125 --separate-stderr coordinator get x
  assert_stderr --partial 'nobody is alive at /r'
  aborted 'missing: a and b' set x=3
  replicas b
  wait_alive a
  assert told a '"member":"a","event":"caught up","version":2,"text":"b"'
  committed x=3
  assert_same_stores a b
}

@test "tpc-participant catches up from ZooKeeper with what is kept for it" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_told a '1-1  vote  yes'
  kill_replicas a
  wait_asked b
  say b y
  finish c1
  assert_success
  leave b
  replicas a
  assert_equal "$(events a)" 'decision applied acknowledged'
  assert_equal "$(value_of x)" 1
}

@test "tpc-participant serves what it has applied to others, and nothing that is not decided" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_told a '1-1  vote  yes'
  assert_equal "$(store_of a)" '(0, [])'
  wait_asked b
  say b y
  finish c1
  assert_success
  assert_equal "$(store_of a 1)" "(1, [('x', '1', 1)])"
}

@test "tpc-participant ends when its register is removed, and says so" {
  replicas a
  zk deleteall /r
  fails a '/r'
  assert_stderr --partial 'has vanished'
}

@test "tpc-participant ends when it is forgotten and another has taken its place" {
  replicas a b
  zk set /r/members/a '{"store":"another","version":0}'
  run -0 coordinator --quorum 1 set x=1
  fails a 'a is registered at /r with another directory'
}
