#include "server/refusal.h"

#include <stddef.h>

#include "base/metrics.h"

const char *const refusal_names[] = {"bad_request", "unauthorized", "forbidden",
	"too_many_attempts", "max_streams", "max_streams_per_client", "database", "shutdown",
	"protocol", "ended", NULL};
_Static_assert((int)REFUSALS <= (int)METRIC_REASONS_MAX, "a counter for each");
_Static_assert(sizeof(refusal_names) / sizeof(refusal_names[0]) == REFUSALS + 1, "a name for each");

void refusal_count(enum refusal reason)
{
	metrics_add_reason(METRIC_REFUSED, reason);
}
