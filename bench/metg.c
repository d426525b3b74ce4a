/* metg.c: see metg.h.
 *
 * SPDX-License-Identifier: MIT */
#include "metg.h"

#include <math.h>

enum { FITTED_UP_TO = 100 }; /* iterations, some 30 ns: where overhead is most of the cost */

double metg_fitted(const metg_point *points, size_t length) {
    double sum = 0;
    size_t found = 0;
    for (size_t i = 0; i < length; i++) {
        if (points[i].n > FITTED_UP_TO) continue;
        sum += points[i].cost - points[i].work;
        found++;
    }
    return found > 0 ? sum / (double)found : (double)NAN;
}

static double efficiency(const metg_point *point) {
    return point->work / point->cost;
}

double metg_crossing(const metg_point *points, size_t length) {
    size_t after = length; /* the first point that has 50 %, like all that follow */
    while (after > 0 && efficiency(&points[after - 1]) >= 0.5) after--;
    if (after == 0 || after == length) return (double)NAN;
    const metg_point *below = &points[after - 1], *above = &points[after];
    double low = efficiency(below), high = efficiency(above);
    double share = (0.5 - low) / (high - low);
    return exp(log(below->work) + share * (log(above->work) - log(below->work)));
}
