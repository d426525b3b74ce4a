/* lanes.pml: a fork without a fence is seen by a worker that goes to sleep (thread/README.md, Forks: who asks, and who
 * is told; sleep.h), and of the owner's pop and a thief's force one gets the call (lane.h, why the force is right).
 *
 * Steps     fork: filch_lane_push (filch/lane.h, L1, L6), slow: filch__worker_fork (frames.c), which publishes and tells
 *           (S1). Pop: filch_lane_pop (L3, L4), slow: filch__lane_reclaim (lane.c). Sleeper: W2, W3 (idle.c), with
 *           filch__crew_ask (crew.c, L7, then membarrier), filch__lane_has_any (lane.h). Force: filch__lane_force.
 * Memory    x86-TSO: the owner's stores of `pos` and `guard` wait in a buffer, in their order. BARRIER is membarrier(2):
 *           it empties the other's buffer, as the kernel's interrupt does, at one moment.
 * Bounds    1 owner, 2 calls deep, twice; 1 worker that sleeps, steals, forces.
 * Shown     a call that waits beside a sleeper is told of; each call runs once; nobody waits for ever.
 * Not here  who else is told (eventcount.pml), calls that are stolen being joined, roots.
 *
 * CHECK safety ROUNDS=2 ALWAYS_FORCE=0
 * CHECK progress ROUNDS=1 ALWAYS_FORCE=1
 * FAULT 1 ask_without_barrier: crew.c: ask without filch__barrier_everywhere
 * FAULT 2 barrier_before_ask: crew.c: ask makes the barrier before it sets the limits
 * FAULT 3 force_without_barrier: lane.c: filch__lane_force without filch__barrier_everywhere
 * FAULT 4 force_without_guard: lane.c: filch__lane_force does not raise the guard
 * FAULT 5 guard_before_pos: filch/lane.h: filch_lane_pop loads guard before it stores pos
 * FAULT 6 ask_before_announce: idle.c: filch__crew_ask before sleep_announce
 * FAULT 7 reclaim_without_version: lane.h: lane_word keeps the version
 * FAULT 8 slow_fork_in_silence: frames.c: filch__worker_fork publishes and tells nobody
 * FAULT 9 guard_left_by_publish: lane.c: filch__lane_publish, whose CAS has failed, ends without another
 * FAULT 10 guard_left_by_reclaim: lane.c: the same of filch__lane_reclaim */
#ifndef FAULT
#define FAULT 0
#endif
#define FULL 1 /* lane.limit: no fork is slow; NULL (0): each is */

/* lane.h: top, split and version are one word: read and changed as one */
byte top, split, version;
byte pos, guard, limit; /* as all but the owner see them */
chan buffer = [3] of { byte } /* the owner's stores of pos that nobody else sees yet */
bit announced, parked;  /* the sleeper's: SLEEPING in the word of sleep.h, and its parker */
byte ran[2];
bit done[2];            /* status of a slot */
bit stolen, over;

/* The owner's fence or locked operation waits until its stores are seen. */
#define FENCE empty(buffer)
/* membarrier(2), by another thread */
#define BARRIER \
    atomic { \
        do \
        :: buffer?pos \
        :: empty(buffer) -> break \
        od \
    }

active proctype store_buffer() {
end_buffer:
    do
    :: buffer?pos
    od
}

#if FAULT == 7
#define NEXT version
#else
#define NEXT (version + 1)
#endif

#define GUARD(value) atomic { FENCE -> guard = value } /* stores are seen in their order */
#define SAME (top == t && split == s && version == v)

/* frames.c: answer, when `used` slots are in use: filch__lane_publish, then filch__crew_tell_own */
inline answer(used) {
    atomic { FENCE -> limit = FULL } /* set_limit; stores are seen in their order */
    FENCE;                           /* S1 */
    if
    :: announced -> limit = 0
    :: else
    fi;
    lowered = 0;
    do
    :: d_step { t = top; s = split; v = version };
       n = s + (used - s + 1) / 2;
       if
       :: s == used || t < s ->
          if
          :: !lowered -> n = s; break
          :: else -> n = s
          fi
       :: else
       fi;
       GUARD(n);
       atomic {
           if
           :: SAME && FENCE -> split = n; version = NEXT; break
           :: !SAME
           fi
       }
#if FAULT != 9
       lowered = 1
#endif
    od;
#if FAULT != 8
    if
    :: t < n -> /* filch__crew_tell_own */
       FENCE;
       if
       :: announced -> parked = 0
       :: else
       fi
    :: else
    fi;
#endif
    atomic { t = 0; s = 0; v = 0; n = 0; lowered = 0 }
}

inline fork(i) {
    buffer!(i + 1); /* L1 */
    if              /* L6 */
    :: limit == 0 -> answer(i + 1)
    :: else
    fi
}

/* lane.c: filch__lane_reclaim; own: not stolen */
inline join_slow(i) {
    lowered = 0;
    do
    :: d_step { t = top; s = split; v = version };
       own = i >= t;
       if
       :: !own && !lowered -> break
       :: else
       fi;
       if
       :: !own || i >= s -> n = s
       :: else -> n = t + (i - t) / 2
       fi;
       GUARD(n);
       atomic {
           if
           :: SAME && FENCE -> split = n; version = NEXT; break
           :: !SAME
           fi
       }
#if FAULT != 10
       lowered = 1
#endif
    od;
    atomic { t = 0; s = 0; v = 0; n = 0; lowered = 0 }
    if
    :: own && limit == 0 -> answer(i)
    :: else
    fi
}

inline join_begin(i) {
    own = 1;
#if FAULT == 5
    n = guard;
    buffer!i;
    if
    :: i < n -> n = 0; join_slow(i)
    :: else -> n = 0
    fi;
#else
    buffer!i; /* L3 */
    if        /* L4 */
    :: i < guard -> join_slow(i)
    :: else
    fi;
#endif
    if
    :: own -> ran[i]++
    :: else -> buffer!(i + 1) /* frames.c: join_stolen */
    fi
}

/* If it was stolen: its thief says that it is done; filch__lane_reset. */
inline join_end(i) {
    if
    :: own
    :: !own ->
       done[i];
       done[i] = 0;
       buffer!i;
       GUARD(i);
       atomic { FENCE -> top = i; split = i; version = NEXT }
    fi;
    own = 0;
    assert(ran[i] == 1);
    ran[i] = 0
}

active proctype owner() {
    byte t, s, v, n, rounds;
    bit own, lowered;
    do
    :: rounds < ROUNDS ->
       stolen = 0;
       fork(0);
       if
       :: true -> stolen /* it computes until somebody has come for a call */
       :: true ->
          fork(1);
          if
          :: true -> stolen
          :: true
          fi;
          join_begin(1);
          join_end(1)
       :: true
       fi;
       join_begin(0);
       if
       :: !own -> /* leapfrogging: what it runs meanwhile forks as well */
          fork(1);
          join_begin(1);
          join_end(1);
          own = 0
       :: true
       fi;
       join_end(0);
       rounds++
    :: else -> break
    od;
    over = 1
}

inline run_call(k) {
    atomic { stolen = 1; ran[k]++ }
    done[k] = 1;
    atomic { t = 0; s = 0; v = 0 }
}

#define STEAL_CAS(next_top, next_split, next_version) \
    atomic { \
        if \
        :: top == t && split == s && version == v -> \
           top = next_top; \
           split = next_split; \
           version = next_version; \
           got = 1 \
        :: else \
        fi \
    }

/* lane.c: filch__lane_steal, filch__lane_force; whether it is time to force is the clock's to say. */
inline steal_or_force() {
    got = 0;
    d_step { t = top; s = split; v = version };
    if
    :: t < s ->
       STEAL_CAS(t + 1, s, v)
       if
       :: got -> run_call(t)
       :: else
       fi
    :: else ->
       limit = 0; /* filch__lane_ask */
       if
       :: true ->
          d_step { t = top; s = split; v = version };
          if
          :: t < s || s > 1
          :: else ->
#if FAULT != 4
             atomic {
                 if
                 :: guard < s + 1 -> guard = s + 1 /* raise_guard */
                 :: else
                 fi
             }
#endif
#if FAULT != 3
             BARRIER;
#endif
             if
             :: pos <= s
             :: else ->
                STEAL_CAS(s + 1, s + 1, NEXT)
                if
                :: got -> run_call(s)
                :: else
                fi
             fi
          fi
#if !ALWAYS_FORCE
       :: true
#endif
       fi
    fi;
    atomic { t = 0; s = 0; v = 0 }
}

/* lane.h: filch__lane_has_any */
inline has_any() {
    d_step { t = top; s = split };
    atomic { seen = t < s || pos > s; t = 0; s = 0 }
}

active proctype worker() {
    byte t, s, v;
    bit got, seen;
    do
    :: steal_or_force();
       if
       :: !got ->
          parked = 1; /* W2 */
#if FAULT == 6
          limit = 0;
          BARRIER;
          announced = 1;
#else
          announced = 1;
#if FAULT == 2
          BARRIER;
          limit = 0;
#else
          limit = 0; /* filch__crew_ask */
#if FAULT != 1
          BARRIER;
#endif
#endif
#endif
          has_any(); /* W3 */
          if
          :: seen -> parked = 0
          :: else ->
end_parked:
             !parked
          fi;
          atomic { announced = 0; seen = 0 }
       :: else
       fi
    od
}

init {
    timeout -> assert(over)
}
