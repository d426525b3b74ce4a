/* as_completed.c: pages of several addresses, each printed as it comes; some cannot be had.
 *
 * The fetching is made up, so that this needs no network; download.c fetches.
 *
 * Build: cc as_completed.c $(pkg-config --cflags --libs filch)
 *
 * Prints, in any order:
 *
 *     http://www.foxnews.com/ has 1256 bytes
 *     http://www.cnn.com/ has 57912 bytes
 *     http://europe.wsj.com/ failed: 403 Forbidden
 *     http://www.bbc.co.uk/ has 31200 bytes
 *     http://nonexistent-subdomain.python.org/ failed: there is no such host
 *
 * SPDX-License-Identifier: MIT */
#include <filch.h>
#include <stdio.h>
#include <time.h>

struct page {
    const char *url;
    int milliseconds, status;
    size_t bytes;
};

static const struct page pages[] = {
    {"http://www.foxnews.com/", 7, 200, 1256},
    {"http://www.cnn.com/", 2, 200, 57912},
    {"http://europe.wsj.com/", 5, 403, 0},
    {"http://www.bbc.co.uk/", 9, 200, 31200},
    {"http://nonexistent-subdomain.python.org/", 1, 0, 0},
};
enum { PAGES = sizeof pages / sizeof pages[0] };

/* The task: its argument is a pointer to the page, its result the number of bytes. */
static int fetch(void *arg, void *result) {
    const struct page *page = *(const struct page **)arg;
    struct timespec time = {0, page->milliseconds * 1000000L};
    filch_blocking_begin(); /* another worker takes this one's place meanwhile */
    nanosleep(&time, NULL);
    filch_blocking_end();
    if (page->status == 0) return filch_fail(1, "there is no such host");
    if (page->status != 200) return filch_fail(page->status, "%d Forbidden", page->status);
    *(size_t *)result = page->bytes;
    return 0;
}

static void print_page(const struct page *page, filch_future *future) {
    size_t bytes;
    filch_error error;
    if (filch_future_result(future, &bytes, FILCH_FOREVER) == 0)
        printf("%s has %zu bytes\n", page->url, bytes);
    else if (filch_future_error(future, &error, FILCH_FOREVER) == 0)
        printf("%s failed: %s\n", page->url, error.text);
}

/* The index of a future in the array says which page it is. */
static int print_all(filch_future *const *futures, size_t n) {
    filch_completions *completions;
    filch_future *future;
    int rc = filch_as_completed(futures, n, FILCH_SECONDS(60), &completions);
    if (rc != 0) return rc;
    while ((rc = filch_completions_next(completions, &future)) == 0)
        print_page(&pages[filch_completions_index(completions)], future);
    if (rc != FILCH_EEND) fprintf(stderr, "%s\n", filch_last_error());
    filch_completions_destroy(completions);
    return rc == FILCH_EEND ? 0 : rc;
}

int main(void) {
    FILCH_AUTO_EXECUTOR(executor);
    filch_future *futures[PAGES] = {NULL};
    size_t n = 0;
    int rc = filch_thread_executor(NULL, &executor);
    while (rc == 0 && n < PAGES) {
        const struct page *page = &pages[n];
        rc = filch_submit(executor, fetch, &page, sizeof page, sizeof(size_t), &futures[n]);
        if (rc == 0) n++;
    }
    if (rc != 0) fprintf(stderr, "%s\n", filch_last_error());
    if (n > 0) rc = print_all(futures, n);
    while (n > 0) filch_future_release(futures[--n]);
    return rc != 0;
}
