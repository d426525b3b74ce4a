/* sites.c: the operations of the explored sources that were met, with their orders; for mutate.py.
 *
 * SPDX-License-Identifier: MIT */
#include "sites.h"

#include <stdio.h>
#include <string.h>

static const char *const orders[] = {"none", "relaxed", "acquire", "release", "acq_rel", "seq_cst"};

static struct explore_site *sites;
static const char *weaken[SITES_WEAKENED_MAX];
static int weakened;

/* As the compiler was given it, from runtime/ or include/ on. */
static const char *short_path(const char *path) {
    static const char *const roots[] = {"runtime/", "include/", "tests/"};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++) {
        const char *found = strstr(path, roots[i]);
        if (found != NULL) return found;
    }
    return path;
}

bool sites_weaken(const char *what) {
    if (weakened == SITES_WEAKENED_MAX) return false;
    weaken[weakened++] = what;
    return true;
}

void site_met(struct explore_site *site) {
    if (site->known) return;
    site->known = true;
    site->next = sites;
    sites = site;
    if (weakened == 0) return;
    char key[256];
    int length =
        snprintf(key, sizeof key, "%s:%d:%s=", short_path(site->file), site->line, site->name);
    for (int w = 0; w < weakened; w++) {
        if (strncmp(weaken[w], key, (size_t)length) != 0) continue;
        for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
            if (strcmp(weaken[w] + length, orders[i]) == 0) site->order = (enum explore_order)i;
    }
}

void sites_list(void) {
    for (const struct explore_site *s = sites; s != NULL; s = s->next)
        printf("# site %s:%d:%s %s\n", short_path(s->file), s->line, s->name, orders[s->order]);
}
