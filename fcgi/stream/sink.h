/*
 * sink: where the bytes of a stream go: a FastCGI connection, CGI's standard output, or a test's
 * double.
 *
 * An interface only; whoever makes a sink owns it and outlives its subscriber.
 */
#ifndef ROWTAIL_SINK_H
#define ROWTAIL_SINK_H

#include <stdbool.h>
#include <sys/uio.h>

struct sink;

struct sink_operations {
	/*
	 * Writes without waiting, as writev(2): how many bytes were taken, 0 when none can be taken
	 * now, -1 when the peer is gone.
	 */
	ssize_t (*write)(struct sink *sink, const struct iovec *iov, int count);

	/* Shall the owner call fanout_writable() when the sink takes bytes again? */
	void (*want_write)(struct sink *sink, bool want);

	/*
	 * The subscriber has left: nothing more will be written. Called once, when the subscriber
	 * is no longer used by anyone; the owner closes and frees, at once or later.
	 */
	void (*finished)(struct sink *sink);

	/* Would it take bytes now, though it has not said so yet? NULL: it would have. */
	bool (*would_take)(struct sink *sink);
};

struct sink {
	const struct sink_operations *operations;
};

#endif
