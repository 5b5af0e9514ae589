// SPDX-License-Identifier: GPL-2.0-or-later
// Signalbox beside topology hiding: what the two sides see of each other is made up (topos: Contact, Record-Route, Via; topoh: the
// Call-ID too), and a call is still one call, with its answer, holds and end; and it can be ended by RPC on both sides.
import assert from 'node:assert/strict';
import { beside, cancelled, carrier, edit, scenarios } from '../lib/own_config.mjs';
import { Mariadb } from '../lib/mariadb.mjs';
import { assertEvents, test } from '../lib/test.mjs';
import { Ua } from '../peers/ua.mjs';

const MARKER = '####### Routing Logic ########\n';
/** Those whose SIPp does not look for a Record-Route: there is none left to see. */
const DAY = ['answered-caller-hangs-up', 'answered-callee-hangs-up', 'answered-operator-ends-it', 'declined', 'early-media-then-answer',
  'held-and-resumed-by-caller', 'held-and-resumed-by-callee', 'session-refresh', 'retransmitted-bye'];

/** One call through it by hand. @param end (x, c, leg) ends it */
async function call(x, caller, callee, end) {
  const c = caller.call(`one-${callee.port}`).invite();
  const leg = await callee.leg(); // its Call-ID may be another one
  leg.answer(180);
  await c.reply(180);
  leg.answer(200);
  const ok = await c.reply(200);
  c.ack();
  await leg.request('ACK');
  await end(x, c, leg, ok);
  await x.receiver.until((e) => e.at(-1)?.type === 'call.cdr', { call: c.id, what: 'call.cdr' });
  return { c, leg, ok };
}

async function peers(x, during) {
  const [caller, callee] = await Promise.all(['127.0.0.2', '127.0.0.3'].map((ip) => Ua.open({ ip, proxy: x.port, name: ip })));
  try {
    await during(caller, callee);
  } finally {
    for (const u of [caller, callee]) u.close();
  }
}

const ended = {
  async caller(x, c, leg) {
    c.bye();
    leg.answer(200, await leg.request('BYE'));
    await c.reply(200, 'BYE');
  },
  async callee(x, c, leg) {
    leg.bye();
    c.respond(await c.request('BYE'), 200);
    await leg.ua.take((m) => m.callId === leg.id && m.kind === '200 BYE', 'a 200 to its BYE');
  },
  async proxy(x, c, leg) {
    await x.rpc('callstate.end', c.id);
    const [toCaller, toCallee] = await Promise.all([c.request('BYE'), leg.request('BYE')]);
    for (const [side, bye] of [[c, toCaller], [leg, toCallee]]) {
      assert.equal(bye.toTag, side.tag, 'the BYE is for this side\'s dialog');
      side.respond(bye, 200);
    }
  },
};

/** Each way to end a call; `hidden` looks at what was seen on both sides. */
async function threeEnds(x, hidden) {
  await peers(x, async (caller, callee) => {
    for (const [by, end] of Object.entries(ended)) {
      const seen = await call(x, caller, callee, end);
      const events = assertEvents(x.receiver, seen.c.id, ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr']);
      assert.equal(events[3].data.hangup.by, by);
      hidden(seen, caller, callee);
    }
    await cancelled(x, caller, callee);
  });
}

// Not SQLite: Kamailio's db_sqlite does not wait for another worker's lock, and what topos could not write it does not know later.
const TOPOS = { load: 'loadmodule "topos.so"\n', edits: [['loadmodule "kex.so"\n', 'loadmodule "db_mysql.so"\nloadmodule "kex.so"\n']] };

async function topos() {
  const text = await carrier(TOPOS);
  return {
    text: (x) => edit(text, MARKER, `modparam("topos", "storage", "db")\nmodparam("topos", "db_url", "${x.neighbourDb.url}")\n${MARKER}`),
    before: async (x) => {
      x.neighbourDb = await Mariadb.start({ dir: x.dir, ports: x.ports });
      for (const t of ['standard', 'topos']) await x.neighbourDb.file(`/usr/share/kamailio/mysql/${t}-create.sql`);
    },
  };
}

test('own_config_beside_topos_sipp_counts_and_events_agree', async () => {
  const t = await topos();
  await beside(t.text, { name: 'topos-day', before: t.before }, (x) => scenarios(x, DAY));
});

test('own_config_beside_topos_a_call_ends_from_either_side_and_by_rpc', async () => {
  const t = await topos();
  await beside(t.text, { name: 'topos', before: t.before }, (x) => threeEnds(x, ({ leg, ok }, caller, callee) => {
    assert.ok(!leg.invite.text.includes(`:${caller.port}`), `the callee sees the caller:\n${leg.invite.text}`);
    assert.deepEqual(leg.invite.all('record-route'), []);
    assert.match(leg.invite.contact, /btpsh-/);
    assert.match(ok.contact, /atpsh-/);
    assert.ok(!ok.text.includes(`:${callee.port}>`), `the caller sees the callee:\n${ok.text}`);
  }));
});

const TOPOH = {
  load: 'loadmodule "topoh.so"\n',
  params: 'modparam("topoh", "mask_key", "between us")\nmodparam("topoh", "mask_ip", "127.0.0.8")\nmodparam("topoh", "mask_callid", 1)\nmodparam("rr", "append_fromtag", 1)\n',
};

test('own_config_beside_topoh_a_call_ends_from_either_side_and_by_rpc', async () => {
  await beside(await carrier(TOPOH), { name: 'topoh' }, (x) => threeEnds(x, ({ c, leg }, caller) => {
    assert.notEqual(leg.id, c.id, 'the Call-ID of both sides');
    assert.ok(!leg.invite.text.includes(`:${caller.port}`), `the callee sees the caller:\n${leg.invite.text}`);
  }));
});

test('own_config_beside_topoh_sipp_counts_and_events_agree', async () => {
  await beside(await carrier(TOPOH), { name: 'topoh-day' }, (x) => scenarios(x, [...DAY, 'parallel-fork']));
});
