/* eventcount.pml: published work is found although workers sleep (thread/README.md, Sleep: P1 to P4, W1 to W6).
 *
 * Steps     P1 queue_push (deque.h, filch__deque_push), P2 FENCE (pool.h, filch__crew_tell), P3 crew_call, P4
 *           unpark_one (crew.c); W1 search (find.c), W2, W3, W5 sleep_until_told (idle.c), W4 worker_found (idle.c),
 *           retire (idle.c, filch__worker_retire). The word is that of sleep.h, one atomic step for each transition.
 * Memory    x86-TSO: each worker has a store buffer (`bottom` of its deque, its parker's word), which drains at any
 *           time, at a fence, a locked operation and a system call. A fence that only weaker machines need (between
 *           a CAS and a load) is left out, in a fault, by doing the load first.
 * Bounds    2 workers that are started, of whom 2 may be awake, or 1 (so that one retires, or stays asleep); 2 submits
 *           from outside, 1 from inside. Where 2 may be awake the first task computes until others have begun all
 *           that is queued.
 * Shown     nobody waits for ever; in the end all has run, all are parked, and WAKING is clear.
 * Not here  new threads, BLOCKED (spares.pml), forks (lanes.pml), shutdown (shutdown.pml).
 *
 * CHECK safety MAX=2 SUBMITS=2 CHILDREN=1
 * CHECK safety MAX=2 SUBMITS=2 CHILDREN=0
 * CHECK safety MAX=1 SUBMITS=2 CHILDREN=0
 * CHECK progress MAX=2 SUBMITS=1 CHILDREN=0
 * CHECK progress MAX=1 SUBMITS=1 CHILDREN=0
 * FAULT 1 push_without_fence: pool.h: filch__crew_tell without fence_seq_cst (S1)
 * FAULT 2 no_second_look: idle.c: sleep_until_told does not ask filch__crew_sees_work
 * FAULT 3 look_without_fence: idle.c: sleep_until_told without fence_seq_cst (S2): the look comes before the announcement
 * FAULT 4 tell_before_push: pool.c: inject calls filch__crew_tell_after_push before filch__stack_push
 * FAULT 5 last_searcher_leaves: idle.c: filch__worker_found does not look once more
 * FAULT 6 moved_in_silence: find.c: tell_of_moved does nothing
 * FAULT 7 commit_without_cas: sleep.h: sleep_commit stores what it has decided, whatever the word is by then
 * FAULT 8 wakeup_swallowed: idle.c: filch__worker_retire does not pass a wake-up on
 * FAULT 9 scan_without_fence: crew.c: filch__crew_unpark_one without fence_seq_cst: the words are read before WAKING is set
 * FAULT 10 push_without_tell: pool.c: submit_inside without filch__crew_tell_own */
#ifndef FAULT
#define FAULT 0
#endif

/* sleep.h: the word */
#define N 2
#define SEARCHING_ONE 1
#define SLEEPING_ONE 4
#define WAKING_BIT 16
#define SEARCHING(w) ((w) & 3)
#define SLEEPING(w) (((w) >> 2) & 3)
#define AWAKE(w) (N - SLEEPING(w))
#define WANTS(w) (SEARCHING(w) == 0 && AWAKE(w) < MAX)
byte word = (N - 1) * SEARCHING_ONE; /* worker 0 is BUSY, as if it had been blocked */

bit parked[N], parked_buffered[N];
byte injector, queue[N], queue_buffered[N];
byte finished;
#define QUEUED (injector + queue[0] + queue[1] + queue_buffered[0] + queue_buffered[1])
#define PARKED (parked[0] | (parked[1] << 1))
bit holder = MAX > 1;

#define FENCE(i) \
    atomic { \
        queue[i] = queue[i] + queue_buffered[i]; \
        queue_buffered[i] = 0; \
        parked[i] = parked[i] | parked_buffered[i]; \
        parked_buffered[i] = 0; \
    }

/* What a worker does not need any more. */
#define RESET \
    atomic { \
        w = 0; \
        k = 0; \
        v = 0; \
        seen = 0; \
        found = 0; \
        more = 0; \
        before = 0; \
        seen_before = 0 \
    }

/* The store buffers of the CPUs. */
active proctype buffers() {
end_buffers:
    do
    :: atomic { queue_buffered[0] + parked_buffered[0] != 0 -> FENCE(0) }
    :: atomic { queue_buffered[1] + parked_buffered[1] != 0 -> FENCE(1) }
    od
}

/* crew.c: filch__crew_sees_work; each queue at its own time. `me` sees what it has in its own buffer. */
inline sees_work(me) {
    seen = injector != 0;
    k = 0;
    do
    :: !seen && k < N ->
       d_step {
           seen = queue[k] != 0 || (k == me && queue_buffered[k] != 0);
           k++
       }
    :: else -> break
    od
}

/* crew.c: filch__crew_unpark_one */
inline unpark_one() {
    k = 0;
    do
    :: k < N ->
       atomic {
           if
#if FAULT == 9
           :: (before & (1 << k)) != 0 && parked[k] -> parked[k] = 0; break
#else
           :: parked[k] -> parked[k] = 0; break
#endif
           :: else -> k++
           fi
       }
    :: else -> break
    od
}

/* crew.c: filch__crew_call; the sleepers are all there is to be told (started == limit). */
inline crew_call(me) {
    w = word;
    do
    :: !WANTS(w) -> break
    :: WANTS(w) && (w & WAKING_BIT) != 0 && !(SLEEPING(w) > 1 && AWAKE(w) + 1 < MAX) -> break
    :: WANTS(w) && (w & WAKING_BIT) != 0 && SLEEPING(w) > 1 && AWAKE(w) + 1 < MAX ->
       sees_work(me);
       if
       :: seen -> unpark_one()
       :: else
       fi;
       break
    :: WANTS(w) && (w & WAKING_BIT) == 0 ->
       sees_work(me);
       if
       :: !seen -> break
       :: else -> atomic { seen = 0; k = 0 }
       fi;
#if FAULT == 9
       before = PARKED;
#endif
       atomic {
           if
#if FAULT == 7
           :: true -> word = w | WAKING_BIT; w = 255
#else
           :: word == w -> word = w | WAKING_BIT; w = 255
           :: else -> w = word
#endif
           fi
       }
       if
       :: w == 255 -> unpark_one(); break
       :: else
       fi
    od
}

/* pool.h: filch__crew_tell; the outside's push is a locked operation itself. */
inline crew_tell(me) {
#if FAULT != 1
    if
    :: me < N -> FENCE(me)
    :: else
    fi;
#endif
    crew_call(me)
}

/* idle.c: filch__worker_found */
inline worker_found(me) {
    if
    :: searching ->
       searching = 0;
       atomic {
           word = word - SEARCHING_ONE;
           FENCE(me);
           more = SEARCHING(word) == 0 && AWAKE(word) < MAX && SLEEPING(word) != 0
       }
#if FAULT != 5
       if
       :: more ->
          sees_work(me);
          if
          :: seen -> crew_tell(me)
          :: else
          fi
       :: else
       fi;
#endif
       RESET
    :: else
    fi
}

/* idle.c: sleep_until_told. SLEEPING, with a prepared parker. */
inline sleep_until_told(me) {
    do
    :: true ->
       atomic {
#if FAULT != 3
           FENCE(me);
#endif
           w = word
       }
#if FAULT == 2
       seen = 0;
#elif FAULT == 3
       seen = seen_before; /* the loads passed the announcement */
#else
       seen = 0;
       if
       :: AWAKE(w) < MAX -> sees_work(me)
       :: else
       fi;
#endif
       if
       :: (w & WAKING_BIT) != 0 || seen ->
          atomic { FENCE(me); parked[me] = 0 } /* filch__park_cancel */
       :: else ->
          atomic { FENCE(me); RESET } /* the system call */
end_parked:
          !parked[me]
       fi;
       atomic { /* sleep_leave (W5) */
           if
           :: AWAKE(word) < MAX ->
              word = (word & ~WAKING_BIT) - SLEEPING_ONE + SEARCHING_ONE;
              searching = 1
           :: else ->
              word = word & ~WAKING_BIT;
              searching = 0
           fi;
           FENCE(me)
       }
       RESET;
       if
       :: searching -> break
       :: else -> parked_buffered[me] = 1 /* filch__park_prepare */
       fi
    od
}

/* find.c: what there is: own, injector, others'. */
inline look(me) {
    found = 0;
    FENCE(me);
    if
    :: atomic { queue[me] != 0 -> queue[me]--; found = 1 }
    :: else
    fi;
    if
    :: !found ->
       atomic { hand = injector; injector = 0; found = hand != 0 } /* filch__stack_take_all */
       if
       :: found ->
          hand--;
          if
          :: hand != 0 ->
             queue_buffered[me] = queue_buffered[me] + hand; /* keep_inbound */
             hand = 0;
#if FAULT != 6
             if /* tell_of_moved */
             :: !searching -> crew_tell(me)
             :: else
             fi
#endif
          :: else
          fi
       :: else
       fi
    :: else
    fi;
    v = 0;
    do
    :: !found && v < N ->
       atomic {
           if
           :: queue[v] != 0 -> queue[v]--; found = 1
           :: else
           fi;
           v++
       }
    :: else -> break
    od
}

/* The first task may submit another, and computes until others have begun all that is queued. */
inline run_task(me) {
    if
    :: atomic { holder != 0 -> holder = 0 }
#if CHILDREN
       queue_buffered[me]++;
#if FAULT != 10
       crew_tell(me);
#endif
#endif
       QUEUED == 0
    :: else
    fi;
    finished++
}

/* worker.c: filch__worker_main */
proctype worker(byte me; bit searching) {
    byte w, k, v, hand;
    bit seen, seen_before, found, more;
    byte before;
main_loop:
    RESET;
    if /* retire_if_too_many */
    :: !searching ->
       parked[me] = 1; /* filch__park_prepare; a CAS follows */
       atomic {
           if
           :: AWAKE(word) > MAX -> FENCE(me); word = word + SLEEPING_ONE; w = 1
           :: else -> w = 0
           fi
       }
       if
       :: w == 1 -> sleep_until_told(me)
       :: else ->
          atomic { FENCE(me); w = parked[me]; parked[me] = 0 } /* filch__park_cancel */
#if FAULT != 8
          if
          :: w == 0 -> unpark_one()
          :: else
          fi
#endif
       fi
    :: else
    fi;
find:
    RESET;
    look(me);
    if
    :: found -> worker_found(me); run_task(me); goto main_loop
    :: else
    fi;
#if MAX != 1
    if
    :: !searching -> /* sleep_try_search (W1) */
       atomic { word = word + SEARCHING_ONE; FENCE(me); searching = 1 }
       goto find
    :: else
    fi;
#endif
    /* sleep_now (W2) */
    RESET;
#if FAULT == 3
    sees_work(me);
    seen_before = seen;
#endif
    parked[me] = 1; /* filch__park_prepare; a CAS follows */
    atomic {
        word = word + SLEEPING_ONE - searching * SEARCHING_ONE;
        searching = 0;
#if FAULT != 3
        FENCE(me)
#endif
    }
    sleep_until_told(me);
    goto find
}

/* A thread outside submits twice: pool.c, inject. */
active proctype submitter() {
    byte w, k, n;
    bit seen;
    byte before;
    do
    :: n < SUBMITS ->
#if FAULT == 4
       crew_call(N);
       injector++;
#else
       injector++; /* filch__stack_push is a full barrier (I1) */
       crew_call(N);
#endif
       atomic { w = 0; k = 0; seen = 0; before = 0; n++ }
    :: else -> break
    od
}

init {
    atomic { run worker(0, 0); run worker(1, 1) }
    timeout ->
    assert(finished == SUBMITS + CHILDREN);
    assert(SLEEPING(word) == N && SEARCHING(word) == 0 && (word & WAKING_BIT) == 0)
}
