// SPDX-License-Identifier: GPL-2.0-or-later
// The receiver is away, slow, or wrong: calls do not notice, and everything arrives.
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test, assertNoGaps, assertSound } from '../lib/test.mjs';
import { poll } from '../lib/proc.mjs';
import { start } from '../lib/harness.mjs';

const scenario = (name) => path.join(path.dirname(fileURLToPath(import.meta.url)), 'sipp', `${name}.xml`);
const ANSWERED = ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'];

/** n calls from the trunk to a callee, all answered. */
async function calls(sb, uas, n, rate = 20) {
  const r = await sb.sipp({ scenario: scenario('caller'), service: `to-${uas.port}`, calls: n, rate, args: ['-d', '200'] });
  assert.ok(r.ok && r.successful === n, `SIPp: ${r.successful} of ${n}\n${r.errors}`);
}

const rules = 'route[RULES] {\n\t$ru = "sip:x@127.0.0.3:" + $(rU{s.select,1,-});\n\troute(RELAY);\n}\n';

async function complete(sb, n, ms) {
  await sb.receiver.until((e) => e.filter((x) => x.type === 'call.cdr').length === n, { ms, what: `${n} CDRs` });
  const byCall = assertNoGaps(sb.receiver.events());
  assert.equal(byCall.size, n);
  for (const events of byCall.values()) assert.deepEqual(events.map((e) => e.type), ANSWERED);
  assertSound(sb.receiver.events());
}

async function trouble(name, begin, end, n = 20) {
  const sb = await start({ name, rules, sql: 'UPDATE callhook_endpoint SET timeout_ms = 1000;' });
  try {
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 3 * n });
    await calls(sb, uas, n);
    await begin(sb.receiver);
    await calls(sb, uas, n);
    await end(sb.receiver);
    await calls(sb, uas, n);
    await complete(sb, 3 * n, 40000);
  } finally {
    await sb.stop();
  }
}

test('a_receiver_that_is_down_and_comes_back_gets_everything_in_order', () => trouble('down', (r) => r.close(), (r) => r.open()), { seconds: 90 });

test('a_receiver_that_fails_with_500_gets_everything_once_it_works', () => trouble('fails', (r) => { r.mode = 500; }, (r) => { r.mode = 'ok'; }), { seconds: 90 });

test('a_receiver_that_resets_connections_gets_everything_once_it_works', () => trouble('resets', (r) => { r.mode = 'close'; }, (r) => { r.mode = 'ok'; }), { seconds: 90 });

test('a_receiver_that_never_answers_holds_up_no_call', () => trouble('hangs', (r) => { r.mode = 'hang'; }, (r) => { r.mode = 'ok'; }), { seconds: 120 });

test('every_try_of_an_event_carries_the_same_id_and_a_signature_of_its_own', async () => {
  const sb = await start({ name: 'tries', rules });
  try {
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 1 });
    sb.receiver.mode = 503;
    await calls(sb, uas, 1);
    await sb.receiver.until(() => sb.receiver.requests.length > 0, { what: 'a first try' });
    sb.receiver.mode = 'ok';
    await complete(sb, 1, 30000);
    const first = sb.receiver.requests[0];
    const again = sb.receiver.requests.filter((r) => r.id === first.id);
    assert.ok(again.length >= 2, 'it was tried again');
    assert.equal(new Set(again.map((r) => r.body)).size, 1, 'the same body each time');
    assert.ok(Number(again.at(-1).headers['webhook-timestamp']) > Number(first.headers['webhook-timestamp']), 'the time of each try');
    for (const r of again) assert.deepEqual(r.verified, { standardwebhooks: true, svix: true });
  } finally {
    await sb.stop();
  }
});

test('why_says_which_endpoint_has_not_got_as_far_as_the_call', async () => {
  const sb = await start({ name: 'behind', rules });
  try {
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 1 });
    await sb.receiver.close();
    await calls(sb, uas, 1);
    const away = await sb.signalbox('why', 'last');
    assert.match(away.out, /webhooks 0\/[45] delivered, [45] waiting/);
    assert.match(away.out, /has not got this far, [45] wait: away, or behind; see kamcmd callhook.endpoints/);
    await sb.receiver.open();
    await complete(sb, 1, 30000);
    await poll(async () => /webhooks 5\/5 delivered/.test((await sb.signalbox('why', 'last')).out), 5000, 'why does not show 5/5 delivered', 100);
  } finally {
    await sb.stop();
  }
}, { seconds: 60 });
