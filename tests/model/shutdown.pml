/* shutdown.pml: the end of a pool against workers that park, a submitter that is late, and a cancel that is going on
 * (thread/README.md, Shutdown: E1 to E6, W6; home.h, H2 to H5).
 *
 * Steps     submitter: submit, inject, take_back (pool.c). worker: filch__worker_look, filch__worker_handle, W2 to W6
 *           (idle.c), crew_one_less (crew.c). closer: close_pool (E1, E2), filch__pool_drain (E3), wait_for_end (E6),
 *           await_cancels (shutdown.c). canceller: filch__future_try_cancel (future.c).
 * Memory    sequentially consistent; what the fences are for is in eventcount.pml.
 * Bounds    N workers, awake at first, who may all be awake; TASKS submits from outside while it ends; one shutdown with
 *           FILCH_WAIT, with FILCH_CANCEL_PENDING (CANCEL=1) or without; one cancel of the first task (USERS=1).
 * Shown     the shutdown returns, the workers are gone; then each task that was accepted has run or is cancelled, and a
 *           task that was refused never runs; with CANCEL_PENDING nothing that was accepted before is pending or half
 *           cancelled when the drain is over.
 * Not here  several shutdowns at once, callbacks, breaking, exit.
 *
 * CHECK safety N=2 CANCEL=0 TASKS=2 USERS=0
 * CHECK safety N=1 CANCEL=1 TASKS=2 USERS=0
 * CHECK safety N=1 CANCEL=1 TASKS=1 USERS=1
 * CHECK progress N=2 CANCEL=0 TASKS=1 USERS=0
 * CHECK progress N=1 CANCEL=1 TASKS=1 USERS=0
 * FAULT 1 submit_without_look: pool.c: inject does not look at `ending` after the push
 * FAULT 2 leave_without_look: idle.c: leave_for_ever does not ask filch__crew_sees_work
 * FAULT 3 sleepers_not_woken: shutdown.c: close_pool without filch__crew_wake_all
 * FAULT 4 hands_not_awaited: shutdown.c: sum_of_empty_hands does not wait for those that are open
 * FAULT 5 hand_opened_late: find.c: filch__hand_open after the take
 * FAULT 6 one_drain: shutdown.c: filch__pool_drain does not look again at what workers have moved
 * FAULT 7 last_one_in_silence: idle.c: leave_for_ever without filch__crew_one_less
 * FAULT 8 ending_ignored_in_sleep: idle.c: sleep_until_told does not look at `ending`
 * FAULT 9 flag_after_wake: shutdown.c: close_pool sets `ending` when it has woken the sleepers
 * FAULT 10 cancels_not_awaited: shutdown.c: filch__pool_shutdown without await_cancels
 * FAULT 11 cancel_counted_late: future.c: filch__home_begin_cancel after the transition */
#ifndef FAULT
#define FAULT 0
#endif
#define MAX 2

/* sleep.h: the word */
#define SEARCHING_ONE 1
#define SLEEPING_ONE 4
#define STARTED_ONE 16
#define WAKING_BIT 64
#define CLOSING_BIT 128
#define SEARCHING(w) ((w) & 3)
#define SLEEPING(w) (((w) >> 2) & 3)
#define STARTED(w) (((w) >> 4) & 3)
#define AWAKE(w) (STARTED(w) - SLEEPING(w))
byte word = N * STARTED_ONE + N * SEARCHING_ONE;
bit parked[2];

bit closing, cancelling_all, ended; /* `ending`: POOL_CLOSING, POOL_CANCELLING */
byte injector, queue[2];            /* sets of tasks: 1 << task; the older first */
bit hand[2], opened[2]; /* opened: the count has changed since the drainer has read it */
byte cancels;                       /* home->cancelling */

mtype = { NONE, PENDING, RUNNING, CANCELLING, CANCELLED, FINISHED }
mtype life[TASKS] = NONE;
bit accepted[TASKS], refused[TASKS], ran[TASKS];
byte gone, over;

#define OLDEST(set) (((set) & 1) -> 0 : 1)
#define IS_DONE(t) (life[t] == FINISHED || life[t] == CANCELLED)

/* state_leave_pending */
inline leave_pending(t, to) {
    atomic {
        won = life[t] == PENDING;
        if
        :: won -> life[t] = to
        :: else
        fi
    }
}

/* filch__future_try_cancel */
inline try_cancel(t) {
    if
    :: life[t] == PENDING ->
#if FAULT != 11
       cancels++;
#endif
       leave_pending(t, CANCELLING);
#if FAULT == 11
       cancels++;
#endif
       if
       :: won -> life[t] = CANCELLED
       :: else
       fi;
       cancels--
    :: else
    fi;
    won = 0
}

/* filch__crew_sees_work; here at one moment */
#define SEES_WORK (injector != 0 || queue[0] != 0 || queue[1] != 0)
#define OTHER (1 - me)

inline unpark_one() {
    atomic {
        if
        :: parked[0] -> parked[0] = 0
        :: !parked[0] && parked[1] -> parked[1] = 0
        :: else
        fi
    }
}

/* filch__crew_tell; decided and done at one moment, but that the sleeper is unparked later */
inline crew_tell() {
    atomic {
        if
        :: SEARCHING(word) == 0 && AWAKE(word) < MAX && (word & WAKING_BIT) == 0 && SLEEPING(word) != 0 && SEES_WORK ->
           word = word | WAKING_BIT;
           tell = 1
        :: else
        fi
    }
    if
    :: tell -> tell = 0; unpark_one()
    :: else
    fi
}

active proctype submitter() {
    byte t;
    bit tell, won;
    do
    :: t < TASKS ->
       if
       :: closing -> refused[t] = 1
       :: else ->
          life[t] = PENDING;
          injector = injector | (1 << t); /* P1 */
          crew_tell();
#if FAULT != 1
          if
          :: closing -> /* take_back */
             leave_pending(t, CANCELLED);
             if
             :: won -> refused[t] = 1
             :: else -> accepted[t] = 1
             fi;
             won = 0
          :: else -> accepted[t] = 1
          fi
#else
          accepted[t] = 1
#endif
       fi;
       t++
    :: else -> break
    od;
    over++
}

/* A user cancels the first task, if it was accepted. */
#if USERS
active proctype canceller() {
    bit won;
    if
    :: accepted[0] -> try_cancel(0)
    :: refused[0]
    fi;
    over++
}
#endif

#if CANCEL
#define OPEN_HAND(me) atomic { hand[me] = 1; opened[me] = closing }
#define EMPTY_HAND(me) hand[me] = 0
#else
#define OPEN_HAND(me) skip
#define EMPTY_HAND(me) skip
#endif

/* filch__worker_look: own, outside, the other's, here at one moment; t == 255: nothing. Of what is outside the rest is in
 * the hand for a while (w), then in the own queue. */
inline look(me) {
#if FAULT != 5
    OPEN_HAND(me);
#endif
    atomic {
        if
        :: queue[me] != 0 -> t = OLDEST(queue[me]); queue[me] = queue[me] & ~(1 << t)
        :: queue[me] == 0 && injector != 0 ->
           t = OLDEST(injector);
           w = injector & ~(1 << t);
           injector = 0
        :: queue[me] == 0 && injector == 0 && queue[OTHER] != 0 ->
           t = OLDEST(queue[OTHER]);
           queue[OTHER] = queue[OTHER] & ~(1 << t)
        :: else ->
           t = 255;
#if FAULT != 5
           EMPTY_HAND(me)
#endif
        fi
    }
#if FAULT == 5
    if
    :: t != 255 -> OPEN_HAND(me)
    :: else
    fi;
#endif
    if
    :: w != 0 -> atomic { queue[me] = queue[me] | w; w = 0 }
    :: else
    fi
}

proctype worker(byte me) {
    byte w, t;
    bit tell, won, searching = 1, leave;
again:
    look(me);
    if
    :: t != 255 ->
       if
       :: searching ->
          atomic { word = word - SEARCHING_ONE; searching = 0 } /* filch__worker_found */
          crew_tell()
       :: else -> crew_tell() /* tell_of_moved */
       fi;
       if /* filch__worker_claim */
       :: cancelling_all -> try_cancel(t)
       :: else -> leave_pending(t, RUNNING)
       fi;
       EMPTY_HAND(me);
       if
       :: won -> atomic { assert(!ran[t]); ran[t] = 1; life[t] = FINISHED; won = 0 }
       :: else
       fi;
       t = 0;
       goto again
    :: else -> t = 0
    fi;
    if /* sleep_try_search */
    :: !searching -> atomic { word = word + SEARCHING_ONE; searching = 1 } goto again
    :: else
    fi;
    if
    :: closing -> /* leave_for_ever (W6) */
#if FAULT != 2
       if
       :: SEES_WORK -> goto again
       :: else
       fi;
#endif
       atomic {
           word = word - STARTED_ONE - SEARCHING_ONE;
#if FAULT != 7
           if
           :: STARTED(word) == 0 && (word & CLOSING_BIT) != 0 -> ended = 1
           :: else
           fi
#endif
       }
       goto left
    :: else
    fi;
    parked[me] = 1; /* W2 */
    atomic { word = word + SLEEPING_ONE - SEARCHING_ONE; searching = 0 }
    do /* sleep_until_told */
    :: true ->
       if
#if FAULT != 8
       :: closing -> parked[me] = 0
#endif
       :: (word & WAKING_BIT) != 0 || (AWAKE(word) < MAX && SEES_WORK) -> parked[me] = 0
       :: else ->
end_parked:
          !parked[me]
       fi;
       atomic { /* sleep_leave (W5) */
           word = word & ~WAKING_BIT;
           if
           :: AWAKE(word) < MAX -> word = word - SLEEPING_ONE + SEARCHING_ONE; searching = 1
           :: AWAKE(word) >= MAX && (word & CLOSING_BIT) != 0 -> /* unreached: nobody is BLOCKED or BUSY beside two others */
              word = word - SLEEPING_ONE - STARTED_ONE; /* unreached: as above */
              leave = 1                                 /* unreached: as above */
           :: else                                      /* unreached: as above */
           fi
       }
       if
       :: searching -> goto again
       :: leave -> goto left             /* unreached: as above */
       :: else -> parked[me] = 1         /* unreached: as above */
       fi
    od;
left:
    gone++
}

/* End of one queue's entries by who drains. */
inline drain_set(set) {
    do
    :: atomic { set != 0 -> t = OLDEST(set); set = set & ~(1 << t) }
       try_cancel(t);
       found = 1
    :: else -> break
    od;
    t = 0
}

/* sum_of_empty_hands: is it another than before? */
inline sum_of_hands() {
#if FAULT == 4
    atomic { changed = opened[0]; opened[0] = 0 }
    atomic { changed = changed | opened[1]; opened[1] = 0 }
#else
    atomic { !hand[0] -> changed = opened[0]; opened[0] = 0 }
    atomic { !hand[1] -> changed = changed | opened[1]; opened[1] = 0 }
#endif
}

active proctype closer() {
    byte t, before_end;
    bit won, found, changed;
#if FAULT != 9
    closing = 1; /* E1 */
    cancelling_all = CANCEL;
#endif
    /* What was accepted so far is not to be left pending by a drain. */
    atomic {
        before_end = accepted[0];
#if TASKS > 1
        before_end = before_end | (accepted[1] << 1);
#endif
    }
    atomic { /* E2 */
        word = word | CLOSING_BIT;
        if
        :: STARTED(word) == 0 -> ended = 1
        :: else
        fi
    }
#if FAULT != 3
    parked[0] = 0;
    parked[1] = 0;
#endif
#if FAULT == 9
    closing = 1;
    cancelling_all = CANCEL;
#endif
#if CANCEL
    do /* filch__pool_drain (E3) */
    :: sum_of_hands();
       found = 0;
       drain_set(injector);
       drain_set(queue[0]);
       drain_set(queue[1]);
#if FAULT == 6
       break;
#endif
       if
       :: !found ->
          sum_of_hands();
          if
          :: !changed -> break
          :: else
          fi
       :: else
       fi
    od;
    changed = 0;
    assert((before_end & 1) == 0 || life[0] != PENDING);
#if TASKS > 1
    assert((before_end & 2) == 0 || life[1] != PENDING);
#endif
#endif
    ended; /* E6 */
    gone == N;
#if FAULT != 10
    cancels == 0; /* filch__home_await_cancels */
#endif
    assert(!accepted[0] || IS_DONE(0));
#if TASKS > 1
    assert(!accepted[1] || IS_DONE(1));
#endif
    over++
}

init {
    atomic { run worker(0) }
#if N > 1
    run worker(1);
#endif
    timeout ->
    assert(over == 2 + USERS && gone == N && STARTED(word) == 0 && cancels == 0);
    assert(accepted[0] != refused[0] && !(refused[0] && ran[0]) && (!accepted[0] || IS_DONE(0)));
#if TASKS > 1
    assert(accepted[1] != refused[1] && !(refused[1] && ran[1]) && (!accepted[1] || IS_DONE(1)))
#endif
}
