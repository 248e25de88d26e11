#include "log/gap.h"

#include <stddef.h>

const char *const gap_names[] = {"pruned", "future", "malformed", "limit", "replaced", NULL};
_Static_assert(sizeof(gap_names) / sizeof(gap_names[0]) == GAP_REASONS + 1, "a name for each");
