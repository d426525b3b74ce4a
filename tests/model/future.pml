/* future.pml: the life of a future (future_state.h): started, claimed by who waits, cancelled, waited for, told of, released.
 *
 * Steps     The transitions of future_state.h are one atomic step each, as their CAS is: start, cancel, finish (with what
 *           it says of the word at that moment), add_flag, retain, release. worker: filch__worker_handle, then
 *           filch__worker_run (thread/worker.c). claimer: run_awaited (thread/wait.c), which leaves a stale entry.
 *           user: filch_future_add_done_callback (future.c, hub.c), then filch__future_try_cancel. sleeper:
 *           filch__future_sleep (future.c) with a deadline, then result and release. notify: filch__future_notify.
 * Memory    sequentially consistent: that the orders F1 to F11 suffice is not shown here.
 * Bounds    one future; the 4 threads above; one callback, which releases its adder's reference; futex waits may return
 *           for no reason, and time out, at any time.
 * Shown     the task runs or is cancelled, once; its argument is destroyed once; its outcome is read when it is there; the
 *           callback runs once and after the end; who sleeps without a deadline wakes up; the future is freed once, and
 *           never touched again.
 * Not here  promises, hubs with cells, futures of processes (tickets.pml).
 *
 * CHECK safety DEADLINE=0
 * CHECK safety DEADLINE=1
 * CHECK progress DEADLINE=0
 * FAULT 1 outcome_after_finish: worker.c: the outcome is written when the future is done already
 * FAULT 2 wake_before_finish: future.c: the sleepers are woken before state_finish
 * FAULT 3 cancel_in_silence: future.c: finish_cancel drops and does not notify
 * FAULT 4 sleep_without_compare: future.c: filch__future_sleep sleeps on whatever the word is by then
 * FAULT 5 late_callback_left: future.c: who adds a callback too late does not run it
 * FAULT 6 start_by_store: future_state.h: state_start does not ask for how many references there are before its store
 * FAULT 7 finish_by_old_word: future_state.h: state_finish decides who is to be told by the word that it read first
 * FAULT 8 cancel_without_retain: future.c: filch__future_try_cancel without state_retain
 * FAULT 9 drop_before_telling: future_state.h: state_finish gives the reference back although somebody is to be told
 * FAULT 10 stale_entry_kept: thread/find.c: who meets a stale entry does not drop its reference
 * FAULT 11 all_callbacks_twice: hub.c: take_callbacks loads the list and does not exchange it
 * FAULT 12 add_without_retain: future.c: filch_future_add_done_callback without state_retain */
#ifndef FAULT
#define FAULT 0
#endif

mtype = { PENDING, RUNNING, CANCELLING, FINISHED, CANCELLED }

/* The state word. */
mtype life = PENDING;
bit sleepers, hub;
byte references = 4; /* of the entry, the user, the sleeper, the claimer */
#define IS_DONE (life == FINISHED || life == CANCELLED)

/* The rest. */
bit outcome, callbacks, asleep, freed;
byte ran, destroyed, called, ended;

#define USE assert(!freed)
#define FREE \
    atomic { \
        assert(!freed); \
        freed = 1 \
    }

/* state_release, filch__future_drop */
inline release() {
    atomic {
        USE;
        assert(references > 0);
        references--;
        if
        :: references == 0 -> FREE
        :: else
        fi
    }
}

inline run_callbacks() {
    atomic { /* take_callbacks */
        USE;
        mine = callbacks;
#if FAULT != 11
        callbacks = 0
#endif
    }
    if
    :: mine ->
       mine = 0;
       USE;
       assert(IS_DONE && outcome);
       called++;
       release() /* of who has added it */
    :: else
    fi
}

/* filch__future_notify: the flags are read anew */
inline notify() {
    atomic {
        USE;
        if
        :: sleepers -> asleep = 0 /* filch__futex_wake */
        :: else
        fi
    }
    if
    :: hub -> run_callbacks()
    :: else
    fi
}

/* state_finish, and what it says. */
inline finish(final, drop) {
#if FAULT == 7
    tell = sleepers || hub;
#endif
#if FAULT == 2
    asleep = 0;
#endif
    atomic {
        USE;
#if FAULT != 7
        tell = sleepers || hub;
#endif
        last = 0;
        if
        :: !tell && drop && references == 1 -> last = 1
        :: else ->
           life = final;
#if FAULT == 9
           references = references - drop
#else
           references = references - (!tell && drop)
#endif
        fi
    }
    if
    :: last -> FREE
    :: !last && tell ->
#if FAULT != 2
       notify();
#endif
       if
#if FAULT == 9
       :: drop && references == 0 -> FREE
       :: else
#else
       :: drop -> release()
       :: else
#endif
       fi
    :: else
    fi;
    atomic { tell = 0; last = 0 }
}

/* state_start */
inline start() {
#if FAULT == 6
    USE;
    won = life == PENDING;
    if
    :: won -> life = RUNNING
    :: else
    fi
#else
    atomic {
        USE;
        won = life == PENDING;
        if
        :: won -> life = RUNNING
        :: else
        fi
    }
#endif
}

inline run_task(drop) {
    atomic { USE; ran++ }
    atomic { USE; destroyed++ }
#if FAULT == 1
    finish(FINISHED, drop);
    USE;
    outcome = 1
#else
    atomic { USE; outcome = 1 }
    finish(FINISHED, drop)
#endif
}

/* Has the entry, and its reference. */
active proctype worker() {
    bit won, tell, last, mine;
    start();
    if
    :: won -> run_task(1)
    :: else ->
#if FAULT == 10
       skip
#else
       release()
#endif
    fi;
    ended++
}

/* A worker that waits for it, and runs it on top if it has not started. */
active proctype claimer() {
    bit won, tell, last, mine;
    start();
    if
    :: won -> run_task(0)
    :: else
    fi;
    release();
    ended++
}

active proctype user() {
    bit won, tell, last, mine, late;
#if FAULT != 12
    atomic { USE; references++ } /* state_retain */
#endif
    atomic { USE; callbacks = 1 } /* filch__hub_add_callback */
    atomic { USE; late = IS_DONE; hub = 1 } /* state_add_flag */
    if
    :: late ->
#if FAULT != 5
       run_callbacks();
#endif
#if FAULT != 12
       release()
#endif
    :: else ->
#if FAULT != 12
       release();
#endif
       /* The callback may have run by then, and released our reference. */
       atomic {
           if
           :: called -> won = 0
           :: !called ->
              USE;
              won = life == PENDING;
              if
              :: won -> life = CANCELLING
              :: else
              fi
           fi
       }
       if
       :: won ->
#if FAULT != 8
          atomic { USE; references++ } /* state_retain */
#endif
          atomic { USE; destroyed++ }
          atomic { USE; outcome = 1 }
#if FAULT == 3
          atomic { USE; life = CANCELLED }
#else
          finish(CANCELLED, 0);
#endif
#if FAULT == 8
          USE /* the future is the caller's until try_cancel returns */
#else
          release()
#endif
       :: else
       fi
    fi;
    ended++
}

/* filch__future_sleep */
active proctype sleeper() {
    bit done, flagged;
    byte spurious;
    atomic { USE; done = IS_DONE; flagged = sleepers }
    do
    :: done -> break
    :: !done && !flagged ->
       atomic { USE; done = IS_DONE; sleepers = 1; flagged = 1 } /* state_add_flag */
    :: !done && flagged ->
       atomic { /* the kernel compares the word, and sleeps */
           USE;
#if FAULT == 4
           asleep = 1
#else
           if
           :: !IS_DONE -> asleep = 1
           :: else
           fi
#endif
       }
       if
       :: !asleep
       :: spurious < 1 -> asleep = 0; spurious++
#if DEADLINE
       :: asleep = 0; break /* it is over */
#endif
       fi;
       atomic { USE; done = IS_DONE }
    od;
    if
    :: done -> atomic { USE; assert(outcome) }
    :: else
    fi;
    release();
    ended++
}

init {
    timeout ->
    assert(ended == 4);
    assert(freed && references == 0 && called == 1);
    assert(destroyed == 1 && ran <= 1)
}
