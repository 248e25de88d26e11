#include "base/census.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

/*
 * A table with open addressing, twice as large as it has to hold. An entry without streams stays in
 * its place until another client takes it, so that a search can go past it.
 */
struct census_entry {
	uint8_t name[CENSUS_NAME];
	bool used; /* now or once */
	uint32_t streams[]; /* of each process */
};

struct census {
	pthread_mutex_t lock;
	size_t mapped; /* bytes */
	size_t processes, places, size; /* size: of an entry, in bytes */
	uint64_t entries[];
};

static struct census_entry *at(struct census *c, size_t place)
{
	return (void *)((char *)c->entries + place * c->size);
}

static bool init_lock(struct census *c)
{
	pthread_mutexattr_t how;
	bool made;

	if (pthread_mutexattr_init(&how) != 0)
		return false;
	pthread_mutexattr_setpshared(&how, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&how, PTHREAD_MUTEX_ROBUST);
	made = pthread_mutex_init(&c->lock, &how) == 0;
	pthread_mutexattr_destroy(&how);
	return made;
}

struct census *census_new(size_t processes, size_t clients)
{
	size_t size = (sizeof(struct census_entry) + processes * sizeof(uint32_t) + 7) / 8 * 8;
	size_t mapped = sizeof(struct census) + 2 * clients * size;
	struct census *c = mmap(NULL, mapped, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (c == MAP_FAILED)
		return NULL;
	c->mapped = mapped;
	c->processes = processes;
	c->places = 2 * clients;
	c->size = size;
	if (init_lock(c))
		return c;
	munmap(c, mapped);
	return NULL;
}

void census_free(struct census *c)
{
	if (c)
		munmap(c, c->mapped);
}

/* A holder that died has changed one number, or none: what it left is consistent. */
static void lock(struct census *c)
{
	if (pthread_mutex_lock(&c->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&c->lock);
}

static int64_t streams_of(const struct census *c, const struct census_entry *e)
{
	int64_t sum = 0;

	for (size_t i = 0; i < c->processes; i++)
		sum += e->streams[i];
	return sum;
}

/* The client's entry, or the place for it; NULL if the table is full. */
static struct census_entry *find(struct census *c, const uint8_t name[CENSUS_NAME])
{
	struct census_entry *free = NULL;
	uint64_t hash;

	memcpy(&hash, name, sizeof(hash));
	for (size_t i = 0; i < c->places; i++) {
		struct census_entry *e = at(c, (hash + i) % c->places);

		if (!e->used)
			return free ? free : e;
		if (memcmp(e->name, name, CENSUS_NAME) == 0)
			return e;
		if (!free && streams_of(c, e) == 0)
			free = e;
	}
	return free;
}

struct census_entry *census_take(
	struct census *c, size_t process, const uint8_t name[CENSUS_NAME], int64_t most)
{
	struct census_entry *e;

	lock(c);
	if ((e = find(c, name)) && streams_of(c, e) < most) {
		memcpy(e->name, name, CENSUS_NAME);
		e->used = true;
		e->streams[process]++;
	} else {
		e = NULL;
	}
	pthread_mutex_unlock(&c->lock);
	return e;
}

void census_give(struct census *c, size_t process, struct census_entry *e)
{
	lock(c);
	e->streams[process]--;
	pthread_mutex_unlock(&c->lock);
}

void census_forget(struct census *c, size_t process)
{
	lock(c);
	for (size_t i = 0; i < c->places; i++)
		if (at(c, i)->used)
			at(c, i)->streams[process] = 0;
	pthread_mutex_unlock(&c->lock);
}
