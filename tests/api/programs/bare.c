/* bare.c: a program that has forgotten filch_main. Prints how often main ran, the code's name and the text.
 *
 * SPDX-License-Identifier: MIT */
#include <filch/error.h>
#include <filch/process.h>
#include <stdio.h>
#include <unistd.h>

int main(void) {
    filch_executor *executor = NULL;
    alarm(20);
    printf("main\n");
    fflush(stdout);
    int rc = filch_process_executor(NULL, &executor);
    printf("%s: %s\n", filch_error_name(rc), filch_last_error());
    if (rc == 0) (void)filch_executor_destroy(executor);
    return rc == FILCH_ESTATE ? 0 : 1;
}
