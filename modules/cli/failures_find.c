/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "failures_parts.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ASKED_MAX 150 /* names that good() is asked for, the heaviest ones */
#define WORTH 1.0     /* what weighs less does not stand out */
#define LEAST 2       /* failures that make a group */

/** A name is better than a code alone, one code better than several, a trunk better than the address it is reached at. */
static double preference(const struct group *g)
{
	static const double of_dim[] = {1, 1, 0.95, 0.9, 0.9, 0.5};
	return of_dim[g->dim] * (g->what == 0 ? 0.8 : 1);
}

static double score(const struct group *g)
{
	if(g->taken || g->left < LEAST || g->left * 2 < g->members)
		return 0;
	return g->weight * preference(g) * g->rate;
}

/** Times of what is left of the group, in order. The caller frees them. */
static uint64_t *times(const struct failures *f, const struct group *g, size_t *n)
{
	const uint32_t *m = f->member + g->first_member;
	uint64_t *at = malloc((g->members > 0 ? g->members : 1) * sizeof(*at));
	*n = 0;
	for(size_t i = 0; at != NULL && i < g->members; i++) {
		if(!f->item[m[i]].set_aside)
			at[(*n)++] = f->item[m[i]].at;
	}
	return at;
}

/** Where the shortest time begins that holds k of them. */
static size_t densest(const uint64_t *at, size_t n, size_t k)
{
	size_t from = 0;
	for(size_t i = 1; i + k <= n; i++) {
		if(at[i + k - 1] - at[i] < at[from + k - 1] - at[from])
			from = i;
	}
	return from;
}

/** What nine of ten of those left have there; 0: nothing. Boyer and Moore's vote, then counted. */
static uint32_t common(const struct failures *f, const struct group *g, enum failures_dim dim)
{
	const uint32_t *m = f->member + g->first_member;
	uint32_t name = 0;
	size_t votes = 0, have = 0, of = 0;
	for(size_t i = 0; i < g->members; i++) {
		const struct item *it = &f->item[m[i]];
		if(it->set_aside)
			continue;
		if(votes == 0)
			name = it->name[dim];
		votes = it->name[dim] == name ? votes + 1 : votes - 1;
	}
	for(size_t i = 0; i < g->members; i++) {
		of += !f->item[m[i]].set_aside;
		have += !f->item[m[i]].set_aside && f->item[m[i]].name[dim] == name;
	}
	return have * 10 >= of * 9 ? name : 0;
}

/** Lower end of what a share may really be (Wilson, 95 %): 3 of 3 prove little, 300 of 300 much. */
static double at_least(double k, double n)
{
	const double z = 1.96;
	double p = k / n;
	return (p + z * z / (2 * n) - z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n);
}

/** How far the share that failed stands out: above twice what is usual for these codes. */
static double stands_out(double k, double good, double usual)
{
	double over = usual < 0.25 ? 2 * usual : 0.5;
	double share = at_least(k, k + good);
	return share > over ? share - over : 0;
}

struct asking
{
	failures_good good;
	void *arg;
	uint64_t first, last; /* of all failures */
	size_t all_good;      /* calls answered in that time, about */
	unsigned asked;       /* names that were asked for */
	size_t of_code[CODES];
};

static struct group *parent(struct failures *f, const struct group *g)
{
	return failures_group_at(f, g->dim, g->name, 0);
}

/** What went well with that name; counted where the group itself shows where it went. */
static size_t good_of(
		const struct failures *f, const struct group *g, const struct asking *q, uint64_t first, uint64_t last)
{
	enum failures_dim via_dim = BY_THE_TRUNK;
	uint32_t via = 0;
	if(q->good == NULL)
		return 0;
	if(g->dim == BY_THE_DESTINATION) {
		via = common(f, g, BY_THE_TRUNK);
		via_dim = via != 0 ? BY_THE_TRUNK : BY_THE_AGENT;
		via = via != 0 ? via : common(f, g, BY_THE_AGENT);
	}
	return q->good(g->dim, g->dim < FAILURES_DIMS ? names_text(&f->names[g->dim], g->name) : NULL, via_dim,
			names_text(&f->names[via_dim], via), first, last, q->arg);
}

/** Tries that failed with that name in a stretch, for whatever reason. */
static size_t all_failed(struct failures *f, const struct group *g, uint64_t first, uint64_t last)
{
	size_t edge[2];
	const struct group *all = g->dim == BY_THE_CODE ? NULL : parent(f, g);
	for(int side = 0; side < 2; side++) {
		size_t low = 0, high = all != NULL ? all->members : f->items;
		while(low < high) {
			size_t mid = (low + high) / 2;
			uint64_t at = all != NULL ? f->item[f->member[all->first_member + mid]].at : f->at[mid];
			if(at < first + (side == 0 ? 0 : last - first + 1))
				low = mid + 1;
			else
				high = mid;
		}
		edge[side] = low;
	}
	return edge[1] - edge[0];
}

static double usual(const struct failures *f, const struct group *g, const struct asking *q)
{
	size_t of = g->what != 0 ? q->of_code[g->what] : f->items;
	return q->good != NULL ? (double)of / (double)(f->items + q->all_good) : 0;
}

static double how_far(struct failures *f, const struct group *g, const struct asking *q, double k, size_t n,
		double good, uint64_t first, uint64_t last)
{
	double others = (double)all_failed(f, g, first, last) - k;
	return k / (double)n * stands_out(k, good + (others > 0 ? others : 0), usual(f, g, q));
}

/**
 * The stretch in which the group stands out most: all of its time, or the shortest that holds a part of it, as far as can be told from what
 * went well in all the time. @return false: no time to ask, or no memory
 */
static bool guess(struct failures *f, struct group *g, struct asking *q)
{
	static const double part[] = {1, 0.8, 0.5, 0.25, 0.1, 0.05};
	size_t n;
	struct group *p = g->dim == BY_THE_CODE ? NULL : parent(f, g);
	if(p != NULL && !p->asked && q->asked++ < ASKED_MAX) {
		p->all_good = good_of(f, p, q, q->first, q->last);
		p->asked = p->all_good != FAILURES_NO_TIME;
	}
	double good = p != NULL ? (double)p->all_good : (double)q->all_good, best = -1;
	uint64_t *at = p == NULL || p->asked ? times(f, g, &n) : NULL;
	if(at == NULL)
		return false;
	for(size_t i = 0; i < sizeof(part) / sizeof(part[0]); i++) {
		size_t k = (size_t)((double)n * part[i] + 0.999);
		if(k == 0 || (i > 0 && k < LEAST))
			break;
		size_t from = densest(at, n, k);
		uint64_t first = at[from], last = at[from + k - 1];
		double far = how_far(
				f, g, q, (double)k, n, good * (double)(last - first) / (double)(q->last - q->first + 1), first, last);
		if(far <= best)
			continue;
		best = far;
		g->take = (double)k;
		g->most_first = first;
		g->most_last = last;
	}
	free(at);
	g->rate = best;
	g->state = GUESSED;
	return true;
}

/** The same, with what went well in that stretch. */
static bool make_sure(struct failures *f, struct group *g, const struct asking *q)
{
	size_t good = good_of(f, g, q, g->most_first, g->most_last);
	if(good == FAILURES_NO_TIME)
		return false;
	g->good = good;
	g->rate = how_far(f, g, q, g->take, g->left, (double)good, g->most_first, g->most_last);
	g->state = KNOWN;
	return true;
}

static struct group *best(struct failures *f)
{
	struct group *b = NULL;
	double most = WORTH;
	for(size_t i = 0; i < f->candidates; i++) {
		double s = score(&f->group[f->candidate[i]]);
		if(s > most) {
			most = s;
			b = &f->group[f->candidate[i]];
		}
	}
	return b;
}

/** Heaviest first. */
static int by_score(const void *x, const void *y, void *groups)
{
	const struct group *group = groups;
	double a = score(&group[*(const uint32_t *)x]), b = score(&group[*(const uint32_t *)y]);
	return a > b ? -1 : a < b;
}

/** The groups that may be worth showing, each with a guess of how far it stands out. */
static int choose(struct failures *f, struct asking *q)
{
	f->candidate = malloc((f->groups > 0 ? f->groups : 1) * sizeof(*f->candidate));
	if(f->candidate == NULL)
		return -ENOMEM;
	for(size_t i = 0; i < f->groups; i++) {
		struct group *g = &f->group[i];
		g->rate = g->left > 0 ? at_least(g->left, g->left) : 0;
		if(score(g) > WORTH)
			f->candidate[f->candidates++] = (uint32_t)i;
	}
	qsort_r(f->candidate, f->candidates, sizeof(*f->candidate), by_score, f->group);
	for(size_t i = 0; i < f->candidates; i++) {
		struct group *g = &f->group[f->candidate[i]];
		if(!guess(f, g, q))
			g->rate = 0;
	}
	return 0;
}

static void top_codes(const uint32_t of_code[CODES], struct failures_codes out[FAILURES_CODES])
{
	for(uint32_t what = 0; what < CODES; what++) {
		size_t at = 0;
		while(at < FAILURES_CODES && out[at].count >= of_code[what])
			at++;
		if(at == FAILURES_CODES)
			continue;
		memmove(&out[at + 1], &out[at], (FAILURES_CODES - 1 - at) * sizeof(*out));
		out[at] = (struct failures_codes){what / 2, what % 2 != 0, of_code[what]};
	}
}

static void describe(const struct failures *f, const struct group *g, struct failures_group *out)
{
	const uint32_t *m = f->member + g->first_member;
	uint32_t of_code[CODES] = {0};
	*out = (struct failures_group){.dim = g->dim,
			.code = g->what / 2,
			.rang = g->what % 2 != 0,
			.good = g->good,
			.most = (size_t)g->take,
			.most_first = g->most_first,
			.most_last = g->most_last};
	out->name = g->dim < FAILURES_DIMS ? names_text(&f->names[g->dim], g->name) : NULL;
	for(size_t i = 0; i < g->members; i++) {
		const struct item *it = &f->item[m[i]];
		if(it->set_aside)
			continue;
		out->count++;
		out->rescued += it->rescued;
		out->first = out->first == 0 ? it->at : out->first;
		out->last = it->at;
		out->example = names_text(&f->calls, it->call);
		of_code[it->what]++;
	}
	top_codes(of_code, out->codes);
	for(int d = 0; d < FAILURES_DIMS; d++) {
		if(d != (int)g->dim)
			out->common[d] = names_text(&f->names[d], common(f, g, (enum failures_dim)d));
	}
}

static void set_aside_one(struct failures *f, size_t at)
{
	struct item *it = &f->item[at];
	double w = failures_weight(it->what / 2, it->what % 2 != 0);
	if(it->set_aside)
		return;
	it->set_aside = true;
	for(int p = 0; p < PATTERNS; p++) {
		if(f->of[at][p] == NONE)
			continue;
		f->group[f->of[at][p]].left--;
		f->group[f->of[at][p]].weight -= w;
	}
}

/** With a call, its other attempts that failed for the same reason. */
static void set_aside(struct failures *f, struct group *g)
{
	const uint32_t *m = f->member + g->first_member;
	g->taken = true;
	for(size_t i = 0; i < g->members; i++) {
		set_aside_one(f, m[i]);
		for(size_t at = m[i]; g->counts_calls && at > 0 && f->item[at - 1].call == f->item[m[i]].call; at--) {
			if(f->item[at - 1].name[g->dim] == g->name && (g->what == 0 || f->item[at - 1].what == g->what))
				set_aside_one(f, at - 1);
		}
	}
}

static void prepare(struct failures *f, struct asking *q)
{
	q->first = UINT64_MAX;
	for(size_t i = 0; i < f->items; i++) {
		struct item *it = &f->item[i];
		it->set_aside = false;
		q->of_code[it->what]++;
		q->first = it->at < q->first ? it->at : q->first;
		q->last = it->at > q->last ? it->at : q->last;
	}
	if(q->good != NULL && f->items > 0)
		q->all_good = q->good(BY_THE_CODE, NULL, BY_THE_TRUNK, NULL, q->first, q->last, q->arg);
	if(q->all_good == FAILURES_NO_TIME)
		q->all_good = 0;
}

int failures_find(struct failures *f, failures_good good, void *arg, struct failures_group *out, size_t most)
{
	struct asking q = {.good = good, .arg = arg};
	size_t found = 0;
	prepare(f, &q);
	int rc = failures_sort(f);
	if(rc == 0)
		rc = choose(f, &q);
	while(rc == 0 && found < most) {
		struct group *g = best(f);
		if(g == NULL)
			break;
		if(g->state == GUESSED && !make_sure(f, g, &q)) {
			g->rate = 0;
		} else if(g == best(f)) {
			describe(f, g, &out[found++]);
			set_aside(f, g);
		}
	}
	return rc != 0 ? rc : (int)found;
}

size_t failures_rest(const struct failures *f, struct failures_codes out[FAILURES_CODES])
{
	uint32_t of_code[CODES] = {0};
	size_t n = 0;
	memset(out, 0, FAILURES_CODES * sizeof(*out));
	for(size_t i = 0; i < f->items; i++) {
		if(!f->item[i].set_aside)
			of_code[f->item[i].what]++;
		n += !f->item[i].set_aside;
	}
	top_codes(of_code, out);
	return n;
}
