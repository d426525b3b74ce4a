/* outside.c: heaps that threads outside borrow from an executor (runtime/outside.h).
 *
 * Each owner uses the heap's lists, which are plain, and counts in `submitted`: two at a time, or one that does not see what the
 * one before has done, are a race.
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "outside.h"

static struct filch__outside outside;

static bool is_read; /* the counters are, meanwhile */

static void use(void) {
    struct filch__outside_heap *o = filch__outside_take(&outside);
    explore_check(o != NULL, "a heap");
    uint64_t *object = filch__slab_alloc(o->heap, 0);
    *object = 1;
    if (is_read)
        count_own(&o->submitted, 1);
    else
        o->submitted++;
    filch__slab_free(object);
    filch__outside_give(o);
}
static void user(void *unused) {
    (void)unused;
    use();
}
static void user_of_two(void *unused) {
    (void)unused;
    use();
    use();
}

static void begin(void) {
    outside = (struct filch__outside){NULL, NULL, 0};
    is_read = false;
    filch__outside_init(&outside, filch__home_create(0));
    explore_check(outside.home != NULL, "a home");
}
static void end(uint64_t uses) {
    filch_stats stats = FILCH_STATS_INIT;
    explore_join();
    filch__outside_add_stats(&outside, &stats);
    explore_check(stats.submitted == uses, "a use is not counted");
    filch__outside_fini(&outside);
    filch__home_detach(outside.home);
    filch__home_release(outside.home);
    explore_check(explore_live_blocks() == 0, "something is left");
}

/* One after the other, or each with a heap of its own. */
static void two_users(void) {
    begin();
    explore_spawn(user, NULL);
    explore_spawn(user_of_two, NULL);
    end(3);
}
/* The heap that it had last may be another's by now. */
static void two_again(void) {
    begin();
    use();
    explore_spawn(user, NULL);
    use();
    end(3);
}

/* The counters are read meanwhile. */
static void counted(void) {
    filch_stats stats = FILCH_STATS_INIT;
    begin();
    is_read = true;
    explore_spawn(user, NULL);
    filch__outside_add_stats(&outside, &stats);
    explore_check(stats.submitted <= 1, "more uses than there are");
    use();
    end(2);
}

const struct explore_scenario outside_scenarios[] = {{"outside_two_users", two_users, 2, 1, NULL},
                                                     {"outside_two_again", two_again, 2, 1, NULL},
                                                     {"outside_counted", counted, 2, 1, NULL},
                                                     {NULL, NULL, 0, 0, NULL}};
