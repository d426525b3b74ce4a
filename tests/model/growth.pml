/* growth.pml: the deque grows while thieves read, and the rings that it has replaced are freed (thread/deque.c, reclaim.h).
 *
 * Steps     push, filch__deque_grow, pop_begin, pop_end, filch__deque_collect, filch__deque_fini (deque.h, deque.c); steal
 *           between filch__reclaim_read_begin and _end. A thief's thread registers with liburcu when it first reads, and
 *           leaves it when it ends. Grace period: of the readers that are registered, each that reads at its begin is
 *           waited for until it has ended that reading (liburcu's contract, not its code). The destroyer joins (E6).
 * Memory    x86-TSO for `bottom`, which waits in the owner's buffer; else sequentially consistent.
 * Bounds    capacity 1, 2, 4; 3 pushes, 2 pops in between, then all that is left; 2 thieves, who steal twice and once, or once each.
 * Shown     no ring is read after it was freed; each entry is given out once; all end, all rings are freed.
 * Not here  steal_half; liburcu itself; weaker machines.
 *
 * CHECK safety STEALS=2
 * CHECK progress STEALS=1
 * FAULT 1 ring_freed_at_once: deque.c: filch__deque_grow frees the old ring
 * FAULT 2 collect_without_wait: deque.c: filch__deque_collect without filch__reclaim_wait
 * FAULT 3 wait_before_publish: deque.c: the grace period is over before the new ring is published
 * FAULT 4 ring_before_begin: deque.c: the ring is loaded before filch__reclaim_read_begin
 * FAULT 5 slot_after_cas: deque.c: steal reads the slot after its CAS
 * FAULT 6 pop_without_fence: deque.h: filch__deque_pop without fence_seq_cst (D7)
 * FAULT 7 ring_before_copy: deque.c: filch__deque_grow publishes the ring, then copies
 * FAULT 8 read_before_registered: reclaim.c: a thread's first read begins before it is registered
 * FAULT 9 fini_without_join: shutdown.c: filch__pool_destroy does not wait for the threads
 * FAULT 10 last_pop_without_cas: deque.h: filch__deque_pop_end takes the last entry without a CAS */
#ifndef FAULT
#define FAULT 0
#endif
#define THIEVES 2
#define ENTRIES 3

/* Ring r has 1 << r slots, which begin at (1 << r) - 1. */
#define SLOT(r, i) slots[(1 << (r)) - 1 + ((i) & ((1 << (r)) - 1))]
byte slots[7];
bit freed[3], retired[3];
byte ring, top, bottom, bottom_buffered;
bit is_buffered;
byte given[ENTRIES + 1];

bit registered[THIEVES], reading[THIEVES];
byte readings[THIEVES], seen[THIEVES];
byte joined;

#define FENCE \
    atomic { \
        if \
        :: is_buffered -> bottom = bottom_buffered; is_buffered = 0 \
        :: else \
        fi \
    }

active proctype store_buffer() {
end_buffer:
    do
    :: atomic { is_buffered -> bottom = bottom_buffered; is_buffered = 0 }
    od
}

/* The owner's store and load of bottom; of two stores that wait, the second comes after the first. */
#define STORE_BOTTOM(value) \
    atomic { \
        FENCE; \
        bottom_buffered = value; \
        is_buffered = 1 \
    }
#define OWN_BOTTOM (is_buffered -> bottom_buffered : bottom)

/* filch__reclaim_wait */
inline wait() {
    atomic {
        k = 0;
        do
        :: k < THIEVES -> seen[k] = (registered[k] && reading[k] -> readings[k] : 255); k++
        :: else -> break
        od;
        k = 0
    }
    do
    :: k < THIEVES -> seen[k] == 255 || !reading[k] || readings[k] != seen[k]; k++
    :: else -> break
    od;
    atomic {
        k = 0;
        seen[0] = 0;
        seen[1] = 0
    }
}

inline free_retired() {
    atomic {
        k = 0;
        do
        :: k < 3 ->
           freed[k] = freed[k] | retired[k];
           retired[k] = 0;
           k++
        :: else -> break
        od;
        k = 0
    }
}

inline copy() {
    k = t;
    do
    :: k < b -> SLOT(ring_next, k) = SLOT(ring_old, k); k++
    :: else -> break
    od;
    k = 0
}

inline push(entry) {
    atomic { b = OWN_BOTTOM; t = top }
    if
    :: b - t > (1 << ring) - 1 -> /* filch__deque_grow */
       ring_old = ring;
       ring_next = ring + 1;
       t = top;
#if FAULT == 7
       ring = ring_next;
       copy();
#else
       copy();
#if FAULT == 3
       wait();
#endif
       ring = ring_next; /* D4 */
#endif
       retired[ring_old] = 1;
#if FAULT == 1 || FAULT == 3
       free_retired()
#endif
    :: else
    fi;
    SLOT(ring, b) = entry;
    STORE_BOTTOM(b + 1) /* D1 */
    atomic { b = 0; t = 0; ring_old = 0; ring_next = 0 }
}

inline give(entry) {
    atomic {
        assert(entry != 0);
        given[entry]++;
        assert(given[entry] == 1)
    }
}

inline pop() {
    got = 0;
    b = OWN_BOTTOM;
    t = top;
    if
    :: b <= t
    :: else ->
       b--;
       STORE_BOTTOM(b)
#if FAULT != 6
       FENCE;
#endif
       t = top;
       if
       :: t < b -> got = SLOT(ring, b)
       :: else ->
          if
          :: t == b ->
             got = SLOT(ring, b);
#if FAULT == 10
             top = t + 1
#else
             atomic {
                 FENCE;
                 if
                 :: top == t -> top = t + 1
                 :: else -> got = 0
                 fi
             }
#endif
          :: else
          fi;
          STORE_BOTTOM(b + 1)
       fi
    fi;
    if
    :: got != 0 -> give(got)
    :: else
    fi;
    atomic { b = 0; t = 0; got = 0 }
}

active proctype owner() {
    byte b, t, k, got, ring_old, ring_next;
    push(1);
    push(2);
    pop();
    push(3);
    if /* filch__deque_collect, when there is enough to be freed */
    :: true ->
#if FAULT != 2
       wait();
#endif
       free_retired()
    :: true
    fi;
    pop();
    do
    :: OWN_BOTTOM > top -> pop()
    :: else -> break
    od;
    /* filch__pool_destroy: the threads are joined, then filch__deque_fini */
#if FAULT != 9
    joined == THIEVES;
#endif
    free_retired();
    freed[ring] = 1;
    assert(given[1] + given[2] + given[3] == ENTRIES)
}

proctype thief(byte me; byte steals) {
    byte t, b, r, entry;
#if FAULT != 8
    registered[me] = 1;
#endif
    do
    :: steals > 0 ->
       steals--;
#if FAULT == 4
       r = ring;
#endif
       atomic { reading[me] = 1; readings[me]++ } /* filch__reclaim_read_begin */
       t = top;
       b = bottom; /* after the fence D8 */
       if
       :: t >= b
       :: else ->
#if FAULT != 4
          r = ring;
#endif
#if FAULT != 5
          atomic { assert(!freed[r]); entry = SLOT(r, t) }
#endif
          atomic {
              if
              :: top == t -> top = t + 1; b = 255
              :: else
              fi
          }
#if FAULT == 5
          atomic { assert(!freed[r]); entry = SLOT(r, t) }
#endif
          if
          :: b == 255 -> give(entry)
          :: else
          fi
       fi;
       atomic { reading[me] = 0; t = 0; b = 0; r = 0; entry = 0 }
#if FAULT == 8
       registered[me] = 1
#endif
    :: else -> break
    od;
    registered[me] = 0; /* the thread ends */
    joined++
}

init {
    atomic { run thief(0, STEALS); run thief(1, 1) }
    timeout -> assert(joined == THIEVES && freed[ring] && given[1] == 1 && given[2] == 1 && given[3] == 1)
}
