// fj_sort.cc: the sequential twin of the libraries' own sorts, std::sort.
//
// SPDX-License-Identifier: MIT
#include "fj_workloads.h"

#include <algorithm>

uint64_t fj_sort_sequential(void *, const fj_job *job) {
    std::sort(job->keys, job->keys + job->n);
    return 0;
}
