/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli.h"
#include "filter.h"
#include "ids.h"
#include "text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char filters[] = "--call --number --type --since --last --all";

static void print_record(struct cli *c, const struct sb_rec *rec, const struct sb_fields *fields)
{
	if(c->json) {
		json_t *j = line_json(c, rec);
		if(j != NULL)
			print_json(c, j, false);
	} else {
		line_print(c, rec, fields);
	}
}

/** Says why nothing was printed. */
static int nothing(struct cli *c, const struct cli_options *o)
{
	fprintf(c->err, "signalbox: no event");
	if(o->call != NULL)
		fprintf(c->err, " of call %s", o->call);
	if(o->number != NULL)
		fprintf(c->err, " with number %s", o->number);
	if(o->type != NULL)
		fprintf(c->err, " of type %s", o->type);
	if(o->since != NULL)
		fprintf(c->err, " since %s", o->since);
	fprintf(c->err, " in %s.\n", c->journal);
	return CLI_NOT_FOUND;
}

static int parse_last(struct cli *c, const struct cli_options *o, size_t *last)
{
	char *end;
	*last = 0;
	if(o->last == NULL)
		return CLI_OK;
	unsigned long n = strtoul(o->last, &end, 10);
	if(*end != '\0' || o->last[0] < '0' || o->last[0] > '9' || n == 0 || n > 1000000) {
		fprintf(c->err, "signalbox: --last %s: give a number from 1 to 1000000.\n", o->last);
		return CLI_USAGE;
	}
	*last = n;
	return CLI_OK;
}

/** Where the last n of the wanted records begin: a ring of n positions. */
static int find_last(struct cli *c, const struct filter *f, size_t n, struct sb_pos *from)
{
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_fields fields;
	int rc = cli_reader(c, *from, &r);
	if(rc != CLI_OK)
		return rc;
	struct sb_pos *ring = calloc(n, sizeof(*ring));
	uint64_t count = 0;
	while(ring != NULL && sb_reader_next(r, &rec) == 1) {
		if(filter_takes(f, &rec, &fields))
			ring[count++ % n] = rec.pos;
	}
	if(ring != NULL && count > 0)
		*from = count < n ? ring[0] : ring[count % n];
	free(ring);
	sb_reader_close(r);
	return CLI_OK;
}

static int list(struct cli *c, const struct cli_options *o)
{
	struct filter f;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_fields fields;
	struct sb_pos from = {0, 0};
	size_t last;
	uint64_t shown = 0;
	int rc;
	if((rc = filter_init(&f, c, o)) != CLI_OK || (rc = parse_last(c, o, &last)) != CLI_OK)
		return rc;
	if(last > 0 && (rc = find_last(c, &f, last, &from)) != CLI_OK)
		return rc;
	if((rc = cli_reader(c, from, &r)) != CLI_OK)
		return rc;
	while(sb_reader_next(r, &rec) == 1) {
		if(!filter_takes(&f, &rec, &fields))
			continue;
		print_record(c, &rec, &fields);
		if(ferror(c->out))
			break;
		shown++;
	}
	cli_say_damage(c, r);
	sb_reader_close(r);
	return shown > 0 ? CLI_OK : nothing(c, o);
}

static int follow(struct cli *c, const struct cli_options *o)
{
	const struct timespec pause = {.tv_nsec = 100000000};
	struct filter f;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_fields fields;
	bool old = o->since == NULL;
	int rc;
	if((rc = filter_init(&f, c, o)) != CLI_OK || (rc = cli_reader(c, (struct sb_pos){0, 0}, &r)) != CLI_OK)
		return rc;
	while((rc = sb_reader_next(r, &rec)) >= 0 && !ferror(c->out)) {
		if(rc == 0) {
			old = false;
			fflush(c->out);
			nanosleep(&pause, NULL);
		} else if(!old && filter_takes(&f, &rec, &fields)) {
			print_record(c, &rec, &fields);
		}
	}
	if(rc < 0)
		fprintf(c->err, "signalbox: %s cannot be read any more: %s.\n", c->journal, strerror(-rc));
	sb_reader_close(r);
	return rc < 0 ? CLI_NOT_FOUND : CLI_OK;
}

static void print_counts(struct cli *c, json_t *types, size_t calls, uint64_t events)
{
	const char *name;
	json_t *n;
	if(c->json) {
		print_json(c,
				json_pack("{s:I, s:I, s:O}", "calls", (json_int_t)calls, "events", (json_int_t)events, "types", types),
				false);
		return;
	}
	json_object_foreach(types, name, n)
			fprintf(c->out, "%10" JSON_INTEGER_FORMAT "  %s\n", json_integer_value(n), name);
	fprintf(c->out, "%10" PRIu64 "  events of %zu %s\n", events, calls, calls == 1 ? "call" : "calls");
}

static int count(struct cli *c, const struct cli_options *o)
{
	struct filter f;
	struct sb_reader *r;
	struct sb_rec rec;
	struct sb_fields fields;
	struct ids ids = {0};
	uint64_t events = 0;
	int rc;
	if((rc = filter_init(&f, c, o)) != CLI_OK || (rc = cli_reader(c, (struct sb_pos){0, 0}, &r)) != CLI_OK)
		return rc;
	json_t *types = json_object();
	while(sb_reader_next(r, &rec) == 1) {
		if(!filter_takes(&f, &rec, &fields))
			continue;
		struct text name = type_text(&rec, &fields);
		json_int_t n = json_integer_value(json_object_get(types, name.s));
		json_object_set_new(types, name.s, json_integer(n + 1));
		if(fields.f[SB_C_CALL_ID].col != 0 && ids_add(&ids, fields.f[SB_C_CALL_ID].data) < 0)
			break;
		events++;
	}
	cli_say_damage(c, r);
	sb_reader_close(r);
	print_counts(c, types, ids.used, events);
	json_decref(types);
	ids_free(&ids);
	return CLI_OK;
}

/** "<node>-<epoch>-<seq>" or "<epoch>-<seq>", in hex. */
static bool parse_id(const char *s, char node[33], uint64_t *epoch, uint64_t *seq)
{
	const char *seq_at = strrchr(s, '-');
	char *end;
	node[0] = '\0';
	if(seq_at == NULL || seq_at == s || seq_at[1] == '\0')
		return false;
	*seq = strtoull(seq_at + 1, &end, 16);
	if(*end != '\0')
		return false;
	const char *epoch_at = seq_at;
	while(epoch_at > s && epoch_at[-1] != '-')
		epoch_at--;
	if(epoch_at > s && epoch_at - s == 33)
		snprintf(node, 33, "%s", s);
	else if(epoch_at > s)
		return false;
	*epoch = strtoull(epoch_at, &end, 16);
	return end == seq_at;
}

/** Whether an id's node is this journal's, whose uuid has dashes. */
static bool same_node(const char *node, const char *uuid)
{
	char flat[33];
	size_t n = 0;
	for(; *uuid != '\0' && n < 32; uuid++) {
		if(*uuid != '-')
			flat[n++] = *uuid;
	}
	flat[n] = '\0';
	return strcasecmp(flat, node) == 0;
}

static int show(struct cli *c, const struct cli_options *o)
{
	struct sb_reader *r;
	struct sb_rec rec;
	char node[33];
	uint64_t epoch, seq;
	int rc;
	if(o->words != 2 || !parse_id(o->word[1], node, &epoch, &seq)) {
		fprintf(c->err, "signalbox: journal show needs one event id: the webhook-id, or the short form of journal list "
						"(1-2a).\n");
		return CLI_USAGE;
	}
	if((rc = cli_reader(c, (struct sb_pos){0, 0}, &r)) != CLI_OK)
		return rc;
	if(node[0] != '\0' && !same_node(node, c->node)) {
		fprintf(c->err,
				"signalbox: event %s is of node %s; this journal is of node %s. Look there, or give its --dir.\n",
				o->word[1], node, c->node);
		sb_reader_close(r);
		return CLI_NOT_FOUND;
	}
	rc = CLI_NOT_FOUND;
	while(rc == CLI_NOT_FOUND && sb_reader_next(r, &rec) == 1) {
		if(rec.hdr.epoch != epoch || rec.hdr.seq != seq)
			continue;
		json_t *j = line_json(c, &rec);
		if(j == NULL)
			break;
		print_json(c, j, !c->json);
		rc = CLI_OK;
	}
	if(rc != CLI_OK)
		fprintf(c->err, "signalbox: no event %s in %s: never written, or older than what the journal keeps.\n",
				o->word[1], c->journal);
	cli_say_damage(c, r);
	sb_reader_close(r);
	return rc;
}

int cmd_journal(struct cli *c, int argc, char **argv)
{
	static const struct
	{
		const char *name;
		int (*run)(struct cli *c, const struct cli_options *o);
		const char *options;
		int words;
	} verb[] = {{"list", list, filters, 1}, {"show", show, "", 2}, {"follow", follow, filters, 1},
			{"count", count, filters, 1}};
	struct cli_options o;
	const char *name = argc > 0 ? argv[0] : "";
	for(size_t i = 0; i < sizeof(verb) / sizeof(verb[0]); i++) {
		if(strcmp(name, verb[i].name) != 0)
			continue;
		int rc = cli_options(c, argc, argv, verb[i].options, &o);
		if(rc != CLI_OK)
			return rc;
		if(o.words > verb[i].words) {
			fprintf(c->err, "signalbox: journal %s: what is '%s'? Filters are --call, --number, --type, --since.\n",
					name, o.word[verb[i].words]);
			return CLI_USAGE;
		}
		return verb[i].run(c, &o);
	}
	fprintf(c->err, "signalbox: journal %s: there are list, show, follow, count. See: signalbox help\n", name);
	return CLI_USAGE;
}
