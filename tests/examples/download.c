/* download.c: downloads files over HTTP, several at a time, and prints each as it is there.
 *
 * usage: download URL...     a file goes into the current folder, under the last part of its URL
 *
 * Build: cc download.c $(pkg-config --cflags --libs filch libcurl)
 *
 * SPDX-License-Identifier: MIT */
#include <curl/curl.h>
#include <filch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CURLcode transfer(const char *url, FILE *file, char *why) {
    CURL *curl = curl_easy_init();
    if (curl == NULL) return CURLE_FAILED_INIT;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L); /* 404 and the like are errors */
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* there are other threads */
    CURLcode code = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return code;
}

/* The task: its argument is a pointer to the URL, its result the number of bytes. */
static int download(void *arg, void *result) {
    const char *url = *(const char **)arg, *slash = strrchr(url, '/');
    const char *name = slash == NULL ? url : slash + 1;
    char why[CURL_ERROR_SIZE] = "";
    if (name[0] == '\0') return filch_fail(1, "the URL names no file");
    FILE *file = fopen(name, "wb");
    if (file == NULL) return filch_fail(2, "cannot write %s", name);
    /* It waits for the network: meanwhile another worker takes this one's place. */
    filch_blocking_begin();
    CURLcode code = transfer(url, file, why);
    filch_blocking_end();
    *(long *)result = ftell(file);
    if (fclose(file) != 0 && code == CURLE_OK) code = CURLE_WRITE_ERROR;
    if (code == CURLE_OK) return 0;
    remove(name);
    return filch_fail(3, "%s", why[0] != '\0' ? why : curl_easy_strerror(code));
}

static bool print_file(const char *url, filch_future *future) {
    filch_error error;
    long bytes;
    if (filch_future_result(future, &bytes, FILCH_FOREVER) == 0)
        printf("%s: %ld bytes\n", url, bytes);
    else if (filch_future_error(future, &error, FILCH_FOREVER) == 0)
        printf("%s: %s\n", url, error.text);
    fflush(stdout);
    return filch_future_result(future, NULL, 0) == 0;
}

/* How many could not be had. */
static int print_as_they_come(char **urls, filch_future **futures, size_t n) {
    filch_completions *completions;
    filch_future *future;
    int failed = 0;
    if (filch_as_completed(futures, n, FILCH_FOREVER, &completions) != 0) return (int)n;
    while (filch_completions_next(completions, &future) == 0)
        failed += !print_file(urls[filch_completions_index(completions)], future);
    filch_completions_destroy(completions);
    return failed;
}

int main(int argc, char **argv) {
    char **urls = argv + 1;
    int n = argc - 1, failed = 0;
    if (n < 1 || curl_global_init(CURL_GLOBAL_DEFAULT) != 0) {
        fprintf(stderr, "usage: download URL...\n");
        return 2;
    }
    filch_future **futures = calloc((size_t)n, sizeof *futures);
    {
        FILCH_AUTO_EXECUTOR(executor);
        int rc = futures == NULL ? FILCH_ENOMEM : filch_thread_executor(NULL, &executor);
        for (int i = 0; i < n && rc == 0; i++)
            rc = filch_submit(executor, download, &urls[i], sizeof urls[i], sizeof(long),
                              &futures[i]);
        if (rc == 0) failed = print_as_they_come(urls, futures, (size_t)n);
        if (rc != 0) fprintf(stderr, "%s\n", filch_last_error());
        for (int i = 0; i < n && futures != NULL; i++) filch_future_release(futures[i]);
        failed += rc != 0;
    } /* here the executor ends, and with it the last use of libcurl */
    free(futures);
    curl_global_cleanup();
    return failed != 0;
}
