/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "event.h"
#include "wanted.h"

static bool trunk_wanted(const struct sb_filter *trunks, const struct sb_rec *rec)
{
	bool found = false;
	struct sb_field f;
	struct sb_in in;

	if(trunks->all)
		return true;
	if(sb_find(rec->payload, rec->hdr.len, SB_C_TRUNK, &f) && f.len > 0)
		return sb_filter_match(trunks, (const char *)f.data, f.len);
	sb_in_init(&in, rec->payload, rec->hdr.len);
	while(!found && sb_in_next(&in, &f) == 1) {
		struct sb_field t;

		if(f.col == SB_C_ATTEMPT && sb_find(f.data, f.len, SB_C_A_TRUNK, &t))
			found = sb_filter_match(trunks, (const char *)t.data, t.len);
	}
	return found;
}

static bool call_wanted(const struct sb_wanted *w, const struct sb_rec *rec)
{
	struct sb_field f;

	if(!trunk_wanted(w->trunks, rec))
		return false;
	return w->dids->all
		   || (sb_find(rec->payload, rec->hdr.len, SB_C_DID, &f)
				   && sb_filter_match(w->dids, (const char *)f.data, f.len));
}

bool sb_wants(const struct sb_wanted *w, const struct sb_rec *rec)
{
	const char *name = sb_type_name(rec->hdr.type);
	struct sb_field f;

	if(name == NULL || sb_type_internal(rec->hdr.type) || !call_wanted(w, rec))
		return false;
	if(rec->hdr.type != SB_CUSTOM)
		return sb_filter_match(w->events, name, strlen(name));
	return sb_find(rec->payload, rec->hdr.len, SB_C_NAME, &f)
		   && sb_filter_match(w->events, (const char *)f.data, f.len);
}
