#include "stream/leave.h"

#include <stddef.h>

#include "base/metrics.h"

const char *const leave_names[] = {"client", "abort", "age", "stall", "shutdown", "revoked",
	"expired", "cut", "protocol", "memory", "answered", "unreadable", "ended", NULL};
_Static_assert(
	sizeof(leave_names) / sizeof(leave_names[0]) == LEAVE_REASONS + 1, "a name for each");
