// The double barrier of lib/barrier.h and lib/roster.h: its algorithm, to be searched through by spin. See `run`.
//
// Processes arrive, wait, give up, are inside, leave, await the end and come again. At any moment they die or lose
// their session. Their nodes vanish some time later. Between reading the state, listing the children and the
// transaction anything may happen; each of the three is one step (but see APART). A wait ends only when a
// watch has fired.
//
// What holds in each state or step within the bounds below:
//
//  1. Agreement. The roster of a generation that opens has exactly N members, of different processes, who want to be N,
//     and stays as it is while the generation is open; whoever enters sees that one. No arrival is in two rosters.
//  2. No ghosts. Nobody is in a roster that opens whose session has ended. Who was dead already, but its session not
//     ended, is named at the end as one who died inside, to all who await it.
//  3. Who has withdrawn is in no roster, then and later; who finds itself in one that is open has entered.
//  4. When a generation opens nobody is inside another. It ends only when each of the roster has left by itself or its
//     session has ended (or its process has died, or has given the session up), and those told as dead are exactly
//     those who did not leave. Nobody is told as dead before, whose session lives or who has left.
//  5. Nobody hangs. When nothing comes from outside any more and all that can happen has happened, whoever lives has
//     come home, or waits to enter while no generation is open, and fewer than N are here. And (run `endless`) there is
//     no cycle: whatever is done comes to an end, in whatever order processes have their turns.
//
// Within these bounds. P processes, each A times; CRASHES of them die, at any moment; LOSSES times a session ends
// under a living process; TIMEOUTS=1: anybody who waits may give up, at any moment; OTHERS of them want to be M instead
// of N; SILENT=1: who has left may neither look nor end its session; TIES=1: among equal numbers the line is the other
// way round; APART=1: an arrival reads and lists in two steps. Fewer of each are in it. The states that spin
// stored, and the seconds (two searches at a time on two cores that had other work, with the compilation):
//
//   reuse        P=3 A=2 N=2 CRASHES=1 LOSSES=0 TIMEOUTS=1                  1216284 states   14 s
//   reuse-loss   P=3 A=2 N=2 CRASHES=0 LOSSES=1 TIMEOUTS=0                  2764863 states   21 s
//   three        P=3 A=1 N=3 CRASHES=2 LOSSES=1 TIMEOUTS=1                   448414 states   10 s
//   three-line   P=4 A=1 N=3 CRASHES=0 LOSSES=0 TIMEOUTS=0                   847948 states   11 s
//   three-reuse  P=3 A=2 N=3 CRASHES=1 LOSSES=0 TIMEOUTS=1                  2134646 states   15 s
//   line         P=4 A=1 N=2 CRASHES=0 LOSSES=0 TIMEOUTS=0                  1043790 states    8 s
//   losses       P=2 A=2 N=2 CRASHES=2 LOSSES=2 TIMEOUTS=1                    64232 states    4 s
//   loss         P=3 A=1 N=2 CRASHES=2 LOSSES=1 TIMEOUTS=1                   368837 states    6 s
//   alone        P=2 A=3 N=1 CRASHES=1 LOSSES=1 TIMEOUTS=1                    24336 states    5 s
//   ties         P=3 A=1 N=2 CRASHES=1 LOSSES=1 TIMEOUTS=1 TIES=1            339478 states    6 s
//   apart        P=3 A=1 N=2 CRASHES=1 LOSSES=1 TIMEOUTS=0 APART=1           336208 states    6 s
//   others       P=3 A=2 N=2 CRASHES=0 LOSSES=0 TIMEOUTS=1 OTHERS=1 M=1      296183 states    7 s
//   silent       P=3 A=1 N=2 CRASHES=0 LOSSES=0 TIMEOUTS=1 SILENT=1           35759 states    6 s
//   endless      P=3 A=1 N=2 CRASHES=1 LOSSES=1 TIMEOUTS=1                   678891 states   11 s
//
// And the search finds mistakes, if there are any: with BUG_...
//
//   OPEN_NO_EXIST        opening does not check the here nodes: a ghost (2)
//   OPEN_NO_VERSION      opening does not check the version: two open at the same time (1)
//   END_NO_VERSION       nor does the end: it ends another generation, or one twice (4)
//   WITHDRAW_NO_VERSION  withdrawing only deletes the here node: who has gone is counted (3)
//   SAME_GENERATION      opening does not change the number of the generation: who is slow takes another for its
//                        own (5)
//   DEAD_BEFORE          the end does not name who was dead before it opened (2)
//   END_ONLY_TOLD        the end names only those who had been told as dead before (4)
//   NO_LEFT_MARK         leaving only deletes the here node: deaths are not told (4)
//   END_KEEPS_HERE       the end leaves the here nodes: those who have gone are counted again (1)
//   END_COUNTS_AGAIN     the end counts those who have just left for the next generation (1)
//   NO_NEIGHBOUR         no watch on the neighbour: a death is not seen (5)
//   LATE_WATCH           the watch on the state is set after it was read: a change is missed (5)
//   OWN_OLD_NODE         who goes on with another session does not watch its node of the old one: the last survivor
//                        misses the end of that (5)
//   LEAVE_NO_END         leaving does not look again: two who leave at the same time and then look no more leave the
//                        end to each other (5; SILENT=1)
//   ARRIVE_BLIND         who arrives does not list again behind its transaction: two who come at the same time wait for
//                        ever (5)
//   NUMBER_OF_HERE       the number of who arrives is not above those in the roster: it gets the name of one who is
//                        there still (1)
//   IDLE_AFTER_LEAVE     SILENT=1 and somebody dies: nobody may see it (5). This one is a mistake of the caller.
//
// What is not in it: an id that comes twice; nodes deleted by others; a lost connection within a session (an operation
// whose answer is lost is repeated after a look, as one that has failed); the memory of generations that ended, which
// is finite; who comes again while the node of its former session is there. The number of a generation is modelled as
// what it is for: that it is not the one before. Processes come for the first time in the order of their numbers, which
// also decides between equal places in line: with TIES=1 the other way, other orders only where they come again. Who
// gives up, dies or loses its session before its node is there is one who has not come. A reading shows the present,
// where a server may lag behind: that is
// the same as an earlier reading of a slow process. A session that ends before its process hears of it is one
// that was given up at that moment by a silent process. Cycles are searched for in one configuration only.

#ifndef P
#define P 3        // processes
#endif
#ifndef A
#define A 2        // arrivals of each, one after the other; P * P * A is at most 18
#endif
#ifndef N
#define N 2        // members of a generation
#endif
#ifndef CRASHES
#define CRASHES 0  // how many processes die
#endif
#ifndef LOSSES
#define LOSSES 0   // how many sessions end under a living process
#endif
#ifndef TIMEOUTS
#define TIMEOUTS 0 // whether somebody may give up waiting
#endif
#ifndef OTHERS
#define OTHERS 0   // how many of the processes want to be another number of members
#endif
#ifndef M
#define M 1        // which
#endif
#ifndef TIES
#define TIES 0     // of two with the same number, which is first: the one that came for the first time first, or last
#endif
#ifndef APART
#define APART 0    // whether an arrival's reading of the state and its listing are two steps
#endif
#ifndef ENDLESS
#define ENDLESS 0  // to look for cycles, and not for what hangs: a look that finds nothing would be one
#endif
#ifndef SILENT
#define SILENT 0   // whether who has left may neither await the end nor end its session
#endif

// A name is a process and a number, as a place in line: ordered by the number, then by the process. It is free again
// when its nodes have gone and it is in no roster. No number is above P * A, for each is one more than another that is
// there. Sets of names are bits of an int; the line is a set, from its lowest bit on.
#define NAMES         (P * P * A)
#define AMONG_EQUALS(p) (TIES -> P - 1 - (p) : (p))
#define PROCESS(a)    AMONG_EQUALS((a) % P)
#define BIT(a)        (1 << (a))
#define IN(a, set)    (((set) >> (a)) & 1)
#define ALL_OF_FIRST  (((1 << NAMES) - 1) / ((1 << P) - 1))  // one bit of each P
#define OF_PROCESS(p) (ALL_OF_FIRST << AMONG_EQUALS(p))
#define WANTS(a)      WANTED_BY(PROCESS(a))
#define WANTED_BY(p)  ((p) < P - OTHERS -> N : M)

// --- the server ---

// The folder's data. Its phase is open if there is a roster, else forming. Instead of the number of the generation
// there is, for each process that was in one, whether it has changed since.
byte members = N;
int roster;
int crashed;
bool changed[P];
int broken;                    // who died in generations that have ended, as far as they will look for themselves there

// The folder's children.
int here;
byte here_count;
int left;

int ending;                    // of the here nodes, those whose session will end: their processes died, exited, or gave
                               // the session up

// The version of the data, as far as anybody can see it: who has read a state that is not the last.
bool stale[P];
// Watches on the data that have not fired. And on a neighbour's here node: its number plus one.
#define NOBODY 0
bool state_watch[P];
byte neighbour_watch[P];

// --- the processes ---

#define IDLE    0  // not here, may arrive
#define READ    1  // about to read the state
#define LIST    2  // about to list the children, and to decide
#define WRITE   3  // about to send a transaction; an arrival also if there is nothing to do but to create its node
#define WATCH   4  // about to watch the neighbour
#define WAIT    5
#define INSIDE  6  // inside, and not looking
#define GONE    7  // dead, or has exited
byte at[P] = IDLE;

#define ARRIVE    0  // enter, before its node is there
#define TAKE_PART 1  // enter
#define WITHDRAW  2  // enter gives up
#define STAY      3  // inside: await_crash
#define LEAVE     4  // inside: leave
#define AWAIT     5  // await_end
byte doing[P];

// What a transaction is for.
#define NONE       0
#define OPENING    1
#define CRASH      2
#define LEAVING    3
#define END        4
#define WITHDRAWAL 5
#define NUMBER     6  // the state's number of members becomes ours

byte name[P];        // from the time on when it is about to create its node
#define me name[p]
byte arrivals[P];    // how many it has made
// Processes that want the same are alike, so they come for the first time in the order of their numbers.
#define MAY_COME(p) (arrivals[p] > 0 || p == 0 || p == P - OTHERS || arrivals[p - 1] > 0)

// The outside world.
byte may_crash = CRASHES;
byte may_lose = LOSSES;

// --- what is known to nobody, for the assertions ---

int agreed;          // the roster, as it was when the generation opened
int dead_at_opening; // of these, whose process was dead, or had given up its session
int entered;         // of those here, who was in a roster
int has_left;        // of those inside, who has left by itself
int ended;           // of those here or inside, whose session has ended or is about to

// --- for the inside of one step only ---

hidden byte i, q, count, before, last, ok, committed;
hidden int set, seen, unwanted;

// What one member knows and wants to write.
typedef Plan {
  byte my_members;                          // the state as it was read
  unsigned my_roster : 18;
  unsigned my_crashed : 18;
  byte neighbour;
  byte kind;
  unsigned to_roster : 18;
  unsigned to_crashed : 18;
  unsigned died : 18;
  unsigned exist_here : 18;
  unsigned gone_here : 18;
  unsigned gone_left : 18;
  bit opens, ends, leaves
}
Plan plan[P];

inline forget_step_of(r) {
  plan[r].kind = NONE; plan[r].to_roster = 0; plan[r].to_crashed = 0;
  plan[r].opens = 0; plan[r].ends = 0; plan[r].died = 0; plan[r].leaves = 0;
  plan[r].exist_here = 0; plan[r].gone_here = 0; plan[r].gone_left = 0
}

inline forget_all_of(r) {
  plan[r].my_members = 0; plan[r].my_roster = 0; plan[r].my_crashed = 0;
  plan[r].neighbour = 0;
  forget_step_of(r)
}

// The process is about to do something else; nothing of what it saw is kept. (The watches that the code keeps for
// later would be read again before they are waited for, with the same answer.)
inline send_to(r, to) {
  at[r] = to;
  state_watch[r] = 0;
  stale[r] = 0;
  neighbour_watch[r] = NOBODY;
  forget_all_of(r)
}

#define go(to)        send_to(p, to)
#define forget_step() forget_step_of(p)
#define my_members plan[p].my_members
#define my_roster  plan[p].my_roster
#define my_crashed plan[p].my_crashed
#define neighbour  plan[p].neighbour
#define kind       plan[p].kind
#define to_roster  plan[p].to_roster
#define to_crashed plan[p].to_crashed
#define died       plan[p].died
#define exist_here plan[p].exist_here
#define gone_here  plan[p].gone_here
#define gone_left  plan[p].gone_left
#define opens      plan[p].opens
#define ends       plan[p].ends
#define leaves     plan[p].leaves

// Whose transaction fails for the version of the data.
#if defined(BUG_OPEN_NO_VERSION) || defined(BUG_END_NO_VERSION) || defined(BUG_WITHDRAW_NO_VERSION)
#define FAILS_AT_ONCE(q) 0
#else
#define FAILS_AT_ONCE(q) (at[q] == WRITE || at[q] == LIST && doing[q] != LEAVE && OTHERS == 0)
#endif

// Whoever waits, or is about to, looks again. So does whoever is about to write what now cannot be written, or to list
// children that cannot tell it anything else: that it would find out later is the same as that it looks later.
inline fire_state_watches(writer) {
  q = 0;
  do
  :: q < P ->
    if
    :: q != writer && (FAILS_AT_ONCE(q) || at[q] >= WATCH && at[q] <= WAIT && state_watch[q]) ->
      send_to(q, READ);
      name[q] = (doing[q] == ARRIVE -> 0 : name[q])
    :: q != writer && !FAILS_AT_ONCE(q) && (at[q] == LIST || at[q] == WRITE) ->
      state_watch[q] = 0;
      stale[q] = 1
    :: else ->
      state_watch[q] = 0
    fi;
    q++
  :: else -> break
  od
}

// A here node goes, for whatever reason: whoever watches it is told.
inline remove_here(a) {
  here = here & ~BIT(a);
  entered = entered & ~BIT(a);
  ending = ending & ~BIT(a);
  here_count--;
  q = 0;
  do
  :: q < P ->
    if
    :: neighbour_watch[q] == a + 1 -> send_to(q, READ)
    :: else
    fi;
    q++
  :: else -> break
  od
}

// Not here any more, or no more in the eyes of its process.
inline go_home() {
  go((arrivals[p] < A -> IDLE : GONE));
  doing[p] = ARRIVE;
  changed[p] = 0;
  another_session = 0;
  me = 0
}

inline go_for_ever() {
  arrivals[p] = A;
  go_home()
}

inline give_up_session() {
  ended = ended | (BIT(me) & (here | roster));
  ending = ending | (BIT(me) & here);
  if
  :: !IN(me, roster) -> has_left = has_left & ~BIT(me)
  :: else
  fi
}

// From here on another generation forms, which is open at once if enough are here: the first in line of those who may
// be counted.
inline form() {
  to_roster = 0; to_crashed = 0;
  set = 0; count = 0; i = 0;
  do
  :: i < NAMES && count < my_members ->
    if
    :: IN(i, seen & ~unwanted) && WANTS(i) == my_members -> set = set | BIT(i); count++
    :: else
    fi;
    i++
  :: else -> break
  od;
  if
  :: count == my_members ->
    opens = 1;
    to_roster = set
#ifndef BUG_OPEN_NO_EXIST
    ; exist_here = set & here   // one that arrives itself is created with it
#endif
  :: else
  fi
}

inline decide_forming() {
  form();
  if
  :: opens -> kind = OPENING
  :: else
  fi
}

inline decide_open() {
  leaves = (doing[p] == LEAVE && IN(me, my_roster) && IN(me, seen) && !IN(me, left));
  set = left | (leaves << me);
#ifdef BUG_NO_LEFT_MARK
  set = my_roster & ~(seen & ~(leaves << me));
#endif
  to_crashed = my_crashed | (my_roster & ~set & ~seen);
  if
  :: (my_roster & seen & ~set) == 0 ->
    kind = END;
    ends = 1;
    died = to_crashed;
#ifdef BUG_END_ONLY_TOLD
    died = my_crashed;
#endif
#ifdef BUG_DEAD_BEFORE
    died = died & ~dead_at_opening;
#endif
    gone_left = my_roster & left;
#ifndef BUG_END_KEEPS_HERE
    gone_here = my_roster & seen;
#endif
#ifndef BUG_END_COUNTS_AGAIN
    unwanted = unwanted | my_roster;
#endif
    form()
  :: else ->
    if
    :: leaves ->
      kind = LEAVING;
      exist_here = BIT(me)
#ifdef BUG_NO_LEFT_MARK
      ; gone_here = BIT(me)
#endif
    :: !leaves && to_crashed != my_crashed -> kind = CRASH
    :: else
    fi
  fi
}

// next_step: from the state that was read before and the children that are `seen` now.
inline decide() {
  to_roster = my_roster; to_crashed = my_crashed;
  unwanted = (doing[p] == WITHDRAW -> BIT(me) : 0);
  if
  :: my_roster == 0 -> decide_forming()
  :: else -> decide_open()
  fi;
  if
  :: doing[p] == WITHDRAW ->   // if it were inside it would not be here
#ifdef BUG_WITHDRAW_NO_VERSION
    forget_step(); to_roster = my_roster; to_crashed = my_crashed;
#endif
    kind = WITHDRAWAL;
    gone_here = gone_here | BIT(me)
  :: else
  fi
}

// settle_members, where the first in line wants what we want, and the state is of others.
inline settle() {
  if
  :: doing[p] == TAKE_PART && my_members != WANTS(me) && my_roster == 0 -> forget_step(); kind = NUMBER
  :: else
  fi
}

// neighbour_of. Who goes on with another session is not in line: its node there is that of another, whose end it has to
// hear of as anybody's.
inline find_neighbour() {
  before = 0; last = 0; i = 0;
#ifdef BUG_OWN_OLD_NODE
  ok = 1;
#else
  ok = !another_session;
#endif
  do
  :: i < NAMES ->
    if
    :: IN(i, seen) && ok && i == me && last != 0 -> before = last
    :: IN(i, seen) && (!ok || i != me) -> last = i + 1
    :: else
    fi;
    i++
  :: else -> break
  od;
  neighbour = (before != 0 -> before : last)
}

inline keep_neighbour() {
  last = neighbour;
  forget_all_of(p);
  neighbour = last;
  stale[p] = 0
}

// --- the transaction ---

inline check_opening() {
  // At most one generation is inside.
  assert(roster == 0 || ends);
  q = 0;
  do
  :: q < P ->
    assert(!(doing[q] == STAY || doing[q] == LEAVE && !IN(name[q], has_left)));
    q++
  :: else -> break
  od;
  // The roster has as many members as they want to be, no two of one process, and none that was in another.
  count = 0; q = 0;
  do
  :: q < P ->
    set = to_roster & OF_PROCESS(q);
    assert((set & (set - 1)) == 0);
    assert(set == 0 || WANTED_BY(q) == members);
    if
    :: set != 0 -> count++
    :: else
    fi;
    q++
  :: else -> break
  od;
  assert(count == members);
  assert((to_roster & entered) == 0);
  // Nor one whose session has ended, or who has withdrawn: these have no node any more, and get none again.
  assert((to_roster & ~here) == 0);
  agreed = to_roster;
  dead_at_opening = to_roster & ended;
  entered = entered | to_roster;
#ifndef BUG_SAME_GENERATION
  q = 0;
  do
  :: q < P -> changed[q] = (doing[q] >= STAY); q++
  :: else -> break
  od
#endif
}

inline check_end() {
  assert(my_roster == roster && roster == agreed);
  assert((dead_at_opening & ~died) == 0);
  // Each has left by itself, in its session; or its session has ended, and it is told as one who has died.
  set = roster & ~has_left;
  assert((set & ~ended) == 0);
  assert(died == set);
  assert(!leaves || !IN(me, ended))
}

inline commit() {
  if
  :: doing[p] == ARRIVE ->
    // Its name is that of nobody who is here or in a roster.
    assert((OF_PROCESS(p) & here) == 0 && !IN(me, roster | left | ended | has_left));
    here = here | BIT(me);
    here_count++
  :: else
  fi;
  // Who withdraws is not inside.
  assert(kind != WITHDRAWAL || !IN(me, roster));
  has_left = has_left | (leaves << me);
  if
  :: ends ->
    check_end();
    ended = ended & ~roster;
    agreed = 0;
    dead_at_opening = 0;
    // Who is about to learn that it has left is not forgotten yet.
    q = 0; set = 0;
    do
    :: q < P ->
      if
      :: doing[q] == LEAVE -> set = set | BIT(name[q])
      :: else
      fi;
      q++
    :: else -> break
    od;
    has_left = has_left & set;
    broken = (broken | died) & set
  :: else
  fi;
  if
  :: opens -> check_opening()
  :: else
  fi;

  // The nodes.
  left = left & ~gone_left;
  last = 0;
  do
  :: last < NAMES ->
    if
    :: IN(last, gone_here) -> remove_here(last)
    :: else
    fi;
    last++
  :: else -> break
  od;
#ifndef BUG_NO_LEFT_MARK
  if
  :: leaves && !ends -> left = left | BIT(me)
  :: else
  fi;
#endif

  // The state.
  if
  :: kind == NUMBER -> members = WANTS(me)
  :: else
  fi;
  if
  :: opens || ends || kind == NUMBER || to_crashed != my_crashed ->
    // Who is told as dead is it. One generation has one roster for as long as it lasts.
    assert((to_crashed & ~ended) == 0 && (to_crashed & has_left) == 0);
    assert(to_roster == agreed);
    roster = to_roster; crashed = to_crashed;
    fire_state_watches(p)
  :: else
  fi;
  ended = ended & (here | roster)
}

// The server does it if everything is as it has to be.
inline transact() {
  committed = ((exist_here | gone_here) & ~here) == 0 && (gone_left & ~left) == 0 && !(leaves && IN(me, left)) &&
              !(doing[p] == ARRIVE && IN(me, here));
  if
#ifdef BUG_WITHDRAW_NO_VERSION
  :: kind == WITHDRAWAL
#endif
#ifdef BUG_OPEN_NO_VERSION
  :: kind == OPENING
#endif
#ifdef BUG_END_NO_VERSION
  :: kind == END
#endif
  :: else -> committed = committed && !stale[p]
  fi;
  if
  :: committed -> commit()
  :: else
  fi
}

// --- what they do ---

inline enter() {
  assert(IN(me, roster) && roster == agreed);
  go(INSIDE);
  doing[p] = STAY
}

inline read_state() {
  ok = (changed[p] || roster == 0);   // over
  if
  :: (doing[p] == TAKE_PART || doing[p] == WITHDRAW) && IN(me, roster) -> enter()
  :: doing[p] == LEAVE && ok ->
    assert(!IN(me, broken));
    has_left = has_left & ~BIT(me);
    doing[p] = AWAIT
  :: doing[p] == AWAIT && ok -> go_home()
  :: else ->
    // Who lives and is inside is not taken for dead, nor is it over before it has left.
    assert(doing[p] != STAY && doing[p] != LEAVE || !ok && !IN(me, crashed));
    // Nor does it take another generation for its own.
    assert(doing[p] < STAY || IN(me, roster));
    my_members = members; my_roster = roster; my_crashed = crashed;
    stale[p] = 0;
#ifndef BUG_LATE_WATCH
    state_watch[p] = 1;
#endif
    at[p] = LIST
  fi
}

// newcomer: one more than the number of anybody who is here or in the roster.
inline take_name() {
#ifdef BUG_NUMBER_OF_HERE
  set = here;
#else
  set = here | my_roster;
#endif
  i = 0;
  do
  :: (set >> i) != 0 -> i++
  :: else -> break
  od;
  me = (i + P - 1) / P * P + AMONG_EQUALS(p);
  assert(me < NAMES)
}

// refuse_other_number: whether the first in line wants another number of members than we.
inline see_whether_refused() {
  i = 0;
  do
  :: here != 0 && !IN(i, here) -> i++
  :: else -> break
  od;
  ok = (here != 0 && WANTS(i) != WANTED_BY(p))
}

inline list_to_arrive() {
  see_whether_refused();
  if
  :: ok -> go_home()
  :: else ->
    take_name();
    seen = here | BIT(me);
    decide();
#ifdef BUG_ARRIVE_BLIND
    find_neighbour();
#endif
    at[p] = WRITE
  fi
}

// Unless APART=1, an arrival's two readings are one step: if the state changes between them its transaction fails.
inline read_to_arrive() {
  read_state();
#if !APART
  list_to_arrive()
#endif
}

inline list_children() {
  // Its node is there for as long as it waits.
  assert(doing[p] > WITHDRAW || IN(me, here));
  see_whether_refused();
  seen = here;
  if
  :: doing[p] == TAKE_PART && ok -> go(READ); doing[p] = WITHDRAW   // refused
  :: else ->
    decide();
    settle();
#ifdef BUG_LEAVE_NO_END
    kind = (doing[p] == LEAVE && IN(me, left) -> NONE : kind);
#endif
    if
    :: doing[p] == LEAVE && IN(me, left) && kind != END -> go(READ); doing[p] = AWAIT
    :: else ->
      if
      :: kind != NONE -> at[p] = WRITE
      :: kind == NONE && doing[p] == LEAVE -> go(READ)
      :: else ->
        find_neighbour();
        keep_neighbour();
        at[p] = WATCH
      fi
    fi
  fi
}

inline write() {
  transact();
  ok = (doing[p] == ARRIVE);
  if
  :: ok && committed -> doing[p] = TAKE_PART
  :: ok && !committed -> me = 0
  :: else
  fi;
  if
  :: !committed -> go(READ)
  :: committed && kind == WITHDRAWAL -> go_home()
  :: committed && kind != WITHDRAWAL && doing[p] == TAKE_PART && IN(me, roster) && opens -> enter()
  :: committed && ends && doing[p] >= LEAVE ->
    assert(doing[p] != LEAVE || !IN(me, died));
    has_left = has_left & ~BIT(me);
    go_home()
  :: committed && kind <= LEAVING && kind != OPENING ->
    // It knows the state, for it has written it or it is as it was, and only lists the children: after the transaction,
    // in the same round trip.
    my_roster = to_roster; my_crashed = to_crashed;
    assert(doing[p] != STAY && doing[p] != LEAVE || !IN(me, my_crashed));
    forget_step();
#ifdef BUG_ARRIVE_BLIND
    if
    :: ok -> keep_neighbour(); at[p] = WATCH
    :: else -> at[p] = LIST
    fi
#else
    at[p] = LIST
#endif
  :: else -> go(READ)
  fi
}

proctype Member(byte p) {
  bit another_session;                      // it goes on with one, after its own has ended

end:
  do
  // Who has given up its session comes again when the node of that one has gone.
  :: d_step {
      at[p] == IDLE && MAY_COME(p) && (here & OF_PROCESS(p)) == 0 ->
      arrivals[p]++;
      read_to_arrive()
    }

  :: d_step { at[p] == READ && doing[p] == ARRIVE -> read_to_arrive() }
  :: d_step { at[p] == READ && doing[p] != ARRIVE -> read_state() }
#if APART
  :: d_step { at[p] == LIST && doing[p] == ARRIVE -> list_to_arrive() }
#endif
  :: d_step { at[p] == LIST && doing[p] != ARRIVE -> list_children() }
  :: d_step { at[p] == WRITE -> write() }
  :: d_step {
      at[p] == WATCH ->
#ifdef BUG_LATE_WATCH
      state_watch[p] = 1;
#endif
#ifdef BUG_NO_NEIGHBOUR
      neighbour = NOBODY;
#endif
      if
      :: !state_watch[p] -> go(READ)   // it was itself that changed it
      :: state_watch[p] && neighbour == NOBODY -> at[p] = WAIT
      :: state_watch[p] && neighbour != NOBODY && IN(neighbour - 1, here) ->
        neighbour_watch[p] = neighbour;
        neighbour = NOBODY;
        at[p] = WAIT
      :: else -> go(READ)
      fi
    }

  // Inside it may look, and go on looking, or not. It leaves at any moment.
  :: d_step { at[p] == INSIDE -> go(READ) }
  :: d_step { doing[p] == STAY -> go(READ); doing[p] = LEAVE }

  // From outside. Who gives up, dies or loses its session before its node is there might as well not have come.
  :: d_step { TIMEOUTS && doing[p] == TAKE_PART && READ <= at[p] && at[p] <= WAIT ->
      go(READ); doing[p] = WITHDRAW }
  :: d_step { may_crash > 0 && doing[p] != ARRIVE && at[p] != GONE ->
      may_crash--; give_up_session(); go_for_ever() }
  // Who has left may exit without waiting for the others.
  :: d_step { doing[p] == AWAIT ->
      give_up_session(); go_for_ever() }
  // Who loses its session while it waits for the others may come again, who loses it later awaits the end with another.
  :: d_step { may_lose > 0 && doing[p] != ARRIVE && at[p] != GONE ->
      may_lose--;
      give_up_session();
      if
      :: doing[p] <= WITHDRAW -> go_home()
      :: else -> go(READ); doing[p] = AWAIT; another_session = 1
      fi
    }
  // Or it stays, and neither looks nor ends its session.
  :: d_step { SILENT && doing[p] == AWAIT ->
      go_for_ever() }
  od
}

inline expire(p) {
  d_step {
    (ending & OF_PROCESS(p)) != 0 ->
    last = 0;
    do
    :: !IN(last, ending & OF_PROCESS(p)) -> last++
    :: else -> break
    od;
    remove_here(last);
    ended = ended & (here | roster)
  }
}

// Who is inside does not rest, for it leaves at some time.
#define RESTS(q) (at[(q) % P] == IDLE || at[(q) % P] == GONE || at[(q) % P] == WAIT && doing[(q) % P] != STAY)

// A session ends some time after its process has. All its nodes go at once.
active proctype World() {
  do
  :: expire(0)
  :: expire(1)
  :: expire(2)
  :: expire(3)
  // Nothing happens any more, unless it comes from outside: somebody arrives, dies, gives up or loses its session. What
  // hangs now would hang for ever. Who lives has come home, or waits for others to come: then nobody is inside, and all
  // who are here are too few.
  :: d_step {
      !ENDLESS && ending == 0 && RESTS(0) && RESTS(1) && RESTS(2) && RESTS(3) ->
      q = 0;
      do
      :: q < P ->
        assert(at[q] != WAIT ||
               doing[q] == TAKE_PART && roster == 0 && members == WANTED_BY(q) && here_count < members);
        q++
      :: else -> break
      od;
      q = 0
    }
  od
}

init {
  atomic {
    i = 0;
    do
    :: i < P -> run Member(i); i++
    :: else -> break
    od
  }
}
