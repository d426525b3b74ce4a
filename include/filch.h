/* filch.h: concurrent.futures for C. Includes every public header.
 *
 * SPDX-License-Identifier: MIT */
#ifndef FILCH_H
#define FILCH_H

#include <filch/combine.h>
#include <filch/error.h>
#include <filch/executor.h>
#include <filch/fork.h>
#include <filch/forkable.h>
#include <filch/future.h>
#include <filch/map.h>
#include <filch/parallel.h>
#include <filch/process.h>
#include <filch/promise.h>
#include <filch/reducible.h>
#include <filch/set.h>
#include <filch/sort.h>
#include <filch/task.h>
#include <filch/time.h>
#include <filch/version.h>

#endif
