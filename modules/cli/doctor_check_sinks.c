/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The processes of callhook, what they have not done, and the receivers. */
#include "call_log_state.h"
#include "doctor.h"
#include "text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SECOND UINT64_C(1000000)

static void worse(struct finding *r, enum level level)
{
	if(r->level == LEVEL_OK || (r->level == LEVEL_WARN && level == LEVEL_BAD))
		r->level = level;
}

static void add_fix(struct finding *r, const char *fix)
{
	SAY(r->fix, "%s%s", r->fix[0] != '\0' ? "; " : "", fix);
}

static void check_alive(struct finding *r, const struct sink_facts *f)
{
	char fix[80];
	if(!f->runs) {
		SAY(r->found, "goes on with the next start of Kamailio");
	} else if(f->worker == 0) {
		r->level = LEVEL_BAD;
		SAY(r->found, "its process does not run; calls go on, and it is tried again every 10 s");
		add_fix(r, "the log of Kamailio says why it ends; kamcmd callhook.sinks");
	} else {
		SAY(r->found, "pid %d below its keeper %d", (int)f->worker, (int)f->keeper);
	}
	pid_t stopped = f->worker_is == 'T' ? f->worker : f->keeper_is == 'T' ? f->keeper : 0;
	if(!f->runs || f->worker == 0 || stopped == 0)
		return;
	r->level = LEVEL_BAD;
	SAY(r->found, ": pid %d is stopped (SIGSTOP)", (int)stopped);
	snprintf(fix, sizeof(fix), "kill -CONT %d", (int)stopped);
	add_fix(r, fix);
}

static void check_lag(struct finding *r, const struct sink_facts *f)
{
	if(!f->lag_known) {
		return;
	} else if(f->lag == 0) {
		SAY(r->found, ", behind nothing");
		return;
	}
	SAY(r->found, ", %s behind", text_span(f->lag).s);
	if(!f->runs || f->lag < 60 * SECOND)
		return;
	worse(r, f->lag < 3600 * SECOND ? LEVEL_WARN : LEVEL_BAD);
	SAY(r->fix, "%skamcmd %s (state, last_error); nothing is lost before journal_limit is reached",
			r->fix[0] != '\0' ? "; " : "", f->rpc);
}

static void check_aside(struct finding *r, const struct sink_facts *f)
{
	if(f->aside == 0)
		return;
	SAY(r->found, ", %" PRIu64 " %s refused by the database and set aside: %s", f->aside,
			f->aside == 1 ? "row was" : "rows were", text_plain(f->aside_error, strlen(f->aside_error)).s);
	if(f->aside >= SB_CL_ASIDE_MAX)
		SAY(r->found, "; the oldest of them go");
	worse(r, f->aside >= SB_CL_ASIDE_MAX ? LEVEL_BAD : LEVEL_WARN);
	SAY(r->fix, "%ssqlite3 %s \"SELECT tbl, event_id, call_id, error, row FROM aside\"", r->fix[0] != '\0' ? "; " : "",
			f->state_file);
}

void check_sink(struct findings *all, const struct sink_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, f->what);
	if(f->runs && !f->looked)
		SAY(r->found, "its processes may not be seen by this user");
	else
		check_alive(r, f);
	check_lag(r, f);
	check_aside(r, f);
	if(f->error != 0) {
		SAY(r->found, ", %s: %s", f->state_file, strerror(f->error));
		if(f->error == ENOENT && f->runs)
			worse(r, LEVEL_WARN);
		if(f->error == ENOENT && f->runs)
			add_fix(r, "was it removed? Restart Kamailio, or it forgets how far it was: systemctl restart kamailio");
	}
	if(r->level == LEVEL_OK && ((f->error != 0 && f->error != ENOENT) || (f->runs && !f->looked))) {
		r->level = LEVEL_UNKNOWN;
		add_fix(r, "sudo signalbox doctor");
	}
}

void check_endpoint(struct findings *all, const struct endpoint_facts *f)
{
	struct finding *r = finding_add(all, LEVEL_OK, "endpoint");
	const uint64_t late = 60ull * 1000000;
	SAY(r->found, "%s: %s", f->id, f->state);
	if(f->pending > 0)
		SAY(r->found, ", %" PRIu64 " %s", f->pending, f->pending == 1 ? "event waits" : "events wait");
	if(f->dead > 0)
		SAY(r->found, ", %" PRIu64 " given up and kept", f->dead);
	if(f->oldest_at != 0 && f->now > f->oldest_at)
		SAY(r->found, ", oldest %s behind", text_span(f->now - f->oldest_at).s);
	if(strcmp(f->state, "disabled") == 0) {
		r->level = LEVEL_BAD;
		SAY(r->fix, "mend the receiver, then: kamcmd callhook.enable %s", f->id);
	} else if(strcmp(f->state, "paused") == 0 || (f->oldest_at != 0 && f->now > f->oldest_at + late)) {
		r->level = LEVEL_WARN;
		SAY(r->fix, "mend the receiver; nothing is lost meanwhile. kamcmd callhook.endpoints");
	}
	if(f->dead > 0) {
		r->level = r->level == LEVEL_BAD ? LEVEL_BAD : LEVEL_WARN;
		SAY(r->fix, "%ssee why, and how to send them again: signalbox hooks dead %s", r->fix[0] != '\0' ? "; " : "",
				f->id);
	}
	if(r->level != LEVEL_OK && f->error[0] != '\0')
		SAY(r->found, ": %s", text_plain(f->error, strlen(f->error)).s);
}
