/* Is the log a copy that rowtail-mirror keeps, and is it up to date? */
#include "check/query.h"

#include <stdio.h>
#include <sysexits.h>

#include "log/copied.h"

enum { FRESH_MS = 10 * 1000 }; /* rowtail-mirror notes once a second that the copy is complete */

#define NEVER "rowtail-mirror has never completed this copy: see its log"

static const char start[] = "systemctl restart rowtail-mirror";

void section_copy(struct checking *c)
{
	struct copied copied;

	if (copied_read(c->log, &copied) != EVENTLOG_OK || !copied.is_copy)
		return;
	if (copied.age_ms < 0 && copied.stale)
		report_wrong(c->report, EX_CONFIG, start, NEVER);
	else if (copied.age_ms < 0)
		report_note(c->report, start, NEVER);
	else if (copied.stale)
		report_wrong(c->report, EX_CONFIG, start,
			"this copy was complete %lld seconds ago, longer than rowtail-mirror's "
			"--max-stale allows: see its log, and whether PostgreSQL can be reached",
			(long long)copied.age_ms / 1000);
	else if (copied.age_ms > FRESH_MS || !*copied.where)
		report_note(c->report, start,
			"this copy was complete %lld seconds ago: rowtail-mirror does not run, or "
			"cannot reach PostgreSQL; see its log",
			(long long)copied.age_ms / 1000);
	else
		report_ok(c->report, "rowtail-mirror keeps this copy of %s, complete %lld ms ago",
			copied.where, (long long)copied.age_ms);
	if (copied.behind > 0)
		report_note(c->report, NULL,
			"this copy lacks %lld rows: rowtail-mirror catches up, or writes too "
			"slowly",
			(long long)copied.behind);
}
