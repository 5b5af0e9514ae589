/* SPDX-License-Identifier: GPL-2.0-or-later */
/** A log with events, and a four-layer log that reads it, for its tests. Include behind cmocka.h. */
#ifndef LAYER_FIXTURE_H
#define LAYER_FIXTURE_H

#include "event.h"
#include "layer_line.h"
#include "layer_log.h"

#include "log_fixture.h"

#define LINES_MAX 200000

struct test
{
	struct fixture *f;
	struct sb_layer_cfg cfg;
	char target[128], dir[96];
	struct sb_layer_log *l;
	uint64_t now, events;
	char err[1200];
};

static char said[4096];
static unsigned errors_said, notices_said;

static inline void say(bool error, const char *text)
{
	if(error)
		errors_said++;
	else
		notices_said++;
	snprintf(said, sizeof(said), "%s", text);
}

static inline int begin(void **state)
{
	struct test *t = calloc(1, sizeof(*t));

	fixture_log((void **)&t->f);
	said[0] = '\0';
	errors_said = notices_said = 0;
	snprintf(t->dir, sizeof(t->dir), "%s/out", t->f->root);
	assert_int_equal(0, mkdir(t->dir, 0750));
	snprintf(t->target, sizeof(t->target), "%s/layers.log", t->dir);
	t->now = 1769868127000000ull;
	t->cfg.log = &t->f->log;
	t->cfg.sink = sb_log_sink(t->f->sh, "layer_log");
	t->cfg.state_dir = t->f->root;
	t->cfg.target = t->target;
	t->cfg.size = 1 << 20;
	t->cfg.files = 100;
	t->cfg.say = say;
	t->cfg.status = mmap(NULL, sizeof(*t->cfg.status), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	*state = t;
	return 0;
}

static inline int end(void **state)
{
	struct test *t = *state;

	if(t->l != NULL)
		sb_layer_stop(t->l, t->now, t->now);
	munmap(t->cfg.status, sizeof(*t->cfg.status));
	fixture_end((void **)&t->f);
	free(t);
	return 0;
}

static inline void start(struct test *t)
{
	assert_int_equal(0, sb_layer_prepare(&t->cfg, t->err, sizeof(t->err)));
	assert_int_equal(0, sb_layer_new(&t->l, &t->cfg, t->err, sizeof(t->err)));
}

static inline void stop(struct test *t)
{
	sb_layer_stop(t->l, t->now, t->now);
	t->l = NULL;
}

static inline void event_of(struct test *t, uint16_t type)
{
	static uint8_t rec[SB_LOG_MAX_RECORD + 64];
	struct sb_out o = {.p = rec + SB_LOG_HDR, .cap = SB_LOG_MAX_RECORD};
	const uint8_t id[16] = {1, 2, 3};

	t->events++;
	sb_put_uuid(&o, SB_C_CALL_ID, id);
	sb_put_time(&o, SB_C_AT, t->now);
	sb_put_u64(&o, SB_C_SEQUENCE, t->events);
	sb_put_str(&o, SB_C_RURI, "sip:+442079460100@sip.example.com", 33);
	assert_int_equal(0, sb_log_append(&t->f->log, type, SB_KEEP, rec, (uint32_t)o.len, NULL));
}

static inline void events(struct test *t, unsigned n)
{
	while(n-- > 0)
		event_of(t, SB_CALL_RINGING);
}

/* Turns until it has nothing more to do, in its own time. */
static inline void turns(struct test *t)
{
	for(int i = 0; i < 100 && sb_layer_turn(t->l, t->now, t->now) == 0; i++)
		t->now += 1000;
	t->now += SB_LAYER_KEEP_MS * 1000;
	sb_layer_turn(t->l, t->now, t->now);
}

/* The call sequences of a file's lines, in order. @return how many */
static inline unsigned sequences(const char *path, uint64_t *out)
{
	static char line[SB_LAYER_LINE_MAX + 2];
	FILE *f = fopen(path, "r");
	unsigned n = 0;

	assert_non_null(f);
	while(fgets(line, sizeof(line), f) != NULL) {
		const char *at = strstr(line, "\"sequence\":");
		assert_int_equal('\n', line[strlen(line) - 1]);
		assert_non_null(at);
		assert_true(sb_layer_line_begins(line, strlen(line)));
		out[n++] = strtoull(at + 11, NULL, 10);
		assert_true(n < LINES_MAX);
	}
	fclose(f);
	return n;
}

static inline void expect_lines(const struct test *t, const char *suffix, uint64_t first, uint64_t last)
{
	static uint64_t got[LINES_MAX];
	char path[160];

	snprintf(path, sizeof(path), "%s%s", t->target, suffix);
	assert_int_equal(last + 1 - first, sequences(path, got));
	for(uint64_t i = 0; i <= last - first; i++)
		assert_int_equal(first + i, got[i]);
}

#endif
