/* sites.h: the operations of the explored sources that were met, and some of them with another order.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_EXPLORE_SITES_H
#define FILCH_TESTS_EXPLORE_SITES_H

#include "explorer.h"

enum { SITES_WEAKENED_MAX = 4 };

/* Before each operation. */
void site_met(struct explore_site *site);
/* FILE:LINE:NAME=ORDER: that operation has another order from now on. False: these are too many. */
bool sites_weaken(const char *what);
/* To standard output. */
void sites_list(void);

#endif
