// SPDX-License-Identifier: GPL-2.0-or-later
// What can be seen of a call from outside while it lasts: RPC, $call() in the script, statistics.
import assert from 'node:assert/strict';
import { test } from '../lib/test.mjs';
import { refused, prepare, start } from '../lib/harness.mjs';
import { poll } from '../lib/proc.mjs';
import { SipSocket, token } from '../lib/sip.mjs';

const RULES = `route[RULES] {
	callstate_set("did", "+442079460100");
	callstate_set("customer.tier", "gold \\"1\\"");
	callstate_set("attr.queue", "sales");
	xlog("L_WARN", "SEEN id=$call(id) state=$call(state) did=$call(did) tier=$call(customer.tier) queue=$call(attr.queue) none=$call(attr.none) answered=$call(answered) attempts=$call(attempts)\\n");
	if ($call(started) + 0 > 1700000000) xlog("L_WARN", "SEEN started is a number\\n");
	$ru = "sip:one@127.0.0.3:" + $rU;
	route(RELAY);
}
`;

const headers = (m, name) => m.split('\r\n\r\n')[0].split('\r\n').filter((l) => new RegExp(`^${name}:`, 'i').test(l));

/** The reply of a callee to a request, as latin1 text. */
function reply(m, code, phrase, tag, contact) {
  const to = headers(m, 'To')[0];
  return Buffer.from([`SIP/2.0 ${code} ${phrase}`, ...headers(m, 'Via'), ...headers(m, 'Record-Route'), ...headers(m, 'From'), /;tag=/.test(to) ? to : `${to};tag=${tag}`,
    ...headers(m, 'Call-ID'), ...headers(m, 'CSeq'), `Contact: <${contact}>`, 'Content-Length: 0', '', ''].join('\r\n'), 'latin1');
}

/** A call that goes as far as the test says. */
class Call {
  static async start(sb, caller, callee, more = []) {
    const c = Object.assign(new Call(), { sb, caller, callee, id: `view-${token()}`, tag: token() });
    c.contact = `sip:one@${callee.ip}:${callee.port}`;
    c.lines = caller.lines({ method: 'INVITE', tag: c.tag, from: '"J\xfcrgen" <sip:a@127.0.0.2>', to: `<sip:${callee.port}@${sb.domain}>`, callId: c.id, more });
    caller.send(caller.request('INVITE', `sip:${callee.port}@${sb.domain}`, c.lines), sb.port);
    c.invite = await callee.wait((m) => m.startsWith('INVITE') && m.includes(c.id));
    return c;
  }

  async answer(code, phrase) {
    this.callee.send(reply(this.invite, code, phrase, 'callee1', this.contact), this.sb.port);
    return this.caller.wait((m) => m.startsWith(`SIP/2.0 ${code}`) && m.includes(this.id));
  }

  async confirm() {
    const ok = await this.answer(200, 'OK');
    const routes = headers(ok, 'Record-Route').map((l) => l.replace(/^Record-Route/i, 'Route')).reverse();
    const lines = ['Max-Forwards: 70', ...routes, ...headers(ok, 'From'), ...headers(ok, 'To'), ...headers(ok, 'Call-ID'), 'CSeq: 1 ACK'];
    this.caller.send(this.caller.request('ACK', this.contact, lines), this.sb.port);
    await this.callee.wait((m) => m.startsWith('ACK') && m.includes(this.id));
  }

  async takeByes() {
    for (const side of [this.caller, this.callee]) {
      const bye = await side.wait((m) => m.startsWith('BYE') && m.includes(this.id));
      side.send(reply(bye, 200, 'OK', '', this.contact), this.sb.port);
    }
  }
}

async function withCalls(name, fn, options = {}) {
  const sb = await start({ name, rules: RULES, ...options });
  const caller = await SipSocket.open('127.0.0.2');
  const callee = await SipSocket.open('127.0.0.3');
  try {
    await fn(sb, caller, callee);
  } finally {
    caller.close();
    callee.close();
    await sb.stop();
  }
}

const ended = (sb, call, type = 'call.ended') => sb.receiver.until((l) => l.some((e) => e.type === type) && l, { call, what: type });

test('a_call_can_be_watched_over_rpc_and_in_the_script_and_ended', () => withCalls('view', async (sb, caller, callee) => {
  const c = await Call.start(sb, caller, callee);
  const [calling] = await sb.rpc('callstate.calls');
  assert.equal(calling.sip_call_id, c.id);
  assert.equal(calling.state, 'calling');
  assert.equal(calling.answered, undefined);
  await c.answer(180, 'Ringing');
  assert.deepEqual((await sb.rpc('callstate.calls', 5, 'ringing')).map((x) => x.id), [calling.id]);
  assert.deepEqual(await sb.rpc('callstate.calls', 'held'), []);
  assert.equal((await sb.rpc('callstate.calls', 'ringing')).length, 1);
  await c.confirm();

  const all = await sb.rpc('callstate.call', c.id);
  assert.deepEqual(await sb.rpc('callstate.call', calling.id).then((x) => x.sip_call_id), c.id);
  assert.equal(all.state, 'confirmed');
  assert.equal(all.did, '+442079460100');
  assert.equal(all.from_name, 'J?rgen');
  assert.deepEqual(all.attributes, { 'customer.tier': 'gold "1"', 'attr.queue': 'sales' });
  assert.equal(all.attempts_list.length, 1);
  assert.equal(all.attempts_list[0].code, 200);
  assert.equal(all.attempts_list[0].uri, c.contact);
  assert.match(all.answered, /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  assert.equal(all.restored, 0);
  assert.match(sb.log(), new RegExp(`SEEN id=${all.id} state=calling did=\\+442079460100 tier=gold "1" queue=sales none=<null> answered=<null> attempts=0`));
  assert.match(sb.log(), /SEEN started is a number/);

  const end = sb.rpc('callstate.end', c.id, 'asked for by phone');
  await c.takeByes();
  assert.deepEqual(await end, { id: all.id, sip_call_id: c.id, sent: 'BYE' });
  const last = (await ended(sb, c.id)).find((e) => e.type === 'call.ended');
  assert.equal(last.data.hangup.cause, 'rpc');
  assert.equal(last.data.hangup.reason, 'asked for by phone');
  await assert.rejects(sb.rpc('callstate.end', c.id), { code: 409 });
}));

test('a_ringing_call_is_cancelled_over_rpc', () => withCalls('view-cancel', async (sb, caller, callee) => {
  const c = await Call.start(sb, caller, callee);
  await c.answer(180, 'Ringing');
  assert.equal((await sb.rpc('callstate.end', c.id)).sent, 'CANCEL');
  const cancel = await callee.wait((m) => m.startsWith('CANCEL') && m.includes(c.id));
  callee.send(reply(cancel, 200, 'OK', 'callee1', c.contact), sb.port);
  callee.send(reply(c.invite, 487, 'Request Terminated', 'callee1', c.contact), sb.port);
  await caller.wait((m) => /^SIP\/2.0 [4-6]/.test(m) && m.includes(c.id));
  const failed = (await ended(sb, c.id, 'call.failed')).find((e) => e.type === 'call.failed');
  assert.equal(failed.data.hangup.cause, 'rpc');
}));

test('what_rpc_is_asked_wrongly_is_refused_with_a_sentence', () => withCalls('view-wrong', async (sb) => {
  const wrong = [
    ['callstate.call', [], 400, /id .*Call-ID is missing/],
    ['callstate.call', ['nobody@example.net'], 404, /nobody@example\.net.*callstate\.calls/],
    ['callstate.end', ['01890a5d-ac96-774b-bcce-b302099a8057'], 404, /01890a5d/],
    ['callstate.calls', [10, 'sleeping'], 400, /sleeping.*calling, ringing, early_media/],
    ['callstate.calls', [0], 400, /LIMIT/],
  ];
  for (const [method, params, code, message] of wrong)
    await assert.rejects(sb.rpc(method, ...params), (e) => { assert.equal(e.code, code, method); assert.match(e.message, message); return true; });
  assert.deepEqual(await sb.rpc('callstate.calls'), []);
}));

test('statistics_and_journal_gauges_follow_what_happened', () => withCalls('view-stats', async (sb, caller, callee) => {
  const before = await sb.rpc('callstate.stats');
  assert.deepEqual([before.calls_active, before.calls_total, before.calls_untracked], [0, 0, 0]);
  const c = await Call.start(sb, caller, callee);
  const during = await sb.rpc('callstate.stats');
  assert.deepEqual([during.calls_active, during.calls_in_setup, during.calls_total, during.calls_answered], [1, 1, 1, 0]);
  await c.confirm();
  const end = sb.rpc('callstate.end', c.id);
  await c.takeByes();
  await end;
  await poll(async () => (await sb.rpc('callstate.stats')).calls_active === 0, 5000, 'the call is still open');
  const after = await sb.rpc('callstate.stats');
  assert.deepEqual([after.calls_in_setup, after.calls_answered, after.calls_failed, after.calls_kept], [0, 1, 0, 1]);
  assert.ok(after.events_written > during.events_written);
  assert.deepEqual([after.events_lost, after.events_shed, after.log_write_errors, after.log_journal_errno], [0, 0, 0, 0]);
  const counters = await sb.rpc('stats.get_statistics', 'callstate:');
  assert.deepEqual(counters.map((l) => l.replace(/^callstate:(\w+) = .*/, '$1')).sort(), Object.keys(after).sort());
  const j = await poll(async () => { const g = await sb.rpc('callstate.journal'); return g.journal_bytes > 0 && g.journal_lag === 0 && g; }, 5000, 'nothing reaches the journal');
  assert.equal(j.spool_dir, sb.spool);
  assert.equal(j.journal_dir, sb.journal);
  assert.deepEqual([j.error, j.alarm], ['none', 'none']);
  assert.ok(j.records > 0 && j.sinks.length > 0);
}));

test('an_unknown_call_name_stops_the_start_and_the_known_ones_are_named', async () => {
  const sb = await prepare({ name: 'view-name', rules: 'route[RULES] {\n\txlog("$call(stat)\\n");\n\treturn;\n}\n' });
  try {
    const r = await refused(sb);
    assert.match(r.log, /\$call\(stat\).*id, sip_call_id, state, .*attr\.NAME, customer\.NAME/);
  } finally {
    await sb.stop();
  }
});
