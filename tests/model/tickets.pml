/* tickets.pml: a task's way to a worker process and back, and the worker's death at any step (process/README.md: T1 to T8,
 * D1 to D3).
 *
 * Steps     desk: one turn after the other, each part whole, since only one thread holds it: filch__post (post.c, T2 to
 *           T4), filch__dispatch_take_back (dispatch.c), end_task and end_skipped (collect.c, T7), end_life and end_tickets
 *           (death.c, D1 to D3), filch__hire. But T2, T3, T4 are single steps for others. worker: filch__work_task
 *           (work.c, T5, T6), killed between any two steps. canceller: try_revoke; looker: look (attend.c).
 * Memory    sequentially consistent; of the dead worker what it has published stays.
 * Bounds    2 tasks, RETRIES of each; 1 seat with 2 tickets; KILLS workers are killed at most; TAKE tasks are taken back from
 *           a living one; the first task is cancelled (CANCEL), the second looked at (LOOK).
 * Shown     each task ends; a kill costs at most one task, which the dead worker had begun; a published result counts;
 *           what is cancelled never runs; what has not failed and has no retries runs once; an entry's reference is
 *           dropped once; a worker that keeps to the rules is never taken for one that does not.
 * Not here  children, retirement, what garbage does, memory of arguments.
 *
 * CHECK safety KILLS=1 RETRIES=0 TAKE=1 CANCEL=1 LOOK=0
 * CHECK safety KILLS=1 RETRIES=1 TAKE=0 CANCEL=1 LOOK=0
 * CHECK safety KILLS=1 RETRIES=0 TAKE=1 CANCEL=0 LOOK=1
 * CHECK safety KILLS=2 RETRIES=0 TAKE=0 CANCEL=0 LOOK=0
 * CHECK progress KILLS=1 RETRIES=0 TAKE=0 CANCEL=1 LOOK=0
 * FAULT 1 tickets_before_results: death.c: end_life ends the tickets before it collects (D2 before D1)
 * FAULT 2 take_by_store: channel.c: filch__claim_take stores TAKEN, whatever the claim is
 * FAULT 3 revoke_any_generation: channel.c: claim_change does not compare the generation
 * FAULT 4 posted_is_lost: death.c: end_tickets without filch__dispatch_take_back
 * FAULT 5 ticket_free_at_once: dispatch.c: what is taken back frees its ticket before the worker has skipped it
 * FAULT 6 result_of_posted: collect.c: end_task without filch__future_started
 * FAULT 7 cancel_by_state_alone: attend.c: try_revoke makes it CANCELLING without the claim
 * FAULT 8 death_in_silence: zygote.c: DIED is not sent
 * FAULT 9 claim_after_message: post.c: the message is published before enter has posted the claim
 * FAULT 10 claim_after_call: work.c: filch__work_task takes the claim when the task has run
 * FAULT 11 posted_though_cancelled: post.c: filch__post_with goes on where hold has failed
 * FAULT 12 result_before_call: work.c: run sends the result before the task has ended
 * FAULT 13 ticket_after_state: attend.c: try_revoke looks at the state before it reads the ticket */
#ifndef FAULT
#define FAULT 0
#endif
#define TASKS 2
#define TICKETS 2
#define LIVES (KILLS + 1)
#define NO_TASK 255

mtype = { PENDING, POSTED, RUNNING, CANCELLED, FINISHED, FAILED }
mtype = { FREE, TAKEN, REVOKED }
mtype = { RESULT, SKIPPED }

/* Of a future. */
mtype life[TASKS] = PENDING;
byte f_ticket[TASKS], f_generation[TASKS], retries[TASKS] = RETRIES, runs[TASKS], dropped[TASKS];

/* A channel for each life of the worker. */
#define AT(l, t) ((l) * TICKETS + (t))
mtype claim[LIVES * TICKETS] = FREE;
byte claim_generation[LIVES * TICKETS];
chan down[LIVES] = [4] of { byte, byte, byte }; /* ticket, generation, task */
chan up[LIVES] = [4] of { mtype, byte, byte };  /* kind, ticket, generation */

/* The books. */
byte posted_task[TICKETS] = NO_TASK, posted_generation[TICKETS], generation;
bit used[TICKETS];
chan queue = [TASKS] of { byte };
byte seat_life;     /* which channel */
bit alive, dead, vacant = 1;
byte kills, lost, taken_back, over;

#define IS_DONE(f) (life[f] == CANCELLED || life[f] == FINISHED || life[f] == FAILED)

#if FAULT == 3
#define CLAIM_IS(l, t, g, s) (claim[AT(l, t)] == s)
#else
#define CLAIM_IS(l, t, g, s) (claim[AT(l, t)] == s && claim_generation[AT(l, t)] == g)
#endif

/* filch__claim_revoke */
inline revoke(l, t, g) {
    atomic {
        if
        :: CLAIM_IS(l, t, g, POSTED) -> claim[AT(l, t)] = REVOKED; won = 1
        :: else -> won = 0
        fi
    }
}
#define START_POSTED(f) \
    if \
    :: life[f] == POSTED -> life[f] = RUNNING \
    :: else \
    fi

proctype worker(byte l) {
    byte t, g, f;
    bit won;
    {
end_serve:
        do
        :: down[l]?t, g, f;
#if FAULT == 10
           runs[f]++;
#endif
           atomic { /* T5 */
               if
#if FAULT == 2
               :: true -> claim[AT(l, t)] = TAKEN; won = 1
#else
               :: CLAIM_IS(l, t, g, POSTED) -> claim[AT(l, t)] = TAKEN; won = 1
               :: else -> won = 0
#endif
               fi
           }
           if
           :: won ->
#if FAULT == 12
              up[l]!RESULT, t, g;
              runs[f]++
#else
#if FAULT != 10
              runs[f]++;
#endif
              up[l]!RESULT, t, g /* T6 */
#endif
           :: else -> up[l]!SKIPPED, t, g
           fi;
           atomic { t = 0; g = 0; f = 0; won = 0 }
        od
    } unless { !alive || seat_life != l };
#if FAULT != 8
    dead = 1 /* DIED */
#endif
}

active proctype killer() {
    do
    :: kills < KILLS ->
       if
       :: atomic { alive -> alive = 0; kills++; lost = 0 }
       :: true -> break
       fi
    :: else -> break
    od;
    over++
}

/* filch__posting_clear */
inline posting_clear(t) {
    f = posted_task[t];
    posted_task[t] = NO_TASK
}
/* filch__posting_free */
inline posting_free(l, t) {
    posted_generation[t] = 0;
    claim[AT(l, t)] = FREE;
    claim_generation[AT(l, t)] = 0;
    used[t] = 0
}

/* filch__dispatch_take_back, of one; the front of the queue */
inline take_back(l, t) {
    revoke(l, t, posted_generation[t]);
    if
    :: won ->
       atomic {
           posting_clear(t);
           if
           :: life[f] == POSTED -> life[f] = PENDING /* state_unpost */
           :: else
           fi;
           queue!f;
#if FAULT == 5
           posting_free(l, t);
#endif
           won = 0
       }
    :: else
    fi
}

/* collect.c */
inline collect(l) {
    atomic {
        up[l]?kind, t, g;
        assert(used[t] && posted_generation[t] == g); /* is_known */
        f = posted_task[t];
        if
        :: kind == RESULT ->
           assert(f != NO_TASK && claim[AT(l, t)] == TAKEN && claim_generation[AT(l, t)] == g);
#if FAULT != 6
           START_POSTED(f);
#endif
           assert(life[f] == RUNNING && runs[f] > 0);
           life[f] = FINISHED;
           dropped[f]++
        :: else ->
           assert(CLAIM_IS(l, t, g, REVOKED));
           if
           :: f != NO_TASK -> dropped[f]++ /* who cancelled it ends it */
           :: else
           fi
        fi;
        posted_task[t] = NO_TASK;
        posting_free(l, t);
        t = 0;
        g = 0;
        f = 0;
        kind = 0
    }
}

/* death.c, D2 */
inline end_tickets(l) {
    t = 0;
    do
    :: t < TICKETS ->
#if FAULT != 4
       if
       :: used[t] && posted_task[t] != NO_TASK -> take_back(l, t)
       :: else
       fi;
#endif
       t++
    :: else -> break
    od;
    t = 0;
    do
    :: t < TICKETS ->
       atomic {
           posting_clear(t);
           posted_generation[t] = 0;
           used[t] = 0;
           if
           :: f == NO_TASK
           :: f != NO_TASK && claim[AT(l, t)] == REVOKED -> dropped[f]++
           :: f != NO_TASK && claim[AT(l, t)] != REVOKED -> /* end_running */
              START_POSTED(f);
              assert(life[f] == RUNNING);
              lost++;
              assert(lost == 1);
              if
              :: retries[f] > 0 -> retries[f]--; queue!f
              :: else -> life[f] = FAILED; dropped[f]++
              fi
           fi;
           t++
       }
    :: else -> break
    od;
    atomic { t = 0; f = 0 }
}

/* post.c */
inline post() {
    atomic {
        queue?f;
        if
        :: life[f] != PENDING && life[f] != RUNNING -> dropped[f]++; f = NO_TASK /* it was cancelled */
        :: else ->
           t = (used[0] -> 1 : 0);
           generation++;
           g = generation
        fi
    }
    if
    :: f != NO_TASK ->
       atomic { f_ticket[f] = t; f_generation[f] = g } /* T2 */
       atomic {
           if
           :: life[f] == PENDING -> life[f] = POSTED; won = 1
           :: life[f] == RUNNING -> won = 1 /* hold_again */
           :: else -> won = (FAULT == 11)
           fi
       }
       if
       :: won ->
          atomic { /* T3: the books */
              used[t] = 1;
              posted_task[t] = f;
              posted_generation[t] = g
          }
#if FAULT == 9
          down[seat_life]!t, g, f;
#endif
          atomic { claim[AT(seat_life, t)] = POSTED; claim_generation[AT(seat_life, t)] = g } /* T4 */
#if FAULT != 9
          down[seat_life]!t, g, f
#endif
       :: else -> dropped[f]++ /* POST_GONE */
       fi
    :: else
    fi;
    atomic { t = 0; g = 0; f = 0; won = 0 }
}

active proctype desk() {
    byte t, g, f;
    mtype kind;
    bit won;
    atomic { queue!0; queue!1 } /* T1 */
    do
    :: nempty(up[seat_life]) && !vacant -> collect(seat_life)
    :: atomic { dead -> dead = 0 }
#if FAULT == 1
       end_tickets(seat_life);
#endif
       do
       :: nempty(up[seat_life]) -> collect(seat_life) /* D1 */
       :: empty(up[seat_life]) -> break
       od;
#if FAULT != 1
       end_tickets(seat_life);
#endif
       atomic { vacant = 1; seat_life = (seat_life + 1 < LIVES -> seat_life + 1 : seat_life) } /* D3 */
    :: nempty(queue) && vacant -> atomic { vacant = 0; alive = 1; run worker(seat_life) } /* filch__hire */
    :: nempty(queue) && !vacant && !(used[0] && used[1]) -> post()
    :: taken_back < TAKE && used[1] && posted_task[1] != NO_TASK -> taken_back++; take_back(seat_life, 1)
    :: taken_back < TAKE && used[1] && used[0] && posted_task[0] != NO_TASK -> taken_back++; take_back(seat_life, 0)
    :: IS_DONE(0) && IS_DONE(1) && empty(queue) && !used[0] && !used[1] && over == 1 + CANCEL + LOOK -> break
    od;
    over++
}

#if CANCEL
/* attend.c: try_revoke, of the first task */
active proctype canceller() {
    byte t, g, l;
    bit won;
    mtype state;
    do
#if FAULT == 13
    :: state = life[0];
       atomic { t = f_ticket[0]; g = f_generation[0] }
#else
    :: atomic { t = f_ticket[0]; g = f_generation[0] }
       state = life[0];
#endif
       if
       :: state == PENDING ->
          atomic {
              if
              :: life[0] == PENDING -> life[0] = CANCELLED; break
              :: else
              fi
          }
       :: state == POSTED ->
#if FAULT == 7
          atomic {
              if
              :: life[0] == POSTED -> life[0] = CANCELLED; break
              :: else
              fi
          }
#else
          atomic { l = seat_life; revoke(l, t, g) }
          if
          :: won ->
             won = 0;
             atomic { /* state_cancel_posted */
                 if
                 :: life[0] == POSTED -> life[0] = CANCELLED; break
                 :: else -> assert(FAULT == 13)
                 fi
             }
          :: else ->
             if
             :: CLAIM_IS(l, t, g, TAKEN) ->
                if
                :: life[0] == POSTED && f_ticket[0] == t && f_generation[0] == g ->
                   atomic { START_POSTED(0) }
                   break
                :: else
                fi
             :: else
             fi
          fi
#endif
       :: else -> break
       fi;
       atomic { t = 0; g = 0; l = 0; state = 0 }
    od;
    atomic { t = 0; g = 0; l = 0; state = 0; won = 0 }
    over++
}

#endif
#if LOOK
/* attend.c: look, at the second */
active proctype looker() {
    byte t, g;
    if
    :: atomic { life[1] == POSTED -> t = f_ticket[1]; g = f_generation[1] }
       if
       :: CLAIM_IS(seat_life, t, g, TAKEN) -> atomic { START_POSTED(1) }
       :: else
       fi
    :: true
    fi;
    over++
}

#endif

#define RIGHT(f) \
    (dropped[f] == 1 && (life[f] != CANCELLED || runs[f] == 0) && (life[f] != FINISHED || runs[f] > 0) && \
     runs[f] <= 1 + RETRIES)

init {
    timeout ->
    assert(over == 2 + CANCEL + LOOK);
    assert(RIGHT(0) && RIGHT(1))
}
