/* loop/radix64.c: the radix sort for elements of 64 bits; radix.inc.h has it all. */
#include "loop/radix.h"

typedef uint64_t key;
enum { KEY_BITS = 64 };
#define encode filch__encode64
#define decode filch__decode64
#define RADIX_SORT filch__radix_sort64
#include "loop/radix.inc.h"
