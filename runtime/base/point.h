/* base/point.h: named points where a test can make a thread yield, sleep or stop.
 *
 * Nothing in release builds. In test builds each point calls filch__point_hook, if one is set, with
 * the name; a hook may block for as long as the test wants, which shows what a descheduled thread
 * does to the others. */
#ifndef FILCH_BASE_POINT_H
#define FILCH_BASE_POINT_H

#if defined(FILCH_TESTING)
typedef void filch__point_fn(const char *name);
extern filch__point_fn *filch__point_hook;
void filch__point(const char *name);
#define POINT(name) filch__point(name)
#else
#define POINT(name) ((void)0)
#endif

#endif
