/* stack_test.c: the stack from which everything is taken at once (reclaim/stack.h).
 *
 * SPDX-License-Identifier: MIT */
#include <stdint.h> /* before Criterion */

#include "reclaim/stack.h"
#include "support.h"
#include <criterion/criterion.h>
#include <sched.h>

TestSuite(stack, .timeout = 20);

struct item {
    uint64_t producer, number; /* plain: the stack's edge publishes them */
    struct filch__link link;
};

static struct item *item_of(struct filch__link *link) {
    return container_of(link, struct item, link);
}

Test(stack, empty_gives_nothing) {
    struct filch__stack s;
    filch__stack_init(&s);
    cr_assert(filch__stack_is_empty(&s));
    for (int i = 0; i < 3; i++) cr_assert_null(filch__stack_take_all(&s));
    cr_assert_null(filch__chain_reverse(NULL));
    cr_assert(filch__stack_is_empty(&s));
}

Test(stack, chain_is_newest_first_and_reversed_oldest_first) {
    struct filch__stack s;
    struct item items[5];
    filch__stack_init(&s);
    for (uint64_t i = 0; i < 5; i++) {
        items[i].number = i;
        filch__stack_push(&s, &items[i].link);
        cr_assert(!filch__stack_is_empty(&s));
    }
    struct filch__link *chain = filch__stack_take_all(&s);
    cr_assert(filch__stack_is_empty(&s));
    cr_assert_null(filch__stack_take_all(&s));
    struct filch__link *link = chain;
    for (uint64_t i = 5; i-- > 0; link = filch__link_next(link))
        cr_assert_eq(item_of(link)->number, i);
    cr_assert_null(link);
    link = filch__chain_reverse(chain);
    for (uint64_t i = 0; i < 5; i++, link = filch__link_next(link))
        cr_assert_eq(item_of(link)->number, i);
    cr_assert_null(link);
}

Test(stack, one_item_reversed_is_itself) {
    struct filch__stack s;
    struct item item;
    filch__stack_init(&s);
    filch__stack_push(&s, &item.link);
    struct filch__link *chain = filch__stack_take_all(&s);
    cr_assert_eq(filch__chain_reverse(chain), &item.link);
    cr_assert_null(filch__link_next(&item.link));
}

Test(stack, item_can_be_pushed_again_at_once) {
    struct filch__stack s;
    struct item item;
    filch__stack_init(&s);
    for (uint64_t i = 0; i < 100; i++) {
        item.number = i;
        filch__stack_push(&s, &item.link);
        struct filch__link *chain = filch__stack_take_all(&s);
        cr_assert_eq(chain, &item.link);
        cr_assert_eq(item_of(chain)->number, i);
        cr_assert_null(filch__link_next(chain));
    }
}

/* Producers push numbered items; takers take chains. Within a chain, and from chain to chain of one
 * taker, the items of a producer are in order. */
enum { PRODUCERS = 3 };

struct race {
    struct filch__stack stack;
    struct item *items;
    uint64_t each;
    int takers;
    uint32_t producing;
    uint32_t out_of_order;
    struct ledger ledger;
};

static void produce(struct race *r, uint64_t producer) {
    for (uint64_t i = 0; i < r->each; i++) {
        struct item *item = &r->items[producer * r->each + i];
        item->producer = producer;
        item->number = i;
        filch__stack_push(&r->stack, &item->link);
        if (i % 64 == 0) sched_yield();
    }
    fetch_sub_acq_rel(&r->producing, 1u);
}

static void take_chain(struct race *r, uint64_t next[PRODUCERS]) {
    struct filch__link *link = filch__chain_reverse(filch__stack_take_all(&r->stack));
    for (; link != NULL; link = filch__link_next(link)) {
        struct item *item = item_of(link);
        if (item->number < next[item->producer]) fetch_add_relaxed(&r->out_of_order, 1u);
        next[item->producer] = item->number + 1;
        ledger_note(&r->ledger, item->producer * r->each + item->number);
    }
}

static void race_thread(int index, void *context) {
    struct race *r = context;
    uint64_t next[PRODUCERS] = {0};
    if (index < PRODUCERS) {
        produce(r, (uint64_t)index);
        return;
    }
    while (load_acquire(&r->producing) != 0) {
        take_chain(r, next);
        sched_yield();
    }
    take_chain(r, next);
}

static void run_race(int takers) {
    struct race r = {.each = (uint64_t)stress(10000), .takers = takers, .producing = PRODUCERS};
    r.items = calloc(PRODUCERS * r.each, sizeof *r.items);
    cr_assert_not_null(r.items);
    ledger_init(&r.ledger, PRODUCERS * r.each);
    filch__stack_init(&r.stack);
    run_threads(PRODUCERS + takers, race_thread, &r);
    cr_assert_eq(ledger_wrong(&r.ledger), 0, "%zu missing, %zu repeated", ledger_missing(&r.ledger),
                 ledger_repeated(&r.ledger));
    cr_assert_eq(r.out_of_order, 0);
    cr_assert(filch__stack_is_empty(&r.stack));
    ledger_fini(&r.ledger);
    free(r.items);
}

Test(stack, three_producers_and_one_taker) {
    run_race(1);
}

Test(stack, three_producers_and_three_takers) {
    run_race(3);
}
