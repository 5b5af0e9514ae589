/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the routing script and other modules say about a call: attributes, events of their own, holds. */
#include "callstate.h"

#include <errno.h>

#include "core/parser/parse_to.h"

#define NAME_MAX_LEN 64
#define EARLY_MAX 1024

static struct owner
{
	const char *name;
	callstate_release_f f;
	void *arg;
} owners[CS_OWNERS];
static unsigned owner_count;

static const struct settable
{
	const char *name;
	enum cs_text text;
} settable[] = {
		{"direction", CS_T_DIRECTION},
		{"did", CS_T_DID},
		{"flow", CS_T_FLOW},
		{"agent", CS_T_AGENT},
		{"trunk", CS_T_TRUNK},
};

static bool is(const str *s, const char *name)
{
	return (size_t)s->len == strlen(name) && memcmp(s->s, name, (size_t)s->len) == 0;
}

static int set_limit(struct cs_call *c, const str *value)
{
	str v = *value;
	unsigned seconds;

	if(str2int(&v, &seconds) < 0)
		return -EINVAL;
	c->max_duration = seconds;
	if(cs_answered(c)) {
		struct cs_ctx x;

		cs_context(&x, NULL);
		c->deadline = seconds ? c->mono_answer + seconds * 1000000ull : 0;
		cs_emit(c, SB_X_DIALOG, NULL, &x);
	}
	return 0;
}

static bool free_name(const str *name)
{
	static const char *const prefix[] = {"customer.", "attr."};

	for(size_t i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++) {
		size_t len = strlen(prefix[i]);

		if((size_t)name->len > len && name->len <= NAME_MAX_LEN && memcmp(name->s, prefix[i], len) == 0)
			return true;
	}
	return false;
}

static int set_one(struct cs_call *c, const str *name, const str *value)
{
	for(size_t i = 0; i < sizeof(settable) / sizeof(settable[0]); i++)
		if(is(name, settable[i].name)) {
			cs_text_set(c, settable[i].text, value->s, (size_t)value->len);
			return 0;
		}
	if(is(name, "max_duration"))
		return set_limit(c, value);
	if(!free_name(name))
		return -EINVAL;
	return cs_attr_set(c, name->s, (size_t)name->len, value->s, (size_t)value->len);
}

/* What the script says of an INVITE before its call has begun, so that the first event tells it already. */
static struct
{
	unsigned id;
	int pid;
	size_t len;
	char text[EARLY_MAX]; /* name, 0, value, 0, … */
} early;

static bool early_of(struct sip_msg *msg)
{
	return early.len && early.id == msg->id && early.pid == msg->pid;
}

static int keep_early(struct sip_msg *msg, const str *name, const str *value)
{
	static struct cs_call scratch;
	size_t need = (size_t)name->len + (size_t)value->len + 2;
	int err;

	if(msg->first_line.type != SIP_REQUEST || msg->REQ_METHOD != METHOD_INVITE || cs_parse_dialog_headers(msg) < 0
			|| get_to(msg)->tag_value.len)
		return -ENOENT;
	if(memchr(name->s, 0, (size_t)name->len) || (value->len && memchr(value->s, 0, (size_t)value->len)))
		return -EINVAL;
	if(!early_of(msg))
		early.len = 0;
	cs_call_clear(&scratch);
	err = set_one(&scratch, name, value);
	if(err < 0)
		return err;
	if(early.len + need > sizeof(early.text))
		return -ENOSPC;
	early.id = msg->id;
	early.pid = msg->pid;
	memcpy(early.text + early.len, name->s, (size_t)name->len);
	early.text[early.len + (size_t)name->len] = 0;
	memcpy(early.text + early.len + name->len + 1, value->s, (size_t)value->len);
	early.len += need;
	early.text[early.len - 1] = 0;
	return 0;
}

void cs_set_early(struct cs_call *c, struct sip_msg *msg)
{
	if(!early_of(msg))
		return;
	for(size_t i = 0; i < early.len;) {
		str name = {early.text + i, (int)strlen(early.text + i)};
		str value = {name.s + name.len + 1, (int)strlen(name.s + name.len + 1)};

		set_one(c, &name, &value);
		i += (size_t)name.len + (size_t)value.len + 2;
	}
	early.len = 0;
}

int cs_set(struct sip_msg *msg, const str *name, const str *value)
{
	struct cs_call *c = cs_of_msg(msg, NULL);
	int err;

	if(c == NULL)
		return keep_early(msg, name, value);
	err = set_one(c, name, value);
	cs_put(c);
	return err;
}

static int api_emit(struct sip_msg *msg, const str *type, const str *text)
{
	struct cs_call *c;
	struct cs_ctx x;
	int err;

	if(type->len <= 7 || memcmp(type->s, "custom.", 7) != 0 || type->len > NAME_MAX_LEN)
		return -EINVAL;
	cs_context(&x, NULL);
	c = cs_of_msg(msg, NULL);
	if(c == NULL)
		return -ENOENT;
	x.name = cs_span_of(*type);
	x.text = cs_span_of(*text);
	err = (c->flags & CS_F_CDR_DONE) ? -ENOENT : 0;
	if(err == 0)
		cs_emit(c, SB_CUSTOM, NULL, &x);
	cs_put(c);
	return err;
}

static int api_subscribe(callstate_listener_f f, void *arg)
{
	if(cs_listeners == CS_LISTENERS)
		return -ENOSPC;
	cs_listener[cs_listeners].f = f;
	cs_listener[cs_listeners++].arg = arg;
	return 0;
}

static int api_hold_owner(const char *owner, callstate_release_f f, void *arg)
{
	if(owner_count == CS_OWNERS)
		return -ENOSPC;
	owners[owner_count++] = (struct owner){owner, f, arg};
	return 0;
}

static const struct owner *owner_of(const char *what)
{
	for(unsigned i = 0; i < owner_count; i++) {
		size_t len = strlen(owners[i].name);

		if(strncmp(owners[i].name, what, len) == 0 && what[len] == '=')
			return &owners[i];
	}
	return NULL;
}

static void log_hold(struct cs_call *c, uint16_t type, unsigned attempt, const char *what)
{
	struct cs_ctx x;

	cs_context(&x, NULL);
	x.code = (uint16_t)attempt;
	x.text = (struct cs_span){what, strlen(what)};
	cs_emit(c, type, NULL, &x);
}

/* For the attempt that is about to be made. */
static int add_hold(struct cs_call *c, const char *what)
{
	unsigned attempt = c->attempts_total + 1u;
	int err = cs_over(c) ? -ENOENT : cs_hold_add(c, attempt, what, strlen(what));

	if(err == 0)
		log_hold(c, SB_X_HOLD, attempt, what);
	return err;
}

static int api_hold(struct sip_msg *msg, const char *owner, const char *key)
{
	char what[CS_HOLD_MAX + 1];
	int len = snprintf(what, sizeof(what), "%s=%s", owner, key);
	struct cs_call *c;
	int err;

	if(len < 0 || len >= (int)sizeof(what) || owner_of(what) == NULL)
		return -EINVAL;
	c = cs_of_msg(msg, NULL);
	if(c == NULL)
		return -ENOENT;
	err = add_hold(c, what);
	cs_put(c);
	return err;
}

void cs_release_holds(struct cs_call *c, unsigned attempt)
{
	char what[CS_HOLD_MAX + 1];

	while(cs_hold_take(c, attempt, what)) {
		const struct owner *o = owner_of(what);

		log_hold(c, SB_X_RELEASE, attempt, what);
		if(o)
			o->f(what + strlen(o->name) + 1, o->arg);
	}
}

static int api_holds(const char *owner, void (*each)(const char *key, void *arg), void *arg)
{
	static struct cs_call copy;
	char what[CS_HOLD_MAX + 1];
	size_t len = strlen(owner);

	for(uint32_t i = 0; i < cs_sh->made; i++) {
		if(!cs_copy_at(i, &copy))
			continue;
		while(cs_hold_take(&copy, 0, what))
			if(strncmp(what, owner, len) == 0 && what[len] == '=')
				each(what + len + 1, arg);
	}
	return 0;
}

int cs_bind_api(callstate_api_t *api)
{
	api->emit = api_emit;
	api->annotate = cs_set;
	api->subscribe = api_subscribe;
	api->hold_owner = api_hold_owner;
	api->hold = api_hold;
	api->holds = api_holds;
	api->log = &cs_log;
	return 0;
}
