/* sites.h: the operations of the explored sources that were met, and one of them with another order.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_TESTS_EXPLORE_SITES_H
#define FILCH_TESTS_EXPLORE_SITES_H

#include "explorer.h"

/* Before each operation. */
void site_met(struct explore_site *site);
/* FILE:LINE:NAME=ORDER: that operation has another order from now on. */
void sites_weaken(const char *what);
/* To standard output. */
void sites_list(void);

#endif
