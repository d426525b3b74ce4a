/* loop/order.c: see order.h.
 *
 * Flow     the array is looked at in parts, by several tasks; each stops at the first step up, or down, that
 *          is not as all steps of its part before. Only if all parts agree, that was the whole array.
 * Memory   one byte per part, on the stack of who called. */
#include "loop/order.h"

#include "loop/each.h"

enum {
    PARTS = 16,
    /* Elements in a part, at least: less are not worth a task. */
    PART_MIN = 4096,
};

enum direction { NEITHER, UP, DOWN };

struct look {
    const struct order *order;
    char *array;
    size_t n, parts;
    unsigned char directions[PARTS];
};

/* Of the steps between the elements `begin` to `end`, both included. */
static enum direction look_at(const struct order *o, const char *array, size_t begin, size_t end) {
    const char *at = array + begin * o->size, *last = array + end * o->size;
    bool down = is_less(o, at + o->size, at);
    for (at += o->size; at < last; at += o->size)
        if (is_less(o, at + o->size, at) != down) return NEITHER;
    return down ? DOWN : UP;
}

static void look_at_part(size_t i, void *context) {
    struct look *look = context;
    size_t end = filch__part_begin(look->n - 1, look->parts, i + 1);
    look->directions[i] = (unsigned char)look_at(
        look->order, look->array, filch__part_begin(look->n - 1, look->parts, i), end);
}

static void turn_part(size_t i, void *context) {
    const struct look *look = context;
    size_t size = look->order->size, end = filch__part_begin(look->n / 2, look->parts, i + 1);
    for (size_t at = filch__part_begin(look->n / 2, look->parts, i); at < end; at++)
        swap_elements(look->array + at * size, look->array + (look->n - 1 - at) * size, size);
}

int filch__order_try(const struct order *order, char *array, size_t n, bool *in_order) {
    struct look look = {order, array, n, n / PART_MIN, {0}};
    if (look.parts > PARTS) look.parts = PARTS;
    if (look.parts == 0) look.parts = 1;
    *in_order = n < 2;
    if (n < 2) return 0;
    int rc = filch__each(0, look.parts, look_at_part, &look);
    for (size_t i = 0; i < look.parts && rc == 0; i++)
        if (look.directions[i] != look.directions[0] || look.directions[i] == NEITHER) return 0;
    *in_order = rc == 0;
    if (rc != 0 || look.directions[0] == UP) return rc;
    return filch__each(0, look.parts, turn_part, &look);
}
