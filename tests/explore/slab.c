/* slab.c: objects that others than their owner free (runtime/base/slab.h).
 *
 * SPDX-License-Identifier: MIT */
#include "explorer.h"

#include "base/slab.h"

static struct filch__heap *heap;
static uint64_t *objects[3];
static int released;

static void home_release(void *home) {
    (void)home;
    released++;
}

static void begin(int count) {
    released = 0;
    heap = filch__heap_create(&released, home_release);
    filch__heap_mine = heap;
    for (int i = 0; i < count; i++) {
        objects[i] = filch__slab_alloc(heap, 0);
        *objects[i] = (uint64_t)i;
    }
}

static void end(void) {
    explore_join();
    explore_check(released == 1, "the home is released once");
    explore_check(explore_live_blocks() == 0, "a block is left");
}

/* The last use, then the free. */
static void freer(void *which) {
    uint64_t **object = which;
    (*object)[1] += 1;
    filch__slab_free(*object);
}

/* The owner, who takes what was freed, and gives the heap up. */
static void owner_that_allocates(void *unused) {
    (void)unused;
    uint64_t *mine[2];
    filch__heap_mine = heap;
    for (int i = 0; i < 2; i++) {
        mine[i] = filch__slab_alloc(heap, 0);
        mine[i][0] = mine[i][1] = 9; /* races with a last user that is not ordered before */
    }
    explore_check(mine[0] != mine[1], "an object is given out twice");
    for (int i = 0; i < 2; i++) filch__slab_free(mine[i]);
    filch__heap_mine = NULL;
    filch__heap_seal(heap);
}
static void reuse(void) {
    begin(2);
    filch__heap_mine = NULL;
    explore_spawn(owner_that_allocates, NULL);
    explore_spawn(freer, &objects[0]);
    explore_spawn(freer, &objects[1]);
    end();
}

/* The heap is sealed while its last objects are freed: the last of all unmaps. */
static void owner_that_seals(void *unused) {
    (void)unused;
    filch__heap_seal(heap);
}
static void seal(void) {
    begin(2);
    filch__heap_mine = NULL;
    explore_spawn(owner_that_seals, NULL);
    explore_spawn(freer, &objects[0]);
    explore_spawn(freer, &objects[1]);
    end();
}

const struct explore_scenario slab_scenarios[] = {
    {"slab_reuse", reuse, 2, 1, NULL}, {"slab_seal", seal, 3, 2, NULL}, {NULL, NULL, 0, 0, NULL}};
