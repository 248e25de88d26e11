/*
 * page: the pages for administrators: metrics, status, health (rowtail(8), METRICS).
 *
 * The web server decides who may see them: it sets ROWTAIL_PAGE. Reads the oldest and newest id
 * from the current database file. Changes nothing.
 */
#ifndef ROWTAIL_PAGE_H
#define ROWTAIL_PAGE_H

#include "config/config.h"
#include "log/eventlog.h"
#include "request/request.h"
#include "server/answer.h"
#include "stream/fanout.h"

struct page {
	enum request_page request;
	bool head_only;
	struct fanout *fanout;
	struct eventlog *log;
	const struct config *config;
	int64_t max_streams, started_ms;
	bool closing;
};

/* Appends the complete answer. */
void page_write(struct buffer *out, const struct page *page, const struct answer_cors *cors);

#endif
