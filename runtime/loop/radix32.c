/* loop/radix32.c: the radix sort for elements of 32 bits; radix.inc.h has it all. */
#include "loop/radix.h"

typedef uint32_t key;
enum { KEY_BITS = 32 };
#define encode filch__encode32
#define decode filch__decode32
#define RADIX_SORT filch__radix_sort32
#include "loop/radix.inc.h"
