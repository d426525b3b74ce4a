/* spares.pml: a task that waits parks its worker, and a sleeper or a new thread takes the place (thread/block.c, crew.c,
 * sleep.h; thread/README.md, Waiting inside a task).
 *
 * Steps     park: filch__worker_park, find_spare, nap (block.c), whose sleep ends by the clock as well.
 *           crew_call, start_or_give_up, give_up_start (crew.c). W2 to W5 (idle.c), retire (idle.c). begin (worker.c).
 * Memory    sequentially consistent; what the fences are for is in eventcount.pml.
 * Bounds    MAX workers may be awake, LIMIT started; TASKS tasks, numbered as they start, of which OUTSIDE are submitted from
 *           outside; those of the set WAITS submit one more to their own deque, and wait, isolated, for a promise that
 *           the task of the next number ends; FAILS starts of a thread fail. With COMPUTES the last task never ends.
 * Shown     at most LIMIT are started; nobody is woken or started while MAX are awake; all tasks end, without a nap of 1 s
 *           doing the work of a wake-up: where no spare could be started the clock ends a nap (SHORT_NAP), and where a
 *           start has failed on which a worker that parked has relied (NAP: that one waits for up to 1 s).
 *           In the end all are asleep, none is BLOCKED, and WAKING is clear.
 * Not here  circles (circle.c), stacks that are used up, tasks that run on top of others.
 *
 * CHECK progress MAX=1 LIMIT=2 TASKS=3 WAITS=1 OUTSIDE=2 FAILS=1
 * CHECK progress MAX=1 LIMIT=2 TASKS=3 WAITS=1 OUTSIDE=2 FAILS=0 COMPUTES=1
 * CHECK safety MAX=1 LIMIT=2 TASKS=4 WAITS=5 OUTSIDE=2 FAILS=0
 * CHECK safety MAX=1 LIMIT=2 TASKS=3 WAITS=1 OUTSIDE=2 FAILS=1
 * CHECK safety MAX=2 LIMIT=2 TASKS=4 WAITS=1 OUTSIDE=3 FAILS=0
 * CHECK safety MAX=2 LIMIT=3 TASKS=3 WAITS=3 OUTSIDE=1 FAILS=0
 * CHECK progress MAX=1 LIMIT=2 TASKS=4 WAITS=5 OUTSIDE=2 FAILS=0
 * FAULT 1 park_in_silence: block.c: find_spare does not tell
 * FAULT 2 blocked_is_awake: sleep.h: sleep_awake counts those that are BLOCKED
 * FAULT 3 waking_stays: sleep.h: sleep_leave clears WAKING only where the worker becomes a searcher
 * FAULT 4 max_ignored: sleep.h: sleep_decide does not compare those that are awake with `max`
 * FAULT 5 start_not_taken_back: crew.c: give_up_start without sleep_start_failed
 * FAULT 6 nap_without_end: block.c: nap sleeps until the deadline of the wait, and does not look again
 * FAULT 7 back_without_unblock: block.c: filch__worker_park without sleep_unblock
 * FAULT 8 told_before_blocked: block.c: filch__worker_park looks for a spare before sleep_block
 * FAULT 9 limit_ignored: sleep.h: sleep_decide does not compare with the limit */
#ifndef FAULT
#define FAULT 0
#endif

/* sleep.h: the word */
#define SEARCHING_ONE 1
#define SLEEPING_ONE 4
#define BLOCKED_ONE 16
#define STARTED_ONE 64
#define WAKING_BIT 256
#define SEARCHING(w) ((w) & 3)
#define SLEEPING(w) (((w) >> 2) & 3)
#define BLOCKED(w) (((w) >> 4) & 3)
#define STARTED(w) (((w) >> 6) & 3)
#if FAULT == 2
#define AWAKE(w) (STARTED(w) - SLEEPING(w))
#else
#define AWAKE(w) (STARTED(w) - SLEEPING(w) - BLOCKED(w))
#endif
short word = STARTED_ONE + SEARCHING_ONE;

bit parked[3];
byte queue[3], injector; /* how many tasks */
byte next_task, ended, fails = FAILS, born = 1;
bit done[TASKS];

#define SEES_WORK (injector != 0 || queue[0] != 0 || queue[1] != 0 || queue[2] != 0)

/* filch__crew_unpark_one */
inline unpark_one() {
    k = 0;
    do
    :: k < 3 ->
       atomic {
           if
           :: parked[k] -> parked[k] = 0; break
           :: else -> k++
           fi
       }
    :: else -> break
    od;
    k = 0
}

/* filch__crew_call: decided and committed at one moment */
inline crew_tell() {
    atomic {
        tell = 0;
        if
#if FAULT == 4
        :: SEARCHING(word) == 0 && SEES_WORK ->
#else
        :: SEARCHING(word) == 0 && AWAKE(word) < MAX && SEES_WORK ->
#endif
           assert(AWAKE(word) < MAX);
           if
           :: (word & WAKING_BIT) != 0 -> tell = (SLEEPING(word) > 1 && AWAKE(word) + 1 < MAX)
           :: (word & WAKING_BIT) == 0 && SLEEPING(word) != 0 -> word = word | WAKING_BIT; tell = 1
#if FAULT == 9
           :: (word & WAKING_BIT) == 0 && SLEEPING(word) == 0 ->
#else
           :: (word & WAKING_BIT) == 0 && SLEEPING(word) == 0 && STARTED(word) < LIMIT ->
#endif
              assert(STARTED(word) < LIMIT);
              word = word + STARTED_ONE + SEARCHING_ONE;
              tell = 2
           :: else
           fi
        :: else
        fi
    }
    if
    :: tell == 1 -> unpark_one()
    :: tell == 2 -> /* start_or_give_up */
       if
       :: atomic { fails != 0 -> fails-- }
#if FAULT != 5
          atomic { /* give_up_start */
              word = word - STARTED_ONE - SEARCHING_ONE;
              tell = 0;
              if
              :: SEES_WORK && SEARCHING(word) == 0 && AWAKE(word) < MAX && (word & WAKING_BIT) == 0 && SLEEPING(word) != 0 ->
                 word = word | WAKING_BIT; /* unreached: where somebody sleeps nobody is started */
                 tell = 1                  /* unreached: as above */
              :: else
              fi
          }
          if
          :: tell == 1 -> unpark_one() /* unreached: as above */
          :: else
          fi
#else
          skip
#endif
       :: atomic { run worker(born, 1); born++ }
       fi
    :: else
    fi;
    tell = 0
}

/* idle.c: sleep_until_told. SLEEPING, with a prepared parker. */
inline sleep_until_told(me) {
    do
    :: atomic { /* the look of W3; its steps are those of eventcount.pml */
           if
           :: (word & WAKING_BIT) != 0 || (AWAKE(word) < MAX && SEES_WORK) -> parked[me] = 0
           :: else
           fi
       }
end_parked:
       !parked[me];
       atomic { /* sleep_leave (W5) */
           if
           :: AWAKE(word) < MAX ->
              word = (word & ~WAKING_BIT) - SLEEPING_ONE + SEARCHING_ONE;
              searching = 1
           :: else ->
#if FAULT != 3
              word = word & ~WAKING_BIT;
#endif
              searching = 0
           fi
       }
       if
       :: searching -> break
       :: else -> parked[me] = 1
       fi
    od
}

/* block.c: filch__worker_park, until the task with that number has ended */
inline park(number) {
#if FAULT == 8
    crew_tell();
    word = word + BLOCKED_ONE;
    done[number];
#else
    word = word + BLOCKED_ONE; /* sleep_block */
    do
    :: done[number] -> break
    :: else ->
#if FAULT == 1
       spare = 1;
#else
       if
       :: SEES_WORK -> /* find_spare */
          crew_tell();
          spare = AWAKE(word) != 0 || SLEEPING(word) != 0
       :: else -> spare = 1
       fi;
#endif
       if
       :: done[number]
#if FAULT != 6
       :: !spare /* SHORT_NAP */
       :: fails != FAILS /* NAP: what was relied on was a start that has failed */
#endif
       fi
    od;
#endif
#if FAULT != 7
    word = word - BLOCKED_ONE; /* sleep_unblock */
#endif
    spare = 0
}

proctype worker(byte me; bit searching) {
    byte tell, k, task;
    bit spare, found, won;
main_loop:
    if /* retire_if_too_many */
    :: !searching ->
       parked[me] = 1;
       atomic {
           if
           :: AWAKE(word) > MAX -> word = word + SLEEPING_ONE; found = 1
           :: else -> found = 0
           fi
       }
       if
       :: found -> found = 0; sleep_until_told(me)
       :: else ->
          atomic { won = parked[me]; parked[me] = 0 }
          if
          :: !won -> unpark_one()
          :: else -> won = 0
          fi
       fi
    :: else
    fi;
find:
    atomic { /* find.c */
        if
        :: queue[me] != 0 -> queue[me]--; found = 1
        :: queue[me] == 0 && injector != 0 -> injector--; found = 1
        :: queue[me] == 0 && injector == 0 && SEES_WORK ->
           if
           :: queue[0] != 0 -> queue[0]--
           :: queue[1] != 0 -> queue[1]--
           :: queue[2] != 0 -> queue[2]--
           fi;
           found = 1
        :: else -> found = 0
        fi
    }
    if
    :: found ->
       found = 0;
       if
       :: searching -> /* filch__worker_found */
          atomic { word = word - SEARCHING_ONE; searching = 0 }
          crew_tell()
       :: else
       fi;
       atomic { task = next_task; next_task++ }
       if
       :: (WAITS & (1 << task)) != 0 ->
          queue[me]++;
#if MAX != 1
          crew_tell();
#endif
          park(task + 1)
       :: else
       fi;
#ifdef COMPUTES
       if
       :: task == TASKS - 1 ->
end_computes:
          false
       :: else
       fi;
#endif
       atomic { ended++; done[task] = 1; task = 0 }
       goto main_loop
    :: else
    fi;
#if MAX != 1
    if
    :: !searching -> atomic { word = word + SEARCHING_ONE; searching = 1 } goto find
    :: else
    fi;
#endif
    parked[me] = 1; /* W2 */
    atomic { word = word + SLEEPING_ONE - searching * SEARCHING_ONE }
    sleep_until_told(me);
    goto find
}

active proctype submitter() {
    byte n, tell, k;
    do
    :: n < OUTSIDE -> injector++; crew_tell(); n++
    :: else -> break
    od
}

init {
    run worker(0, 1);
    timeout ->
#ifndef COMPUTES
    assert(ended == TASKS);
    assert(SEARCHING(word) == 0 && BLOCKED(word) == 0 && SLEEPING(word) == STARTED(word) && (word & WAKING_BIT) == 0)
#else
    skip
#endif
}
