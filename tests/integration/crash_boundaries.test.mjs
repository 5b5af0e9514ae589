// SPDX-License-Identifier: GPL-2.0-or-later
// Kamailio is killed (SIGKILL, every process) at each message boundary of a call and started again; the endpoints go on.
// What was reported before stays, what comes after is reported, and an answer that nobody saw is inferred.
//
// All calls are brought to their boundary first, then there is one kill and one restart for all of them: `before` runs
// until the kill, `down` while nothing is there, `after` when Kamailio is back.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { ROOT } from '../lib/paths.mjs';
import { ladder } from '../lib/ladder.mjs';
import { compareCall, sideBySide } from '../lib/match.mjs';
import { schemaErrors } from '../lib/schemas.mjs';
import { Ua } from '../peers/ua.mjs';

const I = { type: 'call.initiated', state: 'calling' };
const R = { type: 'call.ringing', state: 'ringing' };
const A = { type: 'call.answered', state: 'confirmed', inferred: null, answered_at: '*', 'attempt.code': 200 };
const INFERRED = { type: 'call.answered', state: 'confirmed', inferred: true };
const E = (by, more) => ({ type: 'call.ended', state: 'disconnected', 'hangup.by': by, 'hangup.cause': 'bye', ...more });
const C = (more) => ({ type: 'call.cdr', state: 'disconnected', ...more });
const ANSWERED = [I, R, A, E('caller', { duration_s: { ge: 0, le: 10 } }), C({ 'hangup.by': 'caller', answered_at: '*', attempts_total: 1, 'attempts.0.code': 200 })];

// steps
const invited = async (x) => {
  x.call = x.caller.call(`one-${x.callee.port}${x.knob ?? ''}`).invite();
  x.leg = await x.callee.leg(x.call.id);
};
const ringing = async (x) => { x.leg.answer(180); await x.call.reply(180); };
const answered = async (x) => { x.leg.answer(200); await x.call.reply(200); };
const acked = async (x) => { x.call.ack(); await x.leg.request('ACK'); };
const callerBye = async (x) => {
  x.call.bye();
  x.leg.answer(200, await x.leg.request('BYE'));
  await x.call.reply(200, 'BYE');
};
const calleeBye = async (x) => {
  x.leg.bye();
  x.call.respond(await x.call.request('BYE'), 200);
  await x.leg.request('200 BYE');
};
const steps = (...list) => async (x) => { for (const s of list) await s(x); };
const nothing = async () => {};

const BOUNDARIES = {
  invite_relayed: { before: invited, after: steps(ringing, answered, acked, callerBye), events: ANSWERED },
  ringing_relayed: { before: steps(invited, ringing), after: steps(answered, acked, callerBye), events: ANSWERED },
  answer_sent_while_down_and_again: {
    before: steps(invited, ringing), down: async (x) => { x.leg.answer(200); }, after: steps(answered, acked, callerBye), events: ANSWERED,
  },
  answer_relayed: {
    before: steps(invited, ringing, answered), after: steps(acked, callerBye),
    events: [I, R, A, E('caller', { 'ack.received': true }), C({ 'attempts.0.code': 200 })],
  },
  answer_relayed_ack_lost_and_again: {
    before: steps(invited, ringing, answered), down: async (x) => { x.call.ack(); },
    // the callee has no ACK and sends its 200 again, to a proxy that has no transaction for it any more
    after: steps(async (x) => { x.leg.answer(200); await x.call.reply(200); }, acked, callerBye),
    events: [I, R, A, E('caller', { 'ack.received': true }), C()],
  },
  ack_relayed: { before: steps(invited, ringing, answered, acked), after: calleeBye, events: [I, R, A, E('callee', { duration_s: { ge: 0.03 } }), C({ 'hangup.by': 'callee' })] },
  bye_sent_while_down_and_again: {
    before: steps(invited, ringing, answered, acked), down: async (x) => { x.call.bye(); },
    after: async (x) => {
      x.call.again();
      x.leg.answer(200, await x.leg.request('BYE'));
      await x.call.reply(200, 'BYE');
    },
    events: ANSWERED,
  },
  bye_relayed: {
    before: steps(invited, ringing, answered, acked, async (x) => { x.call.bye(); x.byeRequest = await x.leg.request('BYE'); }),
    // its 200 passes without a transaction; the caller's BYE again must not end the call a second time
    after: async (x) => {
      x.leg.answer(200, x.byeRequest);
      await x.call.reply(200, 'BYE');
      x.call.again();
      x.leg.request('BYE').then((again) => x.leg.answer(200, again)).catch(() => {});
      await x.caller.take((m) => m.callId === x.call.id && m.method === 'BYE' && m.code >= 200, 'a final answer to the BYE');
    },
    events: ANSWERED,
  },
  answer_never_seen_then_ack: {
    before: steps(invited, ringing),
    // the 200 reaches the caller past the proxy: only the ACK tells of it
    down: async (x) => { x.leg.answer(200, x.leg.invite, { host: x.caller.ip, port: x.caller.port }); await x.call.reply(200); },
    after: steps(acked, callerBye),
    events: [I, R, INFERRED, E('caller', { inferred: true, answered_at: null }), C({ inferred: true })],
  },
  answer_never_seen_then_bye: {
    before: steps(invited, ringing),
    down: async (x) => {
      x.leg.answer(200, x.leg.invite, { host: x.caller.ip, port: x.caller.port });
      await x.call.reply(200);
      x.call.ack();
    },
    after: callerBye,
    events: [I, R, INFERRED, E('caller', { inferred: true }), C({ inferred: true })],
  },
  busy_after_the_restart: {
    before: invited,
    after: async (x) => { x.leg.answer(486); x.call.nack(await x.call.reply(486)); },
    events: [I, { type: 'call.failed', state: 'failed', outcome: 'busy', 'hangup.sip_code': 486, 'attempt.code': 486 }, { type: 'call.cdr', outcome: 'busy', attempts_total: 1, 'attempts.0.code': 486 }],
  },
  invite_again_after_the_restart: {
    before: invited,
    // the proxy sends it on as a new branch; the callee drops the old one and takes the new
    after: steps(async (x) => { x.call.again(); x.leg = await x.callee.leg(x.call.id); }, ringing, answered, acked, callerBye),
    events: [I, { ...R, 'attempt.n': 2 }, { ...A, 'attempt.n': 2 }, E('caller'), C({ attempts_total: 2, 'attempts.1.code': 200 })],
  },
  nothing_comes_after_the_restart: {
    before: steps(invited, ringing), after: nothing,
    events: [I, R, { type: 'call.timeout', state: 'timeout', outcome: 'no_answer', inferred: true }, { type: 'call.cdr', outcome: 'no_answer' }],
  },
  maximum_duration_of_a_restored_call: {
    knob: '.max4', before: steps(invited, ringing, answered, acked),
    after: async (x) => {
      const [a, b] = await Promise.all([x.call.request('BYE', 10000), x.leg.request('BYE', 10000)]);
      x.call.respond(a, 200);
      x.leg.respond(b, 200);
    },
    events: [I, R, A, E('proxy', { 'hangup.cause': 'max_duration', duration_s: { ge: 3.9, le: 7 } }), C({ 'hangup.by': 'proxy' })],
  },
};

async function play() {
  const sb = await start({
    name: 'boundaries', rules: fs.readFileSync(path.join(ROOT, 'sipp-scenarios', 'rules.cfg'), 'utf8'),
    defines: { FR_TIMER: 20000, FR_INV_TIMER: 60000, SETUP_TIMEOUT: 6 },
  });
  const peers = [];
  try {
    const plays = await Promise.all(Object.entries(BOUNDARIES).map(async ([name, b]) => {
      const x = { name, ...b, caller: await Ua.open({ ip: '127.0.0.2', proxy: sb.port, name: 'caller' }), callee: await Ua.open({ ip: '127.0.0.3', proxy: sb.port, name: 'callee' }) };
      peers.push(x.caller, x.callee);
      return x;
    }));
    const each = (what) => Promise.all(plays.map(async (x) => {
      if (x.error || !x[what]) return;
      try { await x[what](x); } catch (e) { x.error = new Error(`${what} the kill: ${e.message}`); }
    }));
    await each('before');
    await sb.kill9();
    await each('down');
    await sb.restart();
    await each('after');
    await Promise.all(plays.filter((x) => x.call).map((x) => sb.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: x.call.id, ms: 15000, what: 'call.cdr' }).catch(() => {})));
    return Object.fromEntries(plays.map((x) => [x.name, { error: x.error, events: x.call ? sb.receiver.events(x.call.id) : [], ladder: ladder([x.caller.messages, x.callee.messages]) }]));
  } finally {
    for (const p of peers) p.close();
    await sb.stop();
  }
}

let played;
for (const [name, b] of Object.entries(BOUNDARIES)) {
  test(`killed_at_${name}`, async () => {
    played ??= play();
    const { error, events, ladder: drawn } = (await played)[name];
    const problems = [...(error ? [error.message] : []), ...compareCall(b.events, events, {}), ...events.flatMap((e) => schemaErrors(e))];
    assert.ok(problems.length === 0, `${problems.join('\n')}\n\n${drawn}\n\n${sideBySide(b.events, events)}`);
  }, { seconds: 90 });
}
