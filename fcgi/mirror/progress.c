#include "mirror/progress.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/logging.h"

enum { BAR = 30, BAR_MS = 100, LINE_MS = 3000, EACH = 256 };

static struct {
	int64_t total, begun_ms, next_ms;
	bool bar, drawn;
} progress;

void progress_begin(int64_t total)
{
	progress.total = total;
	progress.begun_ms = clock_ms();
	progress.bar = isatty(STDERR_FILENO);
	progress.drawn = false;
	progress.next_ms = progress.begun_ms + (progress.bar ? BAR_MS : LINE_MS);
}

/* "1234567 of 2000000 rows, 210000 rows/s, 4 s left" */
static void describe(char *text, size_t size, int64_t rows, int64_t now_ms)
{
	int64_t spent_ms = now_ms - progress.begun_ms, rate;
	int length;

	rate = spent_ms > 0 ? rows * 1000 / spent_ms : 0;
	if (rows > progress.total || rate == 0) {
		snprintf(text, size, "%" PRId64 " rows, %" PRId64 " rows/s", rows, rate);
		return;
	}
	length = snprintf(text, size, "%" PRId64 " of %" PRId64 " rows, %" PRId64 " rows/s, ", rows,
		progress.total, rate);
	snprintf(text + length, size - (size_t)length, "%" PRId64 " s left",
		(progress.total - rows) / rate + 1);
}

static void draw(int64_t rows, const char *text)
{
	int done = progress.total > 0 && rows < progress.total ? (int)(rows * BAR / progress.total)
							       : BAR;
	char bar[BAR + 1];

	memset(bar, '.', BAR);
	memset(bar, '#', (size_t)done);
	bar[BAR] = '\0';
	fprintf(stderr, "\r[%s] %s\033[K", bar, text);
	fflush(stderr);
	progress.drawn = true;
}

void progress_show(int64_t rows)
{
	int64_t now_ms;
	char text[128];

	if (rows % EACH != 0 || (now_ms = clock_ms()) < progress.next_ms)
		return;
	describe(text, sizeof(text), rows, now_ms);
	if (progress.bar)
		draw(rows, text);
	else
		log_info("copying: %s", text);
	progress.next_ms = now_ms + (progress.bar ? BAR_MS : LINE_MS);
}

int64_t progress_end(void)
{
	if (progress.drawn)
		fprintf(stderr, "\r\033[K");
	progress.drawn = false;
	return clock_ms() - progress.begun_ms;
}
