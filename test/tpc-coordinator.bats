# tpc-coordinator on a healthy server: transactions, reads, streams of them, the status, and who is a member. What happens
# when things break has a file of its own.
# shellcheck disable=SC2016 # what stands in single quotes is for the shells that are started with it
load helpers
load registers

# TEXT WORD...: the coordinator refuses the words, and says TEXT to that
refuses() {
  run -125 --separate-stderr coordinator "${@:2}"
  assert_output ''
  assert_stderr --partial "$1"
}

tree_of_register() { zk tree /r; }

# --- the command line ---

@test "tpc-coordinator refuses what makes no sense, with the reason" {
  replicas a
  refuses 'what is to be done with /r'
  refuses "there is no command 'sing'; there are set, delete, if, if-missing, get, dump, run, status, recover and forget" sing
  refuses "nothing follows 'set'" set
  refuses "'x' after 'set' is not KEY=VALUE" set x
  refuses "nothing follows 'delete'" set x=1 delete
  refuses "'x' after 'if' is not KEY=VALUE; for a key that must not exist: if-missing KEY" set y=1 if x
  refuses 'a transaction changes something' if x=1
  refuses 'a transaction changes something' if-missing x if y=1
  refuses "'x' is changed twice in one transaction" set x=1 delete x
  refuses "'x' is a condition twice in one transaction" set y=1 if x=1 if-missing x
  refuses "'' cannot be a key: it is empty" set =1
  refuses "cannot be a key: it has a blank or a '='" set 'a b=1'
  refuses "cannot be a key: it has a blank or a '='" delete x=1
  refuses 'cannot be a key: it is not plain text' set $'a\tb=1'
  refuses 'cannot be a key: it is longer than 512 bytes' set "$(printf '%0513d' 0)=1"
  refuses "the value of 'x' is not UTF-8 text; encode it, with base64 for example" set $'x=\xff\xfe'
  refuses 'not plain text' set $'\xff=1'
  refuses 'get: which KEY?' get
  refuses 'cannot be a key' get a=b
  refuses "'dump' takes no arguments" dump x
  refuses "'status' takes no arguments" status x
  refuses "'run' takes no arguments" run x
  refuses "'recover' takes no arguments" recover x
  refuses "forget: which replica's ID?" forget
  refuses "forget: which replica's ID?" forget a b
  refuses "--quorum is how many must vote yes, or 'all', not 'most'" --quorum most set x=1
  refuses '--quorum' --quorum 0 set x=1
  refuses '--quorum' --quorum -1 set x=1
  refuses '--participants' --participants 0 set x=1
  refuses '--parallel' --parallel 0 run
  refuses '--timeout' --timeout soon set x=1
  refuses "--fail-at has no point 'before-vote'; there are after-begin, before-decision, after-decision, before-cleanup" \
    --fail-at before-vote set x=1
  refuses 'say kill or pause' --fail-at after-begin:sing set x=1
  run -125 tpc-coordinator
  assert_output --partial 'REGISTER'
  run -125 tpc-coordinator r set x=1
  assert_output --partial 'path'
  assert_equal "$(version)" 0
  assert_equal "$(dump)" ''
  # The last key and value that are none too long.
  committed "$(printf '%0512d' 0)=1"
}

@test "tpc-coordinator refuses a register that is not there, and makes none" {
  local command
  for command in 'set x=1' 'get x' dump status recover 'forget a'; do
    # shellcheck disable=SC2086 # words
    refuses 'there is no register at /r' $command
  done
  run -125 --separate-stderr coordinator run <<<'set x=1'
  assert_stderr --partial 'there is no register at /r'
  run ! zk exists /r
}

@test "tpc-coordinator refuses a node that is no register" {
  zk create /r 'the settings of somebody'
  refuses 'register' set x=1
  refuses 'register' get x
  assert_equal "$(zk children /r)" ''
}

# --- a transaction ---

@test "tpc-coordinator does all of a transaction, with set, delete and conditions mixed" {
  replicas a b c
  committed x=1 y=2 z=3
  committed a=1 set b=2 delete x delete y
  run -0 dump
  assert_output $'a=1\nb=2\nz=3'
  run -0 coordinator if a=1 set c=5 if-missing x delete b if b=2 z=3 set a=
  run -0 dump
  assert_output $'a=\nc=5\nz=3'
  # What was not there is gone as well.
  run -0 coordinator delete nothing
  run -0 coordinator if a= set a==
  assert_equal "$(value_of a)" =
  assert_equal "$(version)" 5
  wait_nothing_left
  assert_same_stores a b c
}

@test "tpc-coordinator prints who is asked, the votes as they come, the decision and who has acknowledged it" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1 y=two if-missing x
  wait_for 10 "the first vote" grep -q 'vote  a: yes' "$(out c1)"
  assert_equal "$(<"$(out c1)")" '1-1  begin  set x=1 y=two if-missing x  asked: a and b
1-1  vote  a: yes'
  wait_asked b
  say b y
  finish c1
  assert_success
  assert_equal "$(head -n 4 "$(out c1)" | tail -n 2)" '1-1  vote  b: yes
1-1  committed  version 1'
  assert_equal "$(tail -n 2 "$(out c1)" | sort)" '1-1  acknowledged  a
1-1  acknowledged  b'
  assert_equal "${#lines[@]}" 6
  assert_stderr ''
}

@test "tpc-coordinator --json prints the same for programs" {
  replicas a
  run -0 --separate-stderr coordinator --json set x=1
  run -0 json '(transaction, event, record.get("member"), record.get("vote"), record.get("version"), record.get("roster"))' <<<"$output"
  assert_output "('1-1', 'begin', None, None, None, ['a'])
('1-1', 'vote', 'a', 'yes', None, None)
('1-1', 'committed', None, None, 1, None)
('1-1', 'acknowledged', 'a', None, None, None)"
  run -1 --separate-stderr coordinator --json set x=2 y=$'\n' if x=2 if-missing z
  assert_stderr ''
  run -0 json '(transaction, event, record.get("changes"), record.get("conditions"), record.get("vote"), record.get("why"))' <<<"$output"
  assert_output "('2-1', 'begin', [{'key': 'x', 'value': '2'}, {'key': 'y', 'value': '\\n'}], [{'key': 'x', 'value': '2'}, {'key': 'z', 'value': None}], None, None)
('2-1', 'vote', None, None, 'no', 'x is 1, not 2')
('2-1', 'aborted', None, None, None, 'a: x is 1, not 2')"
}

@test "tpc-coordinator does nothing of a transaction whose condition does not hold, and says who said so and why" {
  replicas a b
  committed x=1 y=2
  aborted ': x is 1, not 2' set z=1 delete y if x=2
  aborted ': x is 1, not 2' set z=1 if y=2 x=2
  aborted ': x exists: 1' set z=1 if-missing x
  aborted ': q does not exist' set z=1 if q=
  run -0 dump
  assert_output $'x=1\ny=2'
  assert_equal "$(version)" 1
  # All who are asked say so, unless it is over before.
  aborted 'aborted  ' set z=1 if x=2
  assert_line --regexp '^6-1  vote  [ab]: no: x is 1, not 2$'
  assert_line --regexp '^6-1  aborted  [ab]: x is 1, not 2(; [ab]: x is 1, not 2)?$'
  wait_nothing_left
}

@test "tpc-coordinator does nothing of a transaction that one says no to, and says who and why" {
  replicas a b
  replica c --vote-command 'exit 7'
  wait_alive c
  aborted 'c: the command said no, with status 7' set x=1
  assert_output --partial '  vote  c: no: the command said no, with status 7'
  assert_equal "$(dump)" ''
  wait_nothing_left
  assert_same_stores a b c
}

@test "tpc-coordinator gives up waiting for votes after --timeout, and says whose are missing" {
  replica a
  by_hand b
  wait_alive a b
  aborted 'no vote in time; not heard of: b' --timeout 1s set x=1
  wait_told a '  decision  abort'
  wait_nothing_left
  assert_equal "$(dump)" ''
}

@test "tpc-coordinator that is told to stop aborts what is not decided" {
  by_hand a
  wait_alive a
  local name
  for name in 15 2; do
    start c1 tpc-coordinator /r set x=1
    wait_for 10 "the transaction" grep -q begin "$(out c1)"
    signal "$name" c1
    finish c1
    assert_failure $((128 + name))
    assert_output --partial 'its coordinator was told to stop'
    wait_nothing_left
  done
  assert_equal "$(dump)" ''
}

@test "tpc-coordinator whose output cannot be written says so, and what became of it by its status" {
  replicas a
  committed x=1
  start full sh -c 'exec tpc-coordinator /r set x=2 >/dev/full'
  finish full
  assert_success
  assert_stderr --partial 'cannot write to standard output: No space left on device'
  wait_nothing_left
  assert_equal "$(value_of x)" 2
  start gone sh -c 'tpc-coordinator /r set x=3 | head -n 1; tpc-coordinator --participants 1 /r set y=1'
  finish gone
  assert_success
  wait_nothing_left
  run -0 dump
  assert_output --regexp '^x=[23]
y=1$'
}

@test "tpc-coordinator refuses a transaction that no node can hold, and takes one that is nearly so large" {
  replicas a
  { printf 'set x=' && head -c 1000000 /dev/zero | tr '\0' x; } >large
  run -0 coordinator run <large
  assert_output --regexp '^failed - ?: .*too large'
  { printf 'set x=' && head -c 850000 /dev/zero | tr '\0' x; } >large
  run -0 coordinator run <large
  assert_output 'committed 2-1 version 1'
}

# --- who must be there ---

@test "tpc-coordinator --participants waits until so many are there, at most --timeout" {
  replicas a
  run -124 --separate-stderr coordinator --participants 3 --timeout 300ms set x=1
  assert_output ''
  assert_stderr --partial '1 of 3 participants are alive'
  start c1 tpc-coordinator --participants 3 /r set x=1
  replicas b
  assert running c1
  assert_equal "$(cat "$(out c1)")" ''
  replicas c
  finish c1
  assert_success
  assert_output --partial 'asked: a, b and c'
  run -124 coordinator --participants 4 --timeout 100ms get x
  run -124 coordinator --participants 4 --timeout 100ms run <<<'set x=2'
  assert_equal "$(value_of x)" 1
}

watched() { watches | grep -qx "$1"; }

@test "tpc-coordinator --participants waits also for a register that is not there yet" {
  start c1 tpc-coordinator --participants 2 /r set x=1
  wait_for 10 "it to wait" watched /r/alive
  replicas a b
  finish c1
  assert_success
}

# How often transactions, the log and the members have changed, and what is there now.
changes() {
  kazoo 'for path in "/r/tx", "/r/log", "/r/members": print(path, zk.get(path)[1].cversion, sorted(zk.get_children(path)))
print([zk.get("/r/members/" + member)[1].version for member in sorted(zk.get_children("/r/members"))])'
}

@test "tpc-coordinator needs a majority of the members, or aborts with who is missing, and writes nothing" {
  replicas a b c
  committed x=1
  wait_nothing_left
  leave b
  committed x=2
  wait_nothing_left
  leave c
  local before
  before=$(changes)
  run -1 --separate-stderr coordinator set x=3
  assert_output ''
  assert_stderr 'tpc-coordinator: aborted: 2 of the 3 members must be there; a is; missing: b and c'
  assert_equal "$(changes)" "$before"
  # Reads are served by the one that is left, in the newest version.
  run -0 --separate-stderr coordinator get x
  assert_output x=2
  assert_stderr 'tpc-coordinator: version 2, from a'
  leave a
  aborted '2 of the 3 members must be there; nobody is; missing: a, b and c' set x=3
  refuses 'nobody is alive at /r who could be asked' get x
  refuses 'nobody is alive at /r who could be asked' --stale dump
  replicas a b c
  committed x=3
  assert_same_stores a b c
}

@test "tpc-coordinator --quorum says how many must be there; all is the classic protocol" {
  replicas a b c
  run -0 coordinator --quorum all set x=1
  leave c
  aborted '3 of the 3 members must be there; a and b are; missing: c' --quorum all set x=2
  aborted '3 of the 3 members must be there; a and b are; missing: c' --quorum 3 set x=2
  run -0 coordinator --quorum 2 set x=2
  leave b
  aborted '2 of the 3 members must be there; a is; missing: b and c' --quorum 2 set x=3
  run -0 coordinator --quorum 1 set x=3
  assert_output --partial 'asked: a'
  replicas b c
  assert_same_stores a b c
  assert_equal "$(value_of x)" 3
}

@test "tpc-coordinator asks everybody who is alive, however small the --quorum" {
  replicas a b
  replica c --vote abort
  wait_alive c
  aborted 'c: votes abort, always' --quorum 1 set x=1
}

@test "tpc-coordinator needs more than the members that there are if --quorum says so" {
  replicas a
  aborted '5 members must be there, but there is 1' --quorum 5 set x=1
}

# --- reading ---

@test "tpc-coordinator get prints what is there, and says which replica answered, and its version" {
  replicas a b
  committed x=1 y=$'two\nlines' z=$'\e[31mred'
  run -0 --separate-stderr coordinator get y x
  assert_output $'y=two\\nlines\nx=1'
  assert_stderr --regexp '^tpc-coordinator: version 1, from [ab]$'
  run -0 --separate-stderr coordinator get z
  assert_output 'z=\x1b[31mred'
  run -1 --separate-stderr coordinator get x nothing never
  assert_output x=1
  assert_stderr --partial 'there is no nothing and never'
  run -1 --separate-stderr coordinator get nothing
  assert_output ''
  run -1 --separate-stderr coordinator --json get x nothing
  run -0 json '(replica in ("a", "b"), version, newest, values)' <<<"$output"
  assert_output "(True, 1, 1, {'x': {'value': '1', 'version': 1}, 'nothing': None})"
  run -0 --separate-stderr coordinator --quiet get x
  assert_output x=1
}

@test "tpc-coordinator dump prints everything, sorted" {
  replicas a
  run -0 --separate-stderr coordinator dump
  assert_output ''
  assert_stderr 'tpc-coordinator: version 0, from a'
  committed b=2 c=3 a10=1 a9=1 B=0 ä=5
  run -0 --separate-stderr coordinator dump
  assert_output $'B=0\na10=1\na9=1\nb=2\nc=3\nä=5'
  run -0 --separate-stderr coordinator --json dump
  run -0 json '(version, [(key, what["value"], what["version"]) for key, what in values.items()][:3])' <<<"$output"
  assert_output "(1, [('B', '0', 1), ('a10', '1', 1), ('a9', '1', 1)])"
}

@test "tpc-coordinator reads what is newest, never from a replica that is behind; --stale may, and says how old it is" {
  own_server --tick 500
  replica a
  by_hand b
  wait_alive a b
  proxy_start
  start c env ZK_HOSTS="$PROXY$CHROOT" tpc-participant /r --id c --data c.d --session-timeout 10s
  wait_alive c
  start c1 tpc-coordinator /r set x=old
  wait_asked b
  say b y
  finish c1
  assert_success
  start c2 tpc-coordinator /r set x=new
  wait_told c '2-1  vote  yes'
  wait_asked b 2
  proxy_mode drop
  say b y
  wait_for 10 "the decision" grep -q '  committed' "$(out c2)"
  # c is alive, and does not know of it.
  local n
  for n in 1 2 3; do assert_equal "$(value_of x)" new; done
  assert_equal "$(store_of c)" "(1, [('x', 'old', 1)])"
  leave a b
  run -124 --separate-stderr coordinator --timeout 500ms get x
  assert_output ''
  assert_stderr --partial 'c does not have version 2 yet'
  run -0 --separate-stderr coordinator --stale get x
  assert_output x=old
  assert_stderr --regexp 'version 1, from c; stale: version 2 is the newest that was seen in ZooKeeper'
  signal KILL c
}

# --- streams ---

@test "tpc-coordinator run answers each line in its order, whatever --parallel is, and goes on after what failed" {
  replicas a b
  local n k
  for n in {1..30}; do
    printf 'set k=%d k%d=%d\n' "$n" "$n" "$n"
    printf 'set never=1 if k%d=x\n' "$n"
    printf '\n   # a comment\n'
    printf 'sing %d\n' "$n"
    printf 'get k%d\n' "$n"
  done >script
  for k in 1 8 32; do
    run -0 --separate-stderr coordinator --parallel "$k" run <script
    assert_stderr ''
    assert_equal "${#lines[@]}" 120
    for n in {0..29}; do
      assert_regex "${lines[n * 4]}" '^committed [0-9]+-[0-9]+ version [0-9]+$'
      assert_regex "${lines[n * 4 + 1]}" "^aborted [0-9]+-[0-9]+: .*: k$((n + 1)) is $((n + 1)), not x"
      assert_regex "${lines[n * 4 + 2]}" "^failed .*'sing': a transaction begins with set, delete, if or if-missing\$"
      if ((k == 1)); then assert_regex "${lines[n * 4 + 3]}" "^k$((n + 1))=$((n + 1)) \\(version $((n + 1)), [ab]\\)\$"; fi
    done
  done
  assert_equal "$(version)" 90
  wait_nothing_left
  assert_same_stores a b
}

@test "tpc-coordinator run does what is in flight at once in the order of the lines" {
  replicas a b
  committed n=0
  increments 60 >script
  run -0 coordinator --parallel 32 run <script
  assert_equal "$(sed -n 's/^committed [0-9]*-[0-9]* version //p' <<<"$output")" "$(seq 2 61)"
}

@test "tpc-coordinator run --json answers each line with an object" {
  replicas a
  run -0 --separate-stderr coordinator --json run <<<$'set x=1\nset x=2 if x=2\nget x none\nsing\ndump'
  run -0 json '(record.get("result"), record.get("transaction"), record.get("version"), record.get("why"), record.get("values"))' <<<"$output"
  assert_output "('committed', '1-1', 1, None, None)
('aborted', '1-2', None, 'a: x is 1, not 2', None)
(None, None, 1, None, {'x': {'value': '1', 'version': 1}, 'none': None})
('failed', None, None, \"'sing': a transaction begins with set, delete, if or if-missing\", None)
(None, None, 1, None, {'x': {'value': '1', 'version': 1}})"
}

@test "tpc-coordinator run says of a read which keys there are not" {
  replicas a
  run -0 coordinator run <<<'get nothing'
  assert_output 'nothing does not exist (version 0, a)'
}

@test "tpc-coordinator run takes quoted words, and says what is wrong with a line" {
  replicas a
  run -0 --separate-stderr coordinator run <<<'set "x=a b" y='\''c "d"'\'' z="\ttab\x41" # and so on
set x="
set x=\xff y="\xff"
set x="\q"
get x y z'
  assert_line --index 0 --partial committed
  assert_line --index 1 --regexp '^failed .*a " has no end'
  assert_line --index 2 --regexp "^failed .*the value of 'y' is not UTF-8"
  assert_line --index 3 --regexp '^failed .*has no meaning'
  assert_line --index 4 'x=a b y=c "d" z=\ttabA (version 1, a)'
}

@test "tpc-coordinator run answers a line before the next one comes" {
  replicas a
  mkfifo in
  exec {keep}<>in
  start c1 sh -c 'exec tpc-coordinator --parallel 8 /r run <in'
  local n
  for n in 1 2 3; do
    echo "set x=$n" >&"$keep"
    wait_for 10 "the answer" grep -q "^committed 1-$n version $n$" "$(out c1)"
  done
  printf 'get x' >&"$keep" # without an end of line
  exec {keep}>&-
  finish c1
  assert_success
  assert_output --partial 'x=3 (version 3, a)'
}

@test "tpc-coordinator run has no more than --parallel in flight" {
  by_hand a
  wait_alive a
  start c1 tpc-coordinator --parallel 3 /r run
  start c2 sh -c 'printf "set x%d=1\n" 1 2 3 4 5 | tpc-coordinator --parallel 3 /r run'
  wait_status 'len(transactions) == 3'
  wait_asked a
  say a y
  wait_told a '  begin  set x4=1'
  wait_status 'len(transactions) == 3'
  local n
  for n in 2 3 4 5; do
    wait_asked a "$n"
    say a y
  done
  finish c2
  assert_success
  assert_equal "$(grep -c '^committed' "$(out c2)")" 5
  finish c1
  assert_success
}

@test "tpc-coordinator run whose reader goes ends, and whose reader is slow waits" {
  replicas a
  start gone sh -c 'yes "set x=1" | tpc-coordinator --parallel 8 /r run | head -n 3'
  finish gone 20
  assert_equal "${#lines[@]}" 3
  mkfifo pipe
  exec {keep}<>pipe
  head -c 65536 /dev/zero >pipe # no more fits in
  start slow sh -c 'echo "set y=1" | tpc-coordinator /r run >pipe'
  wait_for 10 "the commit" y_is_set
  assert running slow
  head -c 65536 <&"$keep" >filling
  finish slow
  assert_success
  run -0 head -n 1 <&"$keep"
  exec {keep}>&-
  assert_output --regexp '^committed .* version [0-9]+$'
}

y_is_set() { [[ $(value_of y) == 1 ]]; }

@test "tpc-coordinator run that is told to stop aborts what is in flight and says so" {
  by_hand a
  wait_alive a
  mkfifo in
  exec {keep}<>in
  start c1 sh -c 'exec tpc-coordinator --parallel 4 /r run <in'
  printf 'set x=1\nset y=1\n' >&"$keep"
  wait_status 'len(transactions) == 2'
  signal TERM c1
  finish c1
  assert_failure 143
  exec {keep}>&-
  wait_nothing_left
  assert_equal "$(dump)" ''
}

@test "tpc-coordinator run by hand is a prompt" {
  replicas a
  screen -f /dev/null new-session -d -x 80 -y 20 "tpc-coordinator /r run; echo status: \$?; exec cat" 3>&-
  wait_for 10 "the prompt" shows '^> *$'
  screen send-keys 'set x=1' Enter
  wait_for 10 "the answer" shows '^committed 1-1 version 1$'
  screen send-keys 'get x' Enter
  wait_for 10 "the answer" shows '^x=1 \(version 1, a\)$'
  screen send-keys 'sing' Enter
  wait_for 10 "the answer" shows '^failed .*sing'
  wait_for 10 "the last prompt" last_line_is '>'
  run -0 screen capture-pane -p
  assert_equal "$(grep . <<<"$output")" "> set x=1
  1-1  begin  set x=1  asked: a
  1-1  vote  a: yes
  1-1  acknowledged  a
committed 1-1 version 1
> get x
x=1 (version 1, a)
> sing
failed -: 'sing': a transaction begins with set, delete, if or if-missing
>"
  screen send-keys C-d
  wait_for 10 "the end" shows 'status: 0$'
  screen kill-server
}

last_line_is() { [[ $(screen capture-pane -p | grep . | tail -n 1) == "$1" ]]; }

screen() { tmux -u -S "$BATS_TEST_TMPDIR/screen" "$@"; }

shows() { screen capture-pane -p | grep -qE -- "$1"; } # PATTERN: does the screen?

# --- many at once ---

increments() { # N: if n is i, it is i + 1 then
  local i
  for ((i = 0; i < $1; i++)); do echo "set n=$((i + 1)) if n=$i"; done
}

@test "tpc-coordinator and another one increment the same key at once: each step is made exactly once" {
  replicas a b c
  committed n=0
  increments 100 >script
  start c1 sh -c 'exec tpc-coordinator --parallel 8 /r run <script'
  start c2 sh -c 'exec tpc-coordinator --parallel 8 /r run <script'
  finish c1 30
  assert_success
  finish c2 30
  assert_success
  assert_equal "$(value_of n)" 100
  assert_equal "$(cat "$(out c1)" "$(out c2)" | wc -l)" 200
  assert_equal "$(cat "$(out c1)" "$(out c2)" | grep -c ^committed)" 100
  assert_equal "$(cat "$(out c1)" "$(out c2)" | grep -c '^aborted .* n is')" 100
  assert_equal "$(cat "$(out c1)" "$(out c2)" | sed -n 's/^committed .* version //p' | sort -n)" "$(seq 2 101)"
  wait_nothing_left
  assert_same_stores a b c
}

@test "tpc-coordinator and three others on different keys and shared ones all get through" {
  replicas a b c
  local n i
  for n in 1 2 3 4; do
    for i in {1..30}; do printf 'set own%d=%d\nset shared%d=%d-%d last=%d-%d\n' "$n" "$i" "$((i % 3))" "$n" "$i" "$n" "$i"; done >"script$n"
    start "c$n" sh -c 'exec tpc-coordinator --parallel 16 /r run <"script$0"' "$n"
  done
  for n in 1 2 3 4; do
    finish "c$n" 30
    assert_success
    assert_equal "$(grep -c ^committed "$(out "c$n")")" 60
  done
  assert_equal "$(version)" 240
  for n in 1 2 3 4; do assert_equal "$(value_of "own$n")" 30; done
  assert_regex "$(value_of last)" '^[1-4]-30$'
  # The entry in the log by which each of them has ended goes with the next one.
  committed x=1
  wait_nothing_left
  assert_same_stores a b c
}

@test "tpc-coordinator leaves no nodes after 1,000 transactions" {
  replicas a b c
  committed x=0
  wait_nothing_left
  local before n
  before=$(zk tree /r | wc -l)
  for n in {1..1000}; do echo "set x$((n % 100))=$n"; done >script
  run -0 coordinator --parallel 32 run <script
  assert_equal "$(grep -c ^committed <<<"$output")" 1000
  wait_nothing_left
  assert [ "$(zk tree /r | wc -l)" -le $((before + 1)) ]
  assert_equal "$(version)" 1001
  assert_same_stores a b c
}

@test "tpc-coordinator leaves no nodes after transactions that were aborted" {
  replica a
  replica b --vote random --seed 3
  wait_alive a b
  local n
  for n in {1..200}; do echo "set x=$n"; done >script
  run -0 coordinator --parallel 16 run <script
  assert_equal "$(grep -c ^committed <<<"$output")" "$(version)"
  assert_equal "$(grep -Ec '^(committed|aborted .*: b: the coin says no)' <<<"$output")" 200
  wait_nothing_left
  assert_same_stores a b
}

# --- the status ---

@test "tpc-coordinator status shows the members, who is alive, and how far each is" {
  replicas a b
  committed x=1
  leave b
  run -0 coordinator --quorum 1 set x=2
  run -0 --separate-stderr coordinator status
  assert_stderr ''
  assert_line --index 0 '/r  version 2  2 members, 1 alive'
  assert_line --index 1 --regexp "^  a  alive  version 2  at 127\\.0\\.0\\.1:[0-9]+  $(hostname):$(pid_of a)"
  assert_line --index 2 '  b  away   version 1, 1 behind'
  assert_equal "${#lines[@]}" 3
  run -0 --separate-stderr coordinator --json status
  run -0 json '(register, version, [(m["id"], m["alive"], m["version"], "endpoint" in m) for m in members], transactions)' <<<"$output"
  assert_output "('/r', 2, [('a', True, 2, True), ('b', False, 1, False)], [])"
}

@test "tpc-coordinator status shows what is voted on, by whom, since when, and who has not voted" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1 if-missing x
  wait_for 10 "the vote of a" grep -q 'vote  a: yes' "$(out c1)"
  run -0 coordinator status
  assert_output --regexp "  1-1  voting  set x=1 if-missing x  by $(hostname):$(pid_of c1).*, since [0-9].*; waits for the vote of b\$"
  run -0 --separate-stderr coordinator --json status
  run -0 json '[(t["transaction"], t["state"], t["roster"], t["yes"], t["no"], t["waits_for"], t["coordinator_alive"]) for t in transactions]' <<<"$output"
  assert_output "[('1-1', 'voting', ['a', 'b'], ['a'], [], ['b'], True)]"
  wait_asked b
  say b y
  finish c1
  assert_success
}

@test "tpc-coordinator status shows what is committed and not yet acknowledged by one who is away" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_told a '  vote  yes'
  kill_replicas a
  wait_asked b
  say b y
  finish c1
  assert_success
  assert_stderr 'tpc-coordinator: committed, and not acknowledged yet by a'
  run -0 coordinator status
  assert_line --index 0 '/r  version 1  2 members, 1 alive'
  assert_line --index 1 '  a  away   version 0, 1 behind'
  assert_line --index 3 --regexp "^  1-1  committed as version 1  set x=1  by $(hostname):[0-9]+.*, who is gone, since .*; waits for a to acknowledge it\$"
  run -0 --separate-stderr coordinator --json status
  run -0 json '[(t["state"], t["version"], t["waits_for"], t["coordinator_alive"]) for t in transactions]' <<<"$output"
  assert_output "[('committed', 1, ['a'], False)]"
  # Nobody can change that but a; and others go on.
  run -0 coordinator recover
  assert_output '1-1  committed; waits for a to acknowledge it'
  replicas a
  wait_nothing_left
}

# kill -9 of all of them, before one hears of another's end.
all_die() {
  local name all=()
  allow_lingering
  for name; do all+=("$(pid_of "$name")"); done
  kill -STOP "${all[@]}"
  kill -KILL "${all[@]}"
  wait_for 10 "the ends of their sessions" ephemerals_are 0
}

@test "tpc-coordinator status shows what is in doubt when everybody is gone, and recover settles it" {
  by_hand a
  replica b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_told b '  vote  yes'
  wait_asked a
  all_die a b c1
  run -0 coordinator status
  assert_line --index 0 '/r  version 0  2 members, 0 alive'
  assert_line --index 3 --regexp '^  1-1  in doubt  set x=1  by .*, who is gone, since .*; waits for the vote of a$'
  assert status_shows 'transactions[0]["state"] == "in doubt" and transactions[0]["yes"] == ["b"]'
  run -0 coordinator recover
  assert_output --regexp '^1-1  aborted: '
  assert nothing_left
  replicas a b
  committed x=2
  assert_same_stores a b
}

@test "tpc-coordinator recover commits what all have voted for, and says what it did" {
  replicas a b
  committed x=0
  start c1 tpc-coordinator --fail-at before-decision:pause /r set x=1
  wait_for 10 "it to freeze" grep -q 'freezes here' "$(err c1)"
  all_die a b c1
  run -0 coordinator --json recover
  run -0 json '(transaction, outcome)' <<<"$output"
  assert_line --index 0 --regexp "'2-1', 'committed"
  assert status_shows 'version == 2'
  replicas a b
  wait_nothing_left
  assert_equal "$(value_of x)" 1
  assert_same_stores a b
  run -0 coordinator recover
  assert_output ''
}

@test "tpc-coordinator recover leaves alone what its coordinator is still at" {
  by_hand a
  wait_alive a
  start c1 tpc-coordinator /r set x=1
  wait_asked a
  run -0 coordinator recover
  assert_output ''
  say a y
  finish c1
  assert_success
}

# --- who may ---

@test "tpc-coordinator with --auth-file changes a register that nobody else can look into" {
  (umask 077 && echo 'digest:hans:geheim' >auth)
  export ZK_AUTH_FILE=$PWD/auth
  replicas a b
  committed x=1
  assert_equal "$(value_of x)" 1
  unset ZK_AUTH_FILE
  local word
  for word in 'set x=2' 'get x' status recover 'forget a'; do
    # shellcheck disable=SC2086 # words
    refuses 'not authorised' $word
  done
  run ! zk get /r/alive/a
  refuses_replica 'not authorised'
  export ZK_AUTH_FILE=$PWD/auth
  committed x=2
}

refuses_replica() { # TEXT
  replica stranger
  finish stranger
  assert_failure 125
  assert_stderr --partial "$1"
}

# --- members ---

@test "tpc-coordinator forget removes a member for good, and the quorum counts anew" {
  replicas a b c
  committed x=1
  refuses "there is no replica 'd' at /r" forget d
  refuses 'a is alive: stop it first, or it would come back' forget a
  leave b c
  aborted 'missing: b and c' set x=2
  run -0 coordinator forget b
  run -0 coordinator status
  assert_line --index 0 '/r  version 1  2 members, 1 alive'
  aborted '2 of the 2 members must be there; a is; missing: c' set x=2
  run -0 coordinator forget c
  committed x=2
  refuses "there is no replica 'c' at /r" forget c
}

@test "tpc-coordinator does not forget the only one that has the newest version" {
  replicas a b
  committed x=1
  leave b
  run -0 coordinator --quorum 1 set x=2
  leave a
  refuses 'no other replica than a has version 2: start others, let them catch up, and then forget it' forget a
  run -0 coordinator forget b
  refuses 'no other replica than a has version 2' forget a
  replicas a
  assert_equal "$(value_of x)" 2
}

@test "tpc-coordinator forget clears up what has waited for the one that is forgotten" {
  replica a
  by_hand b
  wait_alive a b
  start c1 tpc-coordinator /r set x=1
  wait_told a '  vote  yes'
  kill_replicas a
  wait_asked b
  say b y
  finish c1
  assert_success
  refute nothing_left
  run -0 coordinator forget a
  assert nothing_left
  assert_equal "$(zk children /r/members)" b
}

@test "tpc-coordinator forget makes room for one whose disk was lost after its vote" {
  replicas a b
  replica c --fail-at after-vote
  wait_alive c
  start c1 tpc-coordinator /r set x=1
  finish c1
  assert_success
  finish c
  wait_away c
  rm -rf c.d
  run -0 coordinator forget c
  replicas c
  committed x=2
  assert_same_stores a b c
  wait_nothing_left
}

@test "tpc-coordinator forget of the whole roster leaves nothing, when another one has caught up" {
  replica a --fail-at after-vote
  wait_alive a
  run -0 coordinator set x=1
  finish a
  wait_away a
  replicas a
  replica b
  wait_alive b
  leave a
  wait_away a
  run -0 coordinator forget a
  run -0 coordinator recover
  committed y=1
  wait_nothing_left
  assert_equal "$(value_of x)" 1
}

@test "tpc-coordinator forget says so if it may not" {
  replicas a b
  leave b
  wait_away b
  kazoo 'from kazoo.security import make_acl
zk.set_acls("/r/members", [make_acl("world", "anyone", read=True, write=True, create=True, admin=True)])'
  run -125 coordinator forget b
  assert_output --partial 'not authorised'
  kazoo 'from kazoo.security import OPEN_ACL_UNSAFE
zk.set_acls("/r/members", OPEN_ACL_UNSAFE)'
}

@test "tpc-coordinator run clears up after one that was away, when that has caught up" {
  replicas a b
  replica c --fail-at after-vote
  wait_alive c
  mkfifo lines
  start k sh -c 'exec tpc-coordinator /r run <lines'
  local feed
  exec {feed}>lines
  echo 'set x=1' >&"$feed"
  wait_for 10 "the result" grep -q '^committed 1-1' "$(out k)"
  finish c
  wait_away c
  replicas c
  wait_for 10 "1-1 to be cleared away" eval '[[ ! $(zk children /r/tx) ]]'
  exec {feed}>&-
  finish k
  assert_success
}

@test "tpc-coordinator whose reader is slow does not hold up what it has begun" {
  replicas a
  run -0 bash -c "head -c 100000 /dev/zero | tr '\0' x >value
    tpc-coordinator --json /r set x=\$(cat value) | (until tpc-coordinator -q /r get x >got 2>/dev/null; do sleep 0.05; done; wc -l)"
  assert_output 4
  assert_equal "$(wc -c <got)" 100003
}

@test "tpc-coordinator reads from others if what one says of itself makes no sense" {
  replicas a
  committed x=1
  zk create /r/alive/zz '{"endpoint":"nonsense","key":"k"}'
  zk create /r/alive/zy 'nonsense'
  local i
  for i in {1..8}; do assert_equal "$(value_of x)" 1; done
  zk delete /r/alive/zz
  zk delete /r/alive/zy
}

@test "tpc-coordinator and tpc-participant survive data that are nested without end, and a node that cannot be removed" {
  replicas a
  committed x=1
  kazoo 'zk.create("/r/tx/77-1", b"{\"changes\":[],\"conditions\":[],\"roster\":[\"a\"],\"by\":" + b"[" * 400000 + b"]" * 400000 + b"}")
zk.create("/r/tx/78-1", b"{\"changes\":[{\"key\":\"y\",\"value\":\"1\"}],\"conditions\":[],\"roster\":[\"b\"],\"by\":{}}")
zk.create("/r/tx/78-1/yes-b/junk", makepath=True)'
  run -0 coordinator status
  assert_line --partial '/r  version'
  refute_line --partial 77-1
  run coordinator --timeout 10s recover
  committed x=2
  # It has given up trying, and sleeps.
  local before
  idle() { before=$(stat_of a) && sleep 0.3 && (($(stat_of a) - before < 5)); }
  stat_of() { awk '{ print $14 + $15 }' "/proc/$(pid_of "$1")/stat"; }
  wait_for 10 "a to rest" idle
  kazoo 'for path in ("/r/tx/77-1", "/r/tx/78-1"):
  if zk.exists(path): zk.delete(path, recursive=True)'
}
