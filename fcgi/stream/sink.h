/*
 * sink: the destination of a stream's bytes: a connection, standard output, or a test double.
 *
 * Only an interface. Whoever makes a sink owns it, and must keep it longer than its subscriber.
 */
#ifndef ROWTAIL_SINK_H
#define ROWTAIL_SINK_H

#include <stdbool.h>
#include <sys/uio.h>

struct sink;

struct sink_operations {
	/*
	 * Writes without waiting, like writev(2). Returns the number of bytes taken, 0 if none can
	 * be taken now, -1 if the peer is gone.
	 */
	ssize_t (*write)(struct sink *sink, const struct iovec *iov, int count);

	/* Says whether the owner must call fanout_writable() when the sink can take bytes again. */
	void (*want_write)(struct sink *sink, bool want);

	/*
	 * The subscriber has left and writes nothing more. Called once, when nobody uses the
	 * subscriber any more. The owner closes and frees, at once or later.
	 */
	void (*finished)(struct sink *sink);

	/*
	 * Can it take bytes now, although it has not said so yet? NULL: it always says so itself.
	 */
	bool (*would_take)(struct sink *sink);
};

struct sink {
	const struct sink_operations *operations;
};

#endif
