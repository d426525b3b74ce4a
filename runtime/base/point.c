/* base/point.c: the hook behind the named points of test builds. */
#include "base/point.h"

#if defined(FILCH_TESTING)
#include "base/atomics.h"
#include <stddef.h>

filch__point_fn *filch__point_hook;

void filch__point(const char *name) {
    filch__point_fn *hook =
        load_relaxed(&filch__point_hook); /* relaxed: set before threads start */
    if (hook != NULL) hook(name);
}
#else
typedef int filch__point_is_for_test_builds;
#endif
