/*
 * Shared by keeper.c (connection, questions, timers), keeper_look.c (what an answer means) and
 * keeper_chores.c (what is due every second), and used by no others.
 */
#ifndef ROWTAIL_MIRROR_KEEPER_IMPL_H
#define ROWTAIL_MIRROR_KEEPER_IMPL_H

#include "base/loop.h"
#include "mirror/change.h"
#include "mirror/keeper.h"
#include "mirror/source.h"

enum {
	KEEPER_BEAT_MS = 1000, /* between two heartbeats: the copy says that it is still complete */
	KEEPER_PAUSE_LEAST_MS = 100,
};

enum phase {
	AWAY, /* not connected */
	COMPARING, /* does the source have the newest event of the copy? */
	SIZING, /* how much is there to copy? */
	COPYING,
	LOOKING,
	LISTENING,
	TELLING, /* the other mirrors of rows that were taken back */
	RESTING,
};

/* What the current look, or copy, has shown. */
struct look {
	struct change log; /* CHANGE_LOG, without its texts */
	char token[COPY_TOKEN_MAX];
	bool has_log;
	int64_t after, base; /* of the first new timeline; base 0: none */
	int64_t last_base; /* of the last one */
	int64_t highest; /* number of anything */
	int64_t changed; /* number of the last change that is no event */
	int64_t began_ms, rows;
	bool whole; /* log.number is known */
};

struct keeper {
	const struct config *config;
	struct copy *copy;
	struct source *source;
	enum phase phase;
	int status;
	struct loop_timer poll, beat, pause, prune;
	int64_t pause_ms;
	int64_t copying_ms; /* by clock_ms(): when the new copy was begun; 0: none is made */
	struct look look;
	int64_t compared; /* id of the event that was asked for */
	uint64_t hash; /* of that event in the copy */
	bool same; /* the source has it, unchanged */
	int64_t suspect; /* an event that the source lacks: its deletion must follow; 0: none */
	bool compare; /* look again whether the source has the newest event: it lags */
	bool rebuild; /* the copy cannot be mended */
	int64_t lost; /* for copy_state.lost_base of a rebuilt copy */
	bool whole; /* the next look finds out how far the source is */
	bool due; /* a heartbeat came: the chores wait */
	bool again; /* a notice came during a question */
	bool listens; /* the first connection listens */
	bool standby;
	int64_t written_ms; /* by clock_ms(): when the copy's state was last written */
	int64_t since_ms;
	char fault[512];
	char told[512]; /* the last fault that was logged */
	struct keeper_view counted;
};

extern struct keeper keeper;

/* Ends the loop. */
void keeper_stop_with(int status);

/* Closes the connection, and begins again after a pause. what: ends the line in the log. */
void keeper_begin_again(const char *sentence, const char *what);

/* The copy cannot be written. */
void keeper_copy_failed(enum copy_status s);

/* The copy is of no use any more. */
void keeper_begin_rebuild(const char *why);

/* Asks the source. */
void keeper_ask(enum phase phase, enum source_question question, int64_t a, int64_t b);

/* Looks for changes. */
void keeper_look(void);

/* Does what is left to do, or waits for notices. */
void keeper_rest(void);

/* Call once connected. Decides whether the copy can continue, and asks the first question. */
void keeper_begin_work(void);

/* What is to be done every second. Only while no question is open. */
void keeper_do_chores(void);

/* Deletes what --keep-rows and --keep-seconds do not keep, for one turn of the loop at most. */
void keeper_prune(void);
void keeper_prune_due(struct loop_timer *timer);

/* An answer is complete. */
void keeper_finish_look(void);
void keeper_finish_copy(void);
/* size: CHANGE_SIZE */
void keeper_begin_copy(const struct change *size);

#endif
