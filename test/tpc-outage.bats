# tpc-participant and tpc-coordinator when things break: who is killed or frozen, and where; the servers, the connections.
# Whatever happens, a transaction is done by all or by nobody, nothing that was told is taken back, and nobody waits for
# the dead for longer than their session.
# shellcheck disable=SC2016 # what stands in single quotes is for other shells, and for Python
# shellcheck disable=SC2030,SC2031 # each case is a subshell, and sets what it needs
load helpers
load registers

export ZK_SESSION=1 # seconds
short=(--session-timeout "${ZK_SESSION}s")
patience=$((ZK_SESSION + 4)) # the session timeout, and a generous while for a busy machine

# --- cases: many small tests at once, each with a register of its own ---

# FUNCTION: is called with the words of each line of standard input, four at the same time. Each has a folder and a
# chroot of its own, and leaves nothing behind.
each_case() {
  local words case failed='' running=() i=0
  allow_lingering # they are about crashes
  while read -r words; do
    case=$BATS_TEST_TMPDIR/case-$((++i))
    mkdir "$case"
    in_case "$case" "$1" "$words" >"$case/said" 2>&1 &
    running+=("$!:$i $words")
    if ((${#running[@]} >= 4)); then
      await_case || failed=yes
    fi
  done
  while ((${#running[@]} > 0)); do await_case || failed=yes; done
  [[ ! $failed ]]
}

await_case() { # the oldest
  local first=${running[0]}
  running=("${running[@]:1}")
  wait "${first%%:*}" && return
  first=${first#*:}
  printf '== %s ==\n' "${first#* }"
  cat "$BATS_TEST_TMPDIR/case-${first%% *}/said"
  return 1
}

in_case() ( # FOLDER FUNCTION WORDS
  trap - ERR
  trap end_case EXIT
  set -e
  BATS_TEST_TMPDIR=$1 ZKUTILS_TEST=$ZKUTILS_TEST-${1##*/} CHROOT=$CHROOT/${1##*/}
  export ZK_HOSTS=$SERVER$CHROOT
  cd "$1"
  # shellcheck disable=SC2086 # they are words
  "$2" $3
  completed=yes
)

end_case() {
  if [[ ! ${completed:-} ]]; then show_outputs; fi
  local pid
  for pid in $(marked_processes); do
    kill -KILL "$pid" 2>/dev/null && if [[ ${completed:-} ]]; then printf 'a process is left: %s\n' "$pid" && completed=''; fi
  done
  [[ ${completed:-} ]]
}

stopped() { grep -q '^State:.*T (stopped)' "/proc/$(pid_of "$1")/status"; }

wait_stopped() { wait_for 10 "$1 to freeze" stopped "$1"; }

is_free() { [[ ! $(zk children /r/tx) ]]; }

settled_in_time() { wait_for "$patience" "everything to be settled" is_free; }

# Whoever is undecided: neither committed nor gone.
decided() {
  local id
  for id in $(zk children /r/tx); do zk exists "/r/tx/$id/committed" || return; done
}

decided_in_time() { wait_for "$patience" "a decision" decided; }

# VALUE: what x is; it can be changed at once, on the condition that it is that
goes_on() {
  assert_equal "$(value_of x)" "$1"
  committed x=after if "x=$1"
}

# ID...: these have said the same of each transaction, and never two things of one
assert_agreement() {
  local id all=()
  for id; do all+=("$(out "$id")"); done
  run awk '$3 == "decision" { what = $4 == "commit," ? $4 " " $6 : $4
    if ($2 in said && said[$2] != what) { print $2, said[$2], what; exit 1 }
    said[$2] = what }' "${all[@]}"
  assert_success
}

all_is_well() { # after repair
  assert_same_stores a b c
  assert_agreement a b c
  wait_nothing_left
  leave a b c
}

# --- a coordinator at each point ---

begin_with_coordinator() { # POINT:HOW
  local id
  for id in a b c; do replica "$id" "${short[@]}"; done
  wait_alive a b c
  committed x=old
  start k tpc-coordinator "${short[@]}" --fail-at "$1" /r set x=new
}

# POINT OUTCOME
coordinator_killed() {
  begin_with_coordinator "$1:kill"
  finish k
  assert_failure 137
  settled_in_time
  if [[ $2 == any ]]; then goes_on "$(value_of x)"; else goes_on "$2"; fi
  all_is_well
}

# POINT OUTCOME THEN STATUS...
coordinator_frozen() {
  local value
  begin_with_coordinator "$1:pause"
  wait_stopped k
  settled_in_time
  value=$(value_of x)
  if [[ $2 != any ]]; then assert_equal "$value" "$2"; fi
  if [[ $3 == KILL ]]; then
    goes_on "$value"
    signal KILL k
    finish k
    assert_failure 137
  else
    committed x=later if "x=$value" # by another one, as if the first had never been
    signal CONT k
    finish k
    if [[ $value == new ]]; then assert_success; else assert_failure 1; fi
    goes_on later
  fi
  all_is_well
}

@test "tpc-coordinator killed at each point: the participants settle it within the session timeout, all the same" {
  each_case coordinator_killed <<'END'
after-begin any
before-decision new
after-decision new
before-cleanup new
END
}

@test "tpc-coordinator frozen at each point: the participants settle it; if it comes back it knows, and decides nothing twice" {
  each_case coordinator_frozen <<'END'
after-begin any CONT
after-begin any KILL
before-decision new CONT
before-decision new KILL
after-decision new CONT
after-decision new KILL
before-cleanup new CONT
before-cleanup new KILL
END
}

# --- a participant at each point ---

begin_with_participant() { # POINT:HOW
  replica a "${short[@]}"
  replica b "${short[@]}"
  replica c "${short[@]}"
  wait_alive a b c
  committed x=old
  leave c
  mv "$(out c)" c.before
  replica c "${short[@]}" --fail-at "$1"
  wait_alive c
  start k tpc-coordinator "${short[@]}" --timeout 20s /r set x=new
}

keep_words_of_c() { cat "$(out c)" >>c.before; }

# VALUE: what is there says what the coordinator has told
told_the_truth() {
  finish k 20
  if [[ $1 == old ]]; then
    assert_failure 1
    assert_output --regexp 'aborted  .*c died before its vote'
  else
    assert_success
  fi
  assert_equal "$(value_of x)" "$1"
}

c_comes_back() {
  keep_words_of_c
  replica c "${short[@]}"
  wait_alive c
}

with_all_words_of_c() {
  keep_words_of_c
  mv c.before "$(out c)"
  all_is_well
}

# POINT OUTCOME WHEN: it is started again at once, or when everything has gone on without it
participant_killed() {
  local value=$2
  begin_with_participant "$1:kill"
  wait_for 10 "the end of c" ended c
  reap c
  if [[ $3 == at-once ]]; then
    c_comes_back
    finish k 20
    if [[ $status == 1 ]]; then value=old; else assert_success && value=new; fi
    if [[ $2 == new ]]; then assert_equal "$value" new; fi
    goes_on "$value"
  else
    told_the_truth "$value"
    decided_in_time
    goes_on "$value"
    c_comes_back
  fi
  committed y=1
  with_all_words_of_c
}

# VERSION: c has come back and has it; on the way it may freeze again, at the same point
thawed() {
  signal CONT c
  (($(grep -c '  alive  ' "$(out c)") == 2)) && zk get /r/members/c | grep -q "\"version\":$1}"
}

# POINT OUTCOME THEN
participant_frozen() {
  begin_with_participant "$1:pause"
  wait_stopped c
  told_the_truth "$2" # when its session has ended
  decided_in_time
  goes_on "$2"
  if [[ $3 == KILL ]]; then
    signal KILL c
    finish c
    c_comes_back
  else
    wait_for 10 "c to be back" thawed "$(version)"
    assert_same_stores a b c # it is up to date
    is_away k
    leave c # as it would freeze again
    c_comes_back
  fi
  committed y=1
  with_all_words_of_c
}

@test "tpc-participant killed at each point: the others go on without it, and it agrees when it comes back later" {
  each_case participant_killed <<'END'
before-vote old later
after-prepare old later
after-vote new later
before-apply new later
after-apply new later
before-ack new later
END
}

@test "tpc-participant killed at each point and started again at once agrees with the others" {
  each_case participant_killed <<'END'
before-vote old at-once
after-prepare old at-once
after-vote new at-once
before-apply new at-once
after-apply new at-once
before-ack new at-once
END
}

@test "tpc-participant frozen at each point for longer than its session: the others go on, and it agrees when it goes on" {
  each_case participant_frozen <<'END'
before-vote old CONT
after-prepare old CONT
after-vote new CONT
before-apply new CONT
after-apply new CONT
before-ack new CONT
END
}

@test "tpc-participant frozen at each point and killed then: the others go on, and it agrees when it comes back" {
  each_case participant_frozen <<'END'
before-vote old KILL
after-prepare old KILL
after-vote new KILL
before-apply new KILL
after-apply new KILL
before-ack new KILL
END
}

# --- sessions and replies that are lost ---

@test "tpc-coordinator run whose session has expired answers also the lines that come while it gets another one" {
  proxy_start
  replicas a b c
  mkfifo lines
  start k sh -c 'exec tpc-coordinator --hosts "$0" --session-timeout 1s /r run --parallel 8 <lines' "$PROXY$CHROOT"
  exec {feed}>lines
  printf 'set x=1\n' >&"$feed"
  wait_for 5 "the first answer" grep -q committed "$(out k)"
  signal STOP k
  wait_for 5 "the end of its session" ephemerals_are 0 /r/coordinators
  proxy_mode delay:300
  signal CONT k
  wait_for 5 "its return" grep -q 'coming back' "$(err k)"
  printf 'set x=2\nset x=3\n' >&"$feed"
  exec {feed}>&-
  finish k 20
  assert_success
  assert_equal "$(grep -c committed "$(out k)")" 3
  leave a b c
}

swallowed() { (($(grep -c swallowed "$(proxy_log)") >= $1)); } # COUNT

goes_on_to_its_end() { # it may come to where it freezes more than once
  ended k || { signal CONT k && false; }
}

@test "tpc-participant whose vote is carried out and the reply lost does not vote a second time" {
  local seed
  replicas a b
  proxy_start
  for seed in 1 2 3 4 5 6; do # some say no first, and would say yes then
    replica c --hosts "$PROXY$CHROOT" --vote random --seed "$seed"
    wait_alive c
    start k tpc-coordinator --timeout 2s --fail-at before-decision:pause /r set x="$seed"
    proxy_mode swallow:create2
    wait_stopped k
    wait_told c '  vote  '
    swallowed "$seed" || fail "nothing was lost"
    assert_equal "$(zk children "/r/tx/$seed-1" | grep -c -e -c)" 1
    wait_for 10 "the end of k" goes_on_to_its_end
    finish k
    proxy_mode pass
    leave c
  done
  leave a b
}

# MODE POINT RESULT WORD...: a coordinator loses replies of one kind, from that point on (-: the beginning), while it
# does what the words say
coordinator_unheard() {
  local feed point=()
  if [[ $2 != - ]]; then point=(--fail-at "$2:pause"); fi
  proxy_start
  replicas a b c
  committed x=old
  mkfifo lines
  start k sh -c 'exec tpc-coordinator "$@" /r run <lines' - --hosts "$PROXY$CHROOT" "${point[@]}"
  exec {feed}>lines
  printf 'get x\n' >&"$feed"
  wait_for 5 "the first answer" grep -q '^x=old ' "$(out k)"
  if [[ $2 == - ]]; then proxy_mode "swallow:$1"; fi
  printf '%s\n' "${*:4}" >&"$feed"
  if [[ $2 != - ]]; then
    wait_stopped k
    proxy_mode "swallow:$1"
    signal CONT k
  fi
  exec {feed}>&-
  finish k 20
  assert_success
  assert_line --index 1 --regexp "^$3 "
  assert_equal "${#lines[@]}" 2
  swallowed "${1#*:}" || fail "too few replies were lost: $(grep -c swallowed "$(proxy_log)")"
  if [[ $3 == committed ]]; then
    goes_on new
    assert_equal "$(version)" 3
  else
    goes_on old
    assert_equal "$(version)" 2
  fi
  all_is_well
  end_the_proxy
}

end_the_proxy() {
  end_proxies
  wait_for 5 "the end of the proxy" no_marked_processes
}

@test "tpc-coordinator whose begin, decision and clean-up are carried out and the replies lost does them once" {
  each_case coordinator_unheard <<'END'
create2:1 - committed set x=new
multi:1 - committed set x=new
multi:1 before-cleanup committed set x=new
multi:2 - committed set x=new
children:3 - committed set x=new
get:3 - committed set x=new
create2:1 - aborted set x=new if x=other
multi:1 - aborted set x=new if x=other
END
}

@test "tpc-coordinator whose abort is carried out and the reply lost knows that it has aborted" {
  proxy_start
  replicas a # only one vote, so that the first attempt is the last
  committed x=old
  proxy_mode swallow:multi
  run -1 coordinator --hosts "$PROXY$CHROOT" set x=new if x=other
  assert_output --regexp '  aborted  a: x is old, not other$'
  swallowed 1 || fail "nothing was lost"
  goes_on old
  wait_nothing_left
  leave a
}

# MODE POINT: a participant loses replies of one kind, from that point on
participant_unheard() {
  local point=()
  if [[ $2 != - ]]; then point=(--fail-at "$2:pause"); fi
  proxy_start
  replicas a b
  replica c --hosts "$PROXY$CHROOT" "${point[@]}"
  wait_alive c
  if [[ $2 == - ]]; then proxy_mode "swallow:$1"; fi
  start k tpc-coordinator /r set x=new
  if [[ $2 != - ]]; then
    wait_stopped c
    proxy_mode "swallow:$1"
    signal CONT c
  fi
  finish k 20
  assert_success
  assert_line --regexp '  vote  c: yes$'
  assert_line --regexp '  acknowledged  c$'
  wait_for 10 "the replies to be lost" swallowed "${1#*:}"
  assert_equal "$(grep -c '  applied  ' "$(out c)")" 1
  goes_on new
  assert_equal "$(version)" 2
  all_is_well
  end_the_proxy
}

@test "tpc-participant whose vote and acknowledgement are carried out and the replies lost votes and applies once" {
  each_case participant_unheard <<'END'
create2:1 after-prepare
set:1 before-ack
children:3 after-vote
children:3 -
get:1 -
END
}

# N: the only participant loses so many replies while it settles what a dead coordinator has left
settler_unheard() {
  proxy_start
  replica a --hosts "$PROXY$CHROOT" --fail-at after-vote:pause
  wait_alive a
  start k tpc-coordinator --fail-at before-decision:kill /r set x=new
  finish k
  assert_failure 137
  wait_stopped a
  wait_for 5 "the end of its session" ephemerals_are 0 /r/coordinators
  proxy_mode "swallow:multi:$1"
  signal CONT a
  settled_in_time
  swallowed "$1" || fail "too few replies were lost: $(grep -c swallowed "$(proxy_log)")"
  assert_equal "$(grep -c '  applied  ' "$(out a)")" 1
  goes_on new
  assert_equal "$(version)" 2
  assert_same_stores a
  wait_nothing_left
  leave a
  end_the_proxy
}

@test "tpc-participant that settles for a dead coordinator and loses the replies settles it once" {
  each_case settler_unheard <<'END'
1
2
3
END
}

@test "tpc-participant that aborts for a dead coordinator and loses the reply has aborted it, and goes on" {
  proxy_start
  by_hand b
  replica a --hosts "$PROXY$CHROOT" --fail-at after-vote:pause
  wait_alive a b
  start k tpc-coordinator /r set x=new
  wait_asked b
  wait_stopped a
  signal STOP b # nobody else is to settle it
  signal KILL k
  wait_for 5 "the end of its session" ephemerals_are 0 /r/coordinators
  proxy_mode swallow:multi
  signal CONT a
  wait_told a '  1-1  decision  abort'
  swallowed 1 || fail "nothing was lost"
  is_free || fail "it is there still"
  signal CONT b
  wait_told b '  1-1  decision  abort'
  start k2 tpc-coordinator /r set x=newer if-missing x
  wait_asked b 2
  say b y
  finish k2
  assert_success
  assert_same_stores a b
  assert_agreement a b
  hang_up b
  wait_nothing_left
  leave a b
}

@test "tpc-coordinator that loses the reply when it removes an old entry of the log has committed all the same" {
  each_case coordinator_unheard <<'END'
delete:1 - committed set x=new
END
}

@test "tpc-coordinator that loses the reply when it removes what dead ones have left in the log says what it did" {
  local i
  proxy_start
  replicas a
  for i in 1 2; do
    run -137 coordinator --fail-at before-cleanup:kill set x="$i"
    settled_in_time
  done
  allow_lingering
  proxy_mode swallow:delete
  run -1 coordinator --hosts "$PROXY$CHROOT" set x=3 if x=other
  assert_output --partial aborted
  swallowed 1 || fail "nothing was lost"
  goes_on 2
  wait_nothing_left
  leave a
}

@test "tpc-participant whose acknowledgement is carried out and the reply lost says that it has acknowledged" {
  proxy_start
  replica a --hosts "$PROXY$CHROOT" --fail-at before-ack:pause
  wait_alive a
  start k tpc-coordinator /r set x=new
  wait_stopped a
  proxy_mode swallow:set
  signal CONT a
  finish k
  assert_success
  swallowed 1 || fail "nothing was lost"
  wait_told a '  1-1  acknowledged  version 1$'
  leave a
}

# --- cut off ---

# ABOUT AT_LEAST: what the replica that is described there answers about x, if it has that version; it may have vanished
# from ZooKeeper
ask_at() {
  # shellcheck disable=SC2154 # it is in registers.bash
  kazoo "$(sed 's/zk.get("\/r\/alive\/" + replica).0./replica/; s/10000/500/' <<<"$asking")"'
print(ask(sys.argv[1], json.dumps({"do": "read", "keys": ["x"], "at_least": int(sys.argv[2])})))' "$1" "$2"
}

says_how_long() { [[ $(ask_at "$1" 0) == *cut_off_ms* ]]; }

@test "tpc-participant that is cut off answers no read with an old value, but a stale one; it comes back and catches up" {
  local about
  proxy_start
  replicas a b
  replica c --hosts "$PROXY$CHROOT" --session-timeout 6s
  wait_alive c
  committed x=old
  wait_told c '  acknowledged  version 1$'
  about=$(zk get /r/alive/c)
  start k tpc-coordinator --fail-at before-decision:pause /r set x=new
  wait_stopped k # c has voted, and will not hear of the decision
  proxy_mode drop
  signal CONT k
  wait_told a '  acknowledged  version 2$'
  wait_told b '  acknowledged  version 2$'
  run -0 zk children /r/alive
  assert_line c # is there still, as far as the server knows
  leave a b

  # Now c is the only one who could be asked.
  run -124 --separate-stderr coordinator --timeout 700ms get x
  assert_output ''
  assert_stderr --partial 'c does not have version 2 yet'
  run -0 --separate-stderr coordinator --stale get x
  assert_output x=old
  assert_stderr --partial 'version 1, from c; stale: version 2 is the newest'
  wait_for 10 "c to notice" says_how_long "$about"
  run -0 ask_at "$about" 0
  assert_output --partial '"value":"old"'
  mv "$(out a)" a.before
  mv "$(out b)" b.before
  replicas a b
  wait_away c
  finish k 20
  assert_success
  assert_stderr --partial 'not acknowledged yet by c'
  assert_equal "$(value_of x)" new
  committed y=1
  # It has not heard of anything, and answers nobody who wants to know what is newer.
  run -0 ask_at "$about" 2
  assert_output nothing

  proxy_mode pass
  wait_for 10 "c to be back" is_back c
  assert_same_stores a b c
  assert_agreement a b c
  committed x=newer if x=new y=1
  wait_told c '  acknowledged  version 4$'
  leave a b c
}

is_back() { (($(grep -c '  alive  ' "$(out "$1")") == 2)); }

@test "tpc-participant without a connection says in stale reads for how long, and serves others while it knows the newest" {
  proxy_start
  replica a --hosts "$PROXY$CHROOT"
  wait_alive a
  committed x=1
  proxy_mode rst
  wait_for 5 "a to notice" grep -q 'no connection' "$(err a)"
  run -0 --separate-stderr coordinator --stale get x
  assert_output x=1
  assert_stderr --regexp 'version 1, from a; stale: version 1 is the newest .* a has not been in touch for [0-9.]+m?s$'
  run -0 --separate-stderr coordinator get x
  assert_output x=1
  assert_stderr --regexp 'version 1, from a$'
  proxy_mode pass
  wait_for 5 "a to be connected" grep -q 'connected again' "$(err a)"
  run -0 --separate-stderr coordinator --stale get x
  assert_output x=1
  refute_stderr --partial 'in touch'
  leave a
}

# --- frozen, by surprise ---

# FILE...: what coordinators have answered, is it what replica a has decided, each transaction once?
answers_are_right() {
  run awk 'FILENAME == ARGV[1] { if ($3 != "decision") next
      if ($2 in version) { print "decided twice: " $2; exit 1 }
      version[$2] = $4 == "commit," ? $6 : "aborted"; next }
    { sub(/:$/, "", $2) }
    $1 == "committed" { ++count; if (version[$2] != $4) { print "not so: " $0 "; " version[$2]; exit 1 } }
    $1 == "aborted" && $2 in version && version[$2] != "aborted" { print "not so: " $0 "; " version[$2]; exit 1 }
    $1 !~ /^(committed|aborted|unknown)$/ { print "what is that: " $0; exit 1 }
    END { if (count < 20) print "only " count " were committed" }' "$@"
  assert_success
  assert_output ''
}

feed_lines() { # NAME DESCRIPTOR FROM TO: sets of two keys, of which each is set by others too
  local i
  for ((i = $3; i <= $4; i++)); do printf 'set x%s=%s y%s=%s\n' $((i % 3)) "$1-$i" $((i % 5)) "$1-$i"; done >&"$2"
}

answered() { (($(wc -l <"$(out "$1")") >= $2)); } # NAME COUNT

has_begun() { (($(zk children /r/tx | grep -c '^1-') >= $1)); } # COUNT: coordinator 1

@test "tpc-coordinator run that is frozen for longer than its session while another one works knows what became of its own" {
  local one other
  mkfifo one two
  replicas a b c
  start k1 sh -c 'exec tpc-coordinator --session-timeout 1s /r run --parallel 8 <one'
  exec {one}>one
  feed_lines k1 "$one" 1 10
  wait_for 10 "some answers" answered k1 10
  start k2 sh -c 'exec tpc-coordinator --session-timeout 1s /r run --parallel 8 <two'
  exec {other}>two
  feed_lines k2 "$other" 1 50
  wait_for 10 "some answers" answered k2 10
  signal STOP c # nothing is decided for a moment, so that much is in flight
  feed_lines k1 "$one" 11 100
  wait_for 5 "k1 to have begun all that it may" has_begun 8
  signal STOP k1
  signal CONT c
  wait_for "$patience" "the end of its session" ephemerals_are 1 /r/coordinators
  feed_lines k2 "$other" 51 100
  wait_for 20 "the answers of the other" answered k2 100
  assert_equal "$(grep -c '^committed ' "$(out k2)")" 100 # nothing of the frozen one stands in its way
  settled_in_time
  feed_lines k2 "$other" 101 120
  signal CONT k1
  exec {one}>&- {other}>&-
  finish k2 20
  assert_success
  assert_equal "${#lines[@]}" 120
  finish k1 30
  assert_success
  assert_equal "${#lines[@]}" 100
  answers_are_right "$(out a)" "$(out k1)" "$(out k2)"
  all_is_well
}

@test "tpc-participant frozen for longer than its session while it is asked: aborted by its name; it comes back and is asked anew" {
  replicas a b
  by_hand c "${short[@]}"
  wait_alive c
  start k tpc-coordinator --timeout 20s /r set x=1
  wait_asked c
  signal STOP c
  finish k 20
  assert_failure 1
  assert_output --regexp '  aborted  .*c died before its vote'
  say c y # to a question that is over
  signal CONT c
  wait_for 10 "c to be back" is_back c
  start k tpc-coordinator --timeout 20s /r set x=2
  wait_told a '  2-1  vote  yes'
  wait_told b '  2-1  vote  yes'
  wait_asked c 2
  running k || fail "it was decided without c"
  say c n
  finish k
  assert_failure 1
  assert_output --partial '  vote  c: no: said no'
  start k tpc-coordinator --timeout 20s /r set x=3
  wait_asked c 3
  say c y
  finish k
  assert_success
  assert_output --partial 'acknowledged  c'
  run ! told c '  1-1  vote'
  hang_up c
  all_is_well
}

@test "tpc-coordinator killed while a participant has not voted: the others settle it as an abort, and ask the person no more" {
  local settled
  replicas a b
  by_hand c
  wait_alive c
  start k tpc-coordinator "${short[@]}" /r set x=1
  wait_asked c
  wait_told a '  1-1  vote  yes'
  wait_told b '  1-1  vote  yes'
  signal KILL k
  finish k
  settled_in_time
  for id in a b c; do wait_told "$id" '  1-1  decision  abort'; done
  settled=$(cat "$(out a)" "$(out b)" "$(out c)" | grep -c '  1-1  settled  abort: its coordinator is gone')
  assert_equal "$settled" 1
  run -1 coordinator get x
  start k tpc-coordinator /r set x=2 if-missing x
  wait_asked c 2
  say c y
  finish k
  assert_success
  run ! told c '  1-1  vote'
  hang_up c
  all_is_well
}

# --- three servers ---

leader_of_own() { zk-server status --dir "$OWN_DIR" | awk '$3 == "leader" { print NR; found = 1 } END { exit !found }'; }

all_serve() { (($(zk-server status --dir "$OWN_DIR" | grep -cE ' (leader|follower)( |$)') == 3)); }

feed_numbers() { # DESCRIPTOR FROM TO
  local i
  for ((i = $2; i <= $3; i++)); do printf 'set k%s=%s last=%s\n' "$i" "$i" "$i"; done >&"$1"
}

@test "tpc-coordinator run under three servers whose leader is killed in the middle, twice: nothing is lost or double" {
  local feed i round victim
  own_server --servers 3 --tick 500
  replicas a b c
  mkfifo lines
  start k sh -c 'exec tpc-coordinator /r run --parallel 8 <lines'
  exec {feed}>lines
  for round in 0 300; do
    victim=$(own_server_pid "$(leader_of_own)")
    feed_numbers "$feed" $((round + 1)) $((round + 200))
    wait_for 10 "some answers" answered k $((round + 20))
    # shellcheck disable=SC2034 # it is the teardown's
    own_server_disturbed=yes
    kill -KILL "$victim"
    feed_numbers "$feed" $((round + 201)) $((round + 300)) # while there is no leader
    wait_for 20 "the answers" answered k $((round + 300))
    own_server_restart
    wait_for 20 "the third server to take part again" all_serve # or the next death leaves one that knows, of three
  done
  exec {feed}>&-
  finish k 20
  assert_success
  # The participants and the coordinator stay in their sessions: nothing is aborted, nobody is in doubt.
  assert_equal "$(grep -c '^committed ' "$(out k)")" 600
  assert_equal "$(awk '{ print $4 }' "$(out k)" | sort -n | uniq)" "$(seq 600)"
  run -0 dump
  assert_equal "$(grep '^k' <<<"$output" | sort)" "$(for i in {1..600}; do printf 'k%s=%s\n' "$i" "$i"; done | sort)"
  for i in a b c; do assert_equal "$(awk '$3 == "applied" { print $5 }' "$(out "$i")")" "$(seq 600)"; done
  is_free || fail "transactions are left: $(zk children /r/tx)"
  committed x=last # its coordinator clears up what a lost reply has left in the log
  all_is_well
}

# --- histories ---

goes_on_to() { (($(wc -l <history) >= $1)); } # COUNT of answers

# What was answered until now, and then a hundred more.
history_goes_on() { wait_for 20 "a hundred answers more" goes_on_to $(($(wc -l <history) + 100)); }

begin_history() { # OPTION...
  allow_lingering
  start history tpc_history.py "$@" history
  wait_for 10 "the history to begin" test -e history
}

# It is linearizable, also with what is there in the end; something happened; all replicas have the same.
history_is_right() {
  finish history 100
  assert_success
  run -0 linearizable.py history
  assert_output --partial 'linearizable: '
  (($(grep -c '"result": "committed"' history) >= 20)) || fail "hardly anything was committed"
  replicas a b c
  assert_same_stores a b c
  committed x=last # its coordinator clears up what the others have left in the log
  wait_nothing_left
  leave a b c
}

@test "tpc-participants and tpc-coordinators that are killed and frozen at random: what clients see is linearizable" {
  begin_history --seconds 15 --clients 3 --parallel 2
  history_is_right
}

@test "tpc-participants and tpc-coordinators that are all killed at once: nothing is lost, and nothing aborted is visible" {
  begin_history --seconds 0 --rounds 3 --faults all --clients 3 --parallel 8 --keys 12 --apart
  history_is_right
}

@test "tpc-participants, tpc-coordinators and a server that is killed and back while they work: nothing is lost or double" {
  local i
  own_server
  begin_history --seconds 8 --faults none --outages --clients 3 --parallel 4 --keys 12 --apart
  for i in 1 2 3; do
    history_goes_on
    own_server_kill9
    own_server_restart
  done
  history_goes_on
  history_is_right
}
