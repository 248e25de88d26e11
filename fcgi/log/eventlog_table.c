#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "log/eventlog_impl.h"

enum { SQL_MAX = 2048, NAME_MAX_QUOTED = 512 };

/* The columns that rowtail uses, if the table has them. */
struct columns {
	bool id, channel, event, data, retry, created_at;
	bool view;
	bool channel_index;
	bool pruned_table;
	bool ended_table;
	char sequence[256]; /* the table's name in sqlite_sequence; "": not in it */
};

/* Runs a query; *found tells whether it returned a row. text may be NULL. */
static enum database_status look_up(
	struct database *db, const char *sql, const char *text, bool *found)
{
	struct statement *st;
	enum database_status s = database_prepare(db, &st, sql);

	if (s == DATABASE_OK) {
		if (text)
			database_bind_text(st, 1, text, strlen(text));
		s = database_step(st);
	}
	*found = s == DATABASE_ROW;
	database_finalize(st);
	return s;
}

static void note_column(struct columns *c, const char *name)
{
	const struct {
		const char *name;
		bool *has;
	} known[] = {{"id", &c->id}, {"channel", &c->channel}, {"event", &c->event},
		{"data", &c->data}, {"retry", &c->retry}, {"created_at", &c->created_at}};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (!strcasecmp(known[i].name, name))
			*known[i].has = true;
}

static enum database_status read_columns(struct eventlog *log, struct columns *c)
{
	struct statement *st;
	size_t length;
	enum database_status s =
		database_prepare(log->db, &st, "SELECT name FROM pragma_table_xinfo(?1)");

	if (s == DATABASE_OK)
		database_bind_text(st, 1, log->table, strlen(log->table));
	while (s == DATABASE_OK || s == DATABASE_ROW)
		if ((s = database_step(st)) == DATABASE_ROW)
			note_column(c, database_text(st, 0, &length));
	database_finalize(st);
	return s;
}

/* Ignores a name that would need quoting in SQL. */
static void note_sequence(struct columns *c, const char *name)
{
	if (name && strlen(name) < sizeof(c->sequence) && !strchr(name, '\''))
		snprintf(c->sequence, sizeof(c->sequence), "%s", name);
}

/* Finds the name under which SQLite keeps the table's highest id, if it does. */
static void read_sequence(struct eventlog *log, struct columns *c)
{
	struct statement *st;
	size_t length;

	if (database_prepare(log->db, &st,
		    "SELECT m.name FROM sqlite_master m WHERE m.type = 'table' AND "
		    "lower(m.name) = lower(?1) AND m.sql LIKE '%autoincrement%' AND EXISTS "
		    "(SELECT 1 FROM sqlite_master WHERE name = 'sqlite_sequence')") ==
		DATABASE_OK) {
		database_bind_text(st, 1, log->table, strlen(log->table));
		if (database_step(st) == DATABASE_ROW)
			note_sequence(c, database_text(st, 0, &length));
	}
	database_finalize(st);
}

/*
 * An index on channel is usable only if SQL compares channels by their bytes. In a column of
 * another type, the number 42 is not equal to the text "42" that rowtail sends. In another
 * collation, "a" may equal "A".
 */
static enum database_status find_channel_index(struct eventlog *log, struct columns *c)
{
	struct database_column column;
	enum database_status s = look_up(log->db,
		"SELECT 1 FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) i WHERE "
		"l.partial = 0 AND i.seqno = 0 AND lower(i.name) = 'channel' AND "
		"upper(i.coll) = 'BINARY'",
		log->table, &c->channel_index);

	if (!database_column(log->db, log->table, "channel", &column) || !column.binary ||
		column.affinity != DATABASE_TEXT)
		c->channel_index = false;
	return s;
}

static enum database_status discover(struct eventlog *log, struct columns *c)
{
	bool found;
	enum database_status s = read_columns(log, c);

	if (s != DATABASE_DONE)
		return s;
	read_sequence(log, c);
	s = look_up(log->db,
		"SELECT 1 FROM sqlite_master WHERE type = 'view' AND lower(name) = lower(?1)",
		log->table, &c->view);
	if (s == DATABASE_DONE || s == DATABASE_ROW)
		s = find_channel_index(log, c);
	if (s != DATABASE_DONE && s != DATABASE_ROW)
		return s;
	s = look_up(log->db,
		"SELECT 1 FROM pragma_table_info('events_pruned') WHERE name = 'deletion'", NULL,
		&found);
	c->pruned_table = found && !strcasecmp(log->table, "events");
	if (s != DATABASE_DONE && s != DATABASE_ROW)
		return s;
	s = look_up(log->db,
		"SELECT 1 FROM pragma_table_info('events_ended') WHERE name = 'id' AND EXISTS "
		"(SELECT 1 FROM pragma_table_info('events_ended') WHERE name = 'channel')",
		NULL, &found);
	c->ended_table = found && c->pruned_table;
	return s == DATABASE_DONE || s == DATABASE_ROW ? DATABASE_OK : s;
}

/* Writes what the table lacks to log->error; false if it lacks nothing. */
static bool lacks(struct eventlog *log, const struct columns *c)
{
	bool any = c->id || c->channel || c->event || c->data || c->retry || c->created_at;

	if (c->id && c->data)
		return false;
	if (!any && !strcasecmp(log->table, "events"))
		snprintf(log->error, sizeof(log->error),
			"%s has no table \"events\": create it with: sqlite3 %s < "
			"schema/rowtail.sql",
			log->path, log->path);
	else if (!any)
		snprintf(log->error, sizeof(log->error),
			"%s has no table or view \"%s\" with the columns id and data: "
			"name one that has them, or create the table events with: sqlite3 %s < "
			"schema/rowtail.sql",
			log->path, log->table, log->path);
	else
		snprintf(log->error, sizeof(log->error),
			"%s: \"%s\" has no column \"%s\": the table or view must have at least id "
			"(unique integers that grow) and data",
			log->path, log->table, c->id ? "data" : "id");
	return true;
}

/* Prepares a statement from parts of SQL, which are joined; NULL ends them. */
static enum database_status prepare(
	struct eventlog *log, enum eventlog_statement which, const char *const *parts)
{
	char sql[SQL_MAX];
	size_t length = 0;

	for (; *parts && length < sizeof(sql); parts++)
		length += (size_t)snprintf(sql + length, sizeof(sql) - length, "%s", *parts);
	if (length >= sizeof(sql))
		return DATABASE_SCHEMA;
	return database_prepare(log->db, &log->st[which], sql);
}

#define PARTS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* Statements for every table. */
static enum database_status prepare_base(
	struct eventlog *log, const struct columns *c, const char *table)
{
	char columns[256], names[128];
	const struct {
		enum eventlog_statement which;
		const char *const *parts;
	} all[] = {
		{ST_BEGIN, PARTS("BEGIN")},
		{ST_COMMIT, PARTS("COMMIT")},
		{ST_VERSION, PARTS("PRAGMA data_version")},
		{ST_OLDEST, PARTS("SELECT id FROM ", table, " ORDER BY id LIMIT 1")},
		{ST_NEWEST, PARTS("SELECT id FROM ", table, " ORDER BY id DESC LIMIT 1")},
		{ST_NEXT, PARTS("SELECT id FROM ", table, " WHERE id > ?1 ORDER BY id LIMIT 1")},
		{ST_NAMES, PARTS("SELECT ", names, " FROM ", table,
				   " WHERE id > ?1 ORDER BY id LIMIT ?2")},
		{ST_SCAN, PARTS("SELECT ", columns, " FROM ", table,
				  " WHERE id > ?1 ORDER BY id LIMIT ?2")},
		{ST_NAMES_OF, PARTS("SELECT ", names, " FROM ", table, " WHERE id = ?1")},
		{ST_ROW, PARTS("SELECT ", columns, " FROM ", table, " WHERE id = ?1")},
		{ST_BACK, PARTS("SELECT ", names, " FROM ", table,
				  " WHERE id > ?1 AND id <= ?2 ORDER BY id DESC LIMIT ?3")},
	};
	enum database_status s = DATABASE_OK;

	snprintf(names, sizeof(names), "id, %s, %s", c->channel ? "channel" : "NULL",
		c->event ? "event" : "NULL");
	snprintf(columns, sizeof(columns), "%s, data, %s, %s", names, c->retry ? "retry" : "NULL",
		c->created_at ? "created_at" : "NULL");
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && s == DATABASE_OK; i++)
		s = prepare(log, all[i].which, all[i].parts);
	return s;
}

/* Statements for some tables only. */
static enum database_status prepare_extras(
	struct eventlog *log, const struct columns *c, const char *table)
{
	const struct {
		bool has;
		enum eventlog_statement which;
		const char *const *parts;
	} all[] = {
		{*c->sequence, ST_SEQUENCE,
			PARTS("SELECT seq FROM sqlite_sequence WHERE name = '", c->sequence, "'")},
		{c->channel_index, ST_IDS,
			PARTS("SELECT id FROM ", table,
				" WHERE channel = ?1 AND id > ?2 ORDER BY id LIMIT ?3")},
		{c->channel_index, ST_IDS_BACK,
			PARTS("SELECT id FROM ", table,
				" WHERE channel = ?1 AND id > ?2 AND id <= ?4 ORDER BY id DESC "
				"LIMIT ?3")},
		{c->channel_index, ST_WALK_FROM,
			PARTS("SELECT id, channel FROM ", table,
				" WHERE channel >= ?1 AND channel < ?2 ORDER BY channel")},
		{c->channel_index, ST_WALK_BEHIND,
			PARTS("SELECT id, channel FROM ", table,
				" WHERE channel > ?1 AND channel < ?2 ORDER BY channel")},
		{c->channel_index, ST_NO_TEXT,
			PARTS("SELECT EXISTS (SELECT 1 FROM ", table,
				" WHERE channel IS NULL) OR EXISTS (SELECT 1 FROM ", table,
				" WHERE channel >= x'')")},
		{c->pruned_table, ST_PRUNED_ANY, PARTS("SELECT max(id) FROM events_pruned")},
		{c->pruned_table, ST_PRUNED_SINCE,
			PARTS("SELECT max(id) FROM events_pruned WHERE deletion > ?1")},
		{c->pruned_table, ST_PRUNED_CHANNEL,
			PARTS("SELECT id FROM events_pruned WHERE channel = ?2 AND deletion > ?1 "
			      "ORDER BY id DESC LIMIT 1")},
		{c->pruned_table, ST_PRUNED_BELOW,
			PARTS("SELECT max(id) FROM events_pruned WHERE channel >= ?2 AND channel < "
			      "?3 AND deletion > ?1")},
		{c->pruned_table, ST_MARK,
			PARTS("SELECT channel, event, created_at FROM events WHERE id = ?1")},
		{!c->pruned_table && !log->sorts, ST_MARK,
			PARTS("SELECT data, NULL, NULL FROM ", table, " WHERE id = ?1")},
		{c->ended_table, ST_ENDED, PARTS("SELECT id FROM events_ended WHERE channel = ?1")},
		{c->created_at && !log->sorts, ST_CREATED,
			PARTS("SELECT CAST(strftime('%s', created_at) AS INTEGER) FROM ", table,
				" WHERE id = ?1")},
		{c->pruned_table, ST_DELETION, PARTS("SELECT max(deletion) FROM events_pruned")},
	};
	enum database_status s = DATABASE_OK;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && s == DATABASE_OK; i++)
		if (all[i].has)
			s = prepare(log, all[i].which, all[i].parts);
	return s;
}

/* Called first: if the schema changes while we read it, we have the old number and notice. */
static enum database_status note_schema(struct eventlog *log)
{
	enum database_status s = prepare(log, ST_SCHEMA, PARTS("PRAGMA schema_version"));

	if (s == DATABASE_OK)
		s = eventlog_one(log->st[ST_SCHEMA], 0, &log->schema);
	return s == DATABASE_DONE ? DATABASE_OK : s;
}

bool eventlog_id_is_good(struct eventlog *log, struct statement *st)
{
	static const char cure[] =
		"follow a view that makes integers of them, such as CREATE VIEW log AS "
		"SELECT rowid AS id, data FROM ...";

	if (!database_is_int(st, 0))
		snprintf(log->unfit, sizeof(log->unfit),
			"\"%s\" has an id of type %s, but rowtail needs integers that grow: %s",
			log->table, database_type(st, 0), cure);
	else if (database_int(st, 0) < 1)
		snprintf(log->unfit, sizeof(log->unfit),
			"\"%s\" has the id %lld, but ids must be above 0 (0 is the position "
			"before the first row): %s",
			log->table, (long long)database_int(st, 0), cure);
	return !*log->unfit;
}

/*
 * Checks the smallest and the largest id, since SQLite sorts numbers before texts; if empty, the
 * type.
 */
static enum database_status check_ids(struct eventlog *log)
{
	static const enum eventlog_statement ends[] = {ST_OLDEST, ST_NEWEST};
	enum database_status s = DATABASE_DONE;
	struct database_column column;

	for (int i = 0; i < 2 && s == DATABASE_DONE; i++) {
		s = database_step(log->st[ends[i]]);
		if (s == DATABASE_ROW)
			s = eventlog_id_is_good(log, log->st[ends[i]]) ? DATABASE_DONE
								       : DATABASE_SCHEMA;
		database_reset(log->st[ends[i]]);
	}
	if (s != DATABASE_DONE || !database_column(log->db, log->table, "id", &column))
		return s;
	if (column.affinity != DATABASE_TEXT && column.affinity != DATABASE_REAL)
		return s;
	snprintf(log->unfit, sizeof(log->unfit),
		"the column id of \"%s\" has type %s, but rowtail needs integers that "
		"grow: declare it INTEGER PRIMARY KEY, or follow a view that uses rowid "
		"as its id",
		log->table, column.affinity == DATABASE_TEXT ? "TEXT" : "REAL");
	return DATABASE_SCHEMA;
}

/* Finds the database's encoding: the same row may be stored in twice as many bytes. */
static enum database_status look_at_encoding(struct eventlog *log)
{
	struct statement *st;
	enum database_status s = database_prepare(log->db, &st, "SELECT length(CAST('a' AS BLOB))");

	if (s == DATABASE_OK)
		s = database_step(st);
	log->unit = s == DATABASE_ROW ? (int)database_int(st, 0) : 1;
	database_finalize(st);
	return s == DATABASE_ROW ? DATABASE_OK : s;
}

/* Does SQLite sort the rows at each look because there is no index? Its query plan tells. */
static enum database_status look_at_plan(struct eventlog *log, const char *table)
{
	char sql[SQL_MAX];
	struct statement *st;
	enum database_status s;

	log->sorts = false;
	snprintf(sql, sizeof(sql),
		"EXPLAIN QUERY PLAN SELECT id FROM %s WHERE id > 1 ORDER BY id LIMIT 9", table);
	s = database_prepare(log->db, &st, sql);
	while (s == DATABASE_OK || s == DATABASE_ROW) {
		size_t length;
		const char *detail;

		if ((s = database_step(st)) == DATABASE_ROW &&
			(detail = database_text(st, 3, &length)) && strstr(detail, "TEMP B-TREE"))
			log->sorts = true;
	}
	database_finalize(st);
	return s == DATABASE_DONE ? DATABASE_OK : s;
}

enum database_status eventlog_prepare_table(struct eventlog *log, bool *lacking)
{
	struct columns c = {0};
	char table[NAME_MAX_QUOTED];
	enum database_status s = note_schema(log);

	if (s == DATABASE_OK)
		s = discover(log, &c);
	*lacking = s == DATABASE_OK && lacks(log, &c);
	if (s != DATABASE_OK || *lacking)
		return s;
	if (!database_quote(table, sizeof(table), log->table))
		return DATABASE_SCHEMA;
	log->is_view = c.view;
	log->prepared++;
	s = prepare_base(log, &c, table);
	if (s == DATABASE_OK)
		s = look_at_encoding(log);
	if (s == DATABASE_OK)
		s = look_at_plan(log, table);
	if (s == DATABASE_OK)
		s = prepare_extras(log, &c, table);
	if (s == DATABASE_OK)
		s = check_ids(log);
	return s == DATABASE_DONE ? DATABASE_OK : s;
}
