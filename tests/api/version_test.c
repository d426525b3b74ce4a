/* version_test.c: the version of the library is that of its headers.
 *
 * SPDX-License-Identifier: MIT */
#include <criterion/criterion.h>
#include <filch/version.h>
#include <stdio.h>

Test(version, number_is_that_of_the_headers) {
    cr_assert_eq(filch_version(), FILCH_VERSION);
}

Test(version, text_says_the_number) {
    char text[32];
    snprintf(text, sizeof text, "%d.%d.%d", FILCH_VERSION_MAJOR, FILCH_VERSION_MINOR,
             FILCH_VERSION_PATCH);
    cr_assert_str_eq(filch_version_text(), text);
}
