/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "doctor_probe.h"
#include "text.h"

#include <stdlib.h>
#include <string.h>

static void (*const check[])(struct doctor *d) = {
#define X(run, names) run,
		DOCTOR_CHECKS(X)
#undef X
};

static const char *const level_name[] = {
		[LEVEL_OK] = "ok", [LEVEL_WARN] = "warn", [LEVEL_BAD] = "bad", [LEVEL_UNKNOWN] = "unknown"};

static size_t all_left_out(const struct findings *all)
{
	size_t n = 0;
	for(size_t i = 0; i < LEVELS; i++)
		n += all->left_out[i];
	return n;
}

static void print(struct cli *c, const struct findings *all, const size_t count[LEVELS])
{
	static const enum tone tone[] = {[LEVEL_OK] = GOOD, [LEVEL_WARN] = BOLD, [LEVEL_BAD] = BAD, [LEVEL_UNKNOWN] = DIM};
	for(size_t i = 0; i < all->n; i++) {
		const struct finding *f = &all->f[i];
		fprintf(c->out, "%s%-7s%s  %-13s %s\n", tone_on(c, tone[f->level]), level_name[f->level],
				tone_off(c, tone[f->level]), f->what, f->found);
		if(f->fix[0] != '\0')
			fprintf(c->out, "         %-13s fix: %s\n", "", f->fix);
	}
	if(all_left_out(all) > 0)
		fprintf(c->out, "%zu more are not shown\n", all_left_out(all));
	fprintf(c->out, "%zu ok, %zu to look at, %zu bad, %zu unknown\n", count[LEVEL_OK], count[LEVEL_WARN],
			count[LEVEL_BAD], count[LEVEL_UNKNOWN]);
}

static void print_as_json(struct cli *c, const struct findings *all, const size_t count[LEVELS])
{
	json_t *list = json_array();
	for(size_t i = 0; i < all->n; i++) {
		const struct finding *f = &all->f[i];
		json_array_append_new(
				list, json_pack("{s:s, s:s, s:s, s:o}", "level", level_name[f->level], "what", f->what, "found",
							  f->found, "fix", f->fix[0] != '\0' ? json_string(f->fix) : json_null()));
	}
	print_json(c,
			json_pack("{s:I, s:I, s:I, s:I, s:I, s:o}", "ok", (json_int_t)count[LEVEL_OK], "warn",
					(json_int_t)count[LEVEL_WARN], "bad", (json_int_t)count[LEVEL_BAD], "unknown",
					(json_int_t)count[LEVEL_UNKNOWN], "left_out", (json_int_t)all_left_out(all), "findings", list),
			false);
}

int cmd_doctor(struct cli *c, int argc, char **argv)
{
	struct cli_options o;
	size_t count[LEVELS];
	int rc = cli_options(c, argc, argv, "--rtpengine --config", &o);
	if(rc != CLI_OK)
		return rc;
	if(o.words > 0) {
		fprintf(c->err, "signalbox: doctor takes no words ('%s'). See: signalbox help\n", o.word[0]);
		return CLI_USAGE;
	}
	struct doctor *d = calloc(1, sizeof(*d));
	if(d == NULL) {
		fprintf(c->err, "signalbox: out of memory.\n");
		return CLI_NOT_FOUND;
	}
	d->c = c;
	d->config_file = o.config;
	d->rtpengine = o.rtpengine;
	for(size_t i = 0; i < sizeof(check) / sizeof(check[0]); i++)
		check[i](d);
	findings_count(&d->all, count);
	if(c->json)
		print_as_json(c, &d->all, count);
	else
		print(c, &d->all, count);
	free(d);
	return count[LEVEL_BAD] > 0 ? CLI_NOT_FOUND : CLI_OK;
}
