/* fork.pml: fork() in a program whose pool runs (fork.h, fork.c, reclaim.h, exit.c; thread/README.md, Fork).
 *
 * Steps     forker: a worker that steals (read), runs a task that forks, and goes on after it (filch__worker_run, worker.c:
 *           filch__worker_is_here). before, after_in_parent, after_in_child: fork.c; the two locks of liburcu are
 *           those that its handlers hold. collector: another worker: steals, ends the future that the child has too,
 *           and frees rings (filch__deque_collect). maker: a thread that makes an executor (filch__exit_register).
 *           child: what the child's thread does: the rest of the task, a wait for the parent's future, a new executor
 *           with its exit handler and a grace period.
 * Bounds    one fork; each of the others once, or twice (collector).
 * Shown     neither the parent nor the child waits for ever: no lock is left locked, no reader is waited for that is not
 *           there; the child does no work of the parent's pool and does not sleep on what only the parent ends.
 * Not here  the third lock of liburcu, which its handlers do not hold (reclaim.h says what that means); vfork, clone;
 *           programs that hold the locks of liburcu themselves.
 *
 * CHECK safety
 * CHECK progress
 * FAULT 1 list_not_held: fork.c: before without filch__exit_before_fork
 * FAULT 2 grace_period_not_awaited: fork.c: before without filch__reclaim_before_fork
 * FAULT 3 readers_not_forgotten: fork.c: the child keeps the readers that it does not have (after_fork_parent in the child)
 * FAULT 4 task_while_reading: deque.c: filch__reclaim_read_end comes after the task that was stolen has run
 * FAULT 5 worker_goes_on: worker.c: filch__worker_run does not ask filch__worker_is_here
 * FAULT 6 child_keeps_list: fork.c: after_in_child without filch__exit_after_fork
 * FAULT 7 parent_keeps_locks: fork.c: after_in_parent without filch__reclaim_after_fork_in_parent
 * FAULT 8 handlers_with_first_executor: fork.c: the handlers are registered by who makes an executor, not when loaded
 * FAULT 9 wait_for_lost_future: future.c: await_unfinished does not ask filch__future_is_lost
 * FAULT 10 generation_stays: fork.c: after_in_child does not count the generation */
#ifndef FAULT
#define FAULT 0
#endif
#define PARENT 0
#define CHILD 1

mtype = { NOBODY, FORKER, COLLECTOR, MAKER }

/* Of each process. */
mtype list_lock[2] = NOBODY, gp_lock[2] = NOBODY, registry_lock[2] = NOBODY;
bit forker_registered[2], forker_reads[2], collector_registered[2], collector_reads[2];
bit future_done[2], generation[2];
#if FAULT == 8
bit handlers;
#else
bit handlers = 1; /* registered */
#endif
byte ended;
bit child_ended;

#define LOCK(lock, p, me) atomic { lock[p] == NOBODY -> lock[p] = me }
#define UNLOCK(lock, p, me) \
    atomic { \
        assert(lock[p] == me); \
        lock[p] = NOBODY \
    }

/* urcu_bp_synchronize_rcu: the registry is free while it waits. */
inline wait(p, me, own) {
    LOCK(gp_lock, p, me);
    LOCK(registry_lock, p, me);
    UNLOCK(registry_lock, p, me);
    if
    :: own == COLLECTOR || !collector_registered[p] || !collector_reads[p]
    fi;
    if
    :: own == FORKER || !forker_registered[p] || !forker_reads[p]
    fi;
    UNLOCK(gp_lock, p, me)
}

inline exit_register(p, me) {
    LOCK(list_lock, p, me);
    UNLOCK(list_lock, p, me)
}

proctype child(bit handled) {
    if
    :: handled ->
#if FAULT != 2
       atomic { /* urcu_bp_after_fork_child */
#if FAULT != 3
           collector_registered[CHILD] = 0;
           collector_reads[CHILD] = 0;
#endif
           assert(registry_lock[CHILD] == FORKER && gp_lock[CHILD] == FORKER);
           registry_lock[CHILD] = NOBODY;
           gp_lock[CHILD] = NOBODY
       }
#endif
#if FAULT != 1 && FAULT != 6
       UNLOCK(list_lock, CHILD, FORKER);
#endif
#if FAULT != 10
       generation[CHILD] = 1
#endif
    :: else
    fi;
    /* The task waits for another one of the parent's pool. */
    if
    :: future_done[CHILD]
    :: else ->
#if FAULT == 9
       future_done[CHILD]
#else
       if
       :: generation[CHILD] != generation[PARENT] /* FILCH_EFORKED */
       :: else -> future_done[CHILD]              /* it sleeps: nobody will wake it */
       fi
#endif
    fi;
    /* And makes an executor of its own, which ends. */
    exit_register(CHILD, FORKER);
    wait(CHILD, FORKER, FORKER);
    /* The task returns. */
#if FAULT != 5
    if
    :: generation[CHILD] != generation[PARENT]
    :: else -> assert(false) /* unreached: it finishes what is the parent's */
    fi;
#else
    assert(false);
#endif
    child_ended = 1
}

inline fork() {
    handled = handlers;
    if
    :: handled -> /* before */
#if FAULT != 1
       LOCK(list_lock, PARENT, FORKER);
#endif
#if FAULT != 2
       LOCK(gp_lock, PARENT, FORKER);
       LOCK(registry_lock, PARENT, FORKER)
#endif
    :: else
    fi;
    atomic { /* the kernel copies the memory */
        list_lock[CHILD] = list_lock[PARENT];
        gp_lock[CHILD] = gp_lock[PARENT];
        registry_lock[CHILD] = registry_lock[PARENT];
        forker_registered[CHILD] = forker_registered[PARENT];
        forker_reads[CHILD] = forker_reads[PARENT];
        collector_registered[CHILD] = collector_registered[PARENT];
        collector_reads[CHILD] = collector_reads[PARENT];
        future_done[CHILD] = future_done[PARENT];
        run child(handled)
    }
    if
    :: handled -> /* after_in_parent */
#if FAULT != 2 && FAULT != 7
       UNLOCK(registry_lock, PARENT, FORKER);
       UNLOCK(gp_lock, PARENT, FORKER);
#endif
#if FAULT != 1
       UNLOCK(list_lock, PARENT, FORKER)
#endif
    :: else
    fi
}

active proctype forker() {
    bit handled;
    LOCK(registry_lock, PARENT, FORKER);
    forker_registered[PARENT] = 1;
    UNLOCK(registry_lock, PARENT, FORKER);
    forker_reads[PARENT] = 1; /* a steal */
#if FAULT == 4
    fork();
    forker_reads[PARENT] = 0;
#else
    forker_reads[PARENT] = 0;
    fork();
#endif
    wait(PARENT, FORKER, FORKER);
    ended++
}

active proctype collector() {
    byte n;
    LOCK(registry_lock, PARENT, COLLECTOR);
    collector_registered[PARENT] = 1;
    UNLOCK(registry_lock, PARENT, COLLECTOR);
    do
    :: n < 2 ->
       collector_reads[PARENT] = 1;
       collector_reads[PARENT] = 0;
       wait(PARENT, COLLECTOR, COLLECTOR);
       future_done[PARENT] = 1;
       n++
    :: else -> break
    od;
    ended++
}

active proctype maker() {
    exit_register(PARENT, MAKER);
    handlers = 1;
    wait(PARENT, MAKER, MAKER);
    ended++
}

init {
    timeout -> assert(ended == 3 && child_ended)
}
