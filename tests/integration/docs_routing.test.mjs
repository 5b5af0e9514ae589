// SPDX-License-Identifier: GPL-2.0-or-later
// The examples of docs/routing.md, the lines of README.md and the commented ones of routing/rules.cfg, run as they stand;
// only the addresses in them are those of this run.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { ROOT } from '../lib/paths.mjs';
import { start } from '../lib/harness.mjs';
import { test } from '../lib/test.mjs';
import { Ua } from '../peers/ua.mjs';

const read = (file) => fs.readFileSync(path.join(ROOT, file), 'utf8');
const blocks = (page) => [...read(page).matchAll(/^```\n(route\[RULES\].*?)^```$/gms)].map((m) => m[1]);
const example = (title) => {
  const part = read('docs/routing.md').split(`\n### ${title}\n`)[1];
  assert.ok(part, `docs/routing.md has no example "${title}"`);
  return part.match(/^```\n(route\[RULES\].*?)^```$/ms)[1];
};
/** routing/rules.cfg with its examples switched on. */
const switchedOn = () => read('routing/rules.cfg').replace(/^\t# (if |\})/gm, '\t$1').replace(/^\t#\t/gm, '\t\t');

/**
 * @param o.rules    text with the addresses of the documentation
 * @param o.peers    {address in the text: what it does: 'busy', 'answers', 'silent'}
 * @param o.users    {name: the same}: registered phones
 * @param o.dial     what the caller dials
 */
async function played(name, o) {
  const peers = {};
  let sb;
  try {
    for (const who of [...Object.keys(o.peers ?? {}), ...Object.keys(o.users ?? {})]) peers[who] = await Ua.open({ ip: '127.0.0.3', name: who });
    let rules = o.rules.replaceAll('sip.example.com', 'signalbox.test');
    for (const a of Object.keys(o.peers ?? {})) {
      assert.ok(rules.includes(a), `the example does not name ${a}`);
      rules = rules.replaceAll(a, `127.0.0.3:${peers[a].port}`);
    }
    sb = await start({ name: `routing-${name}`, rules, defines: { FR_TIMER: 600 } });
    for (const u of Object.keys(o.users ?? {})) await sb.rpc('ul.add', 'location', `${u}@${sb.domain}`, `sip:${u}@127.0.0.3:${peers[u].port}`, 600, 1.0, '.', 0, 0, 0);
    const caller = peers.caller = await Ua.open({ ip: '127.0.0.2', proxy: sb.port, name: 'caller' });
    for (const p of Object.values(peers)) p.proxy = sb.port;
    const c = caller.call(o.dial).invite();
    const act = { ...o.peers, ...o.users };
    let answered;
    await Promise.all(Object.entries(act).map(async ([who, what]) => {
      const leg = await peers[who].leg(c.id);
      if (what === 'busy') { leg.answer(486); await leg.request('ACK'); }
      if (what === 'answers') { leg.answer(180); await c.reply(180); leg.answer(200); answered = leg; }
    }));
    await c.reply(200);
    c.ack();
    await answered.request('ACK');
    c.bye();
    answered.answer(200, await answered.request('BYE'));
    await c.reply(200, 'BYE');
    await sb.receiver.until((e) => e.some((v) => v.type === 'call.cdr'), { call: c.id, what: 'call.cdr' });
    return sb.receiver.events(c.id).find((e) => e.type === 'call.cdr').data;
  } finally {
    for (const p of Object.values(peers)) p.close();
    await sb?.stop();
  }
}

const attempts = (cdr, ...keys) => cdr.attempts.map((a) => keys.map((k) => a[k]));

test('docs_routing_two_desks_at_once', async () => {
  const cdr = await played('fork', { rules: example('A number rings two desks at once'), dial: '442079460100', peers: { '192.0.2.21': 'busy', '192.0.2.22': 'answers' } });
  assert.deepEqual(attempts(cdr, 'code'), [[486], [200]]);
  assert.equal(cdr.did, '+442079460100');
});

test('docs_routing_one_desk_after_the_other', async () => {
  const cdr = await played('hunt', { rules: example('One desk after the other'), dial: '442079460101', peers: { '192.0.2.21': 'busy', '192.0.2.22': 'answers' } });
  assert.deepEqual(attempts(cdr, 'code'), [[486], [200]]);
});

test('docs_routing_a_user_then_another', async () => {
  const cdr = await played('users', { rules: example("A user's phones, then another user's"), dial: '442079460102', users: { anna: 'busy', ben: 'answers' } });
  assert.deepEqual(attempts(cdr, 'agent', 'code'), [['anna', 486], ['ben', 200]]);
});

test('docs_routing_two_carriers_by_name', async () => {
  const cdr = await played('carriers', { rules: example('Two carriers, by name'), dial: '+12125550199', peers: { '192.0.2.11': 'silent', '192.0.2.12': 'answers' } });
  assert.deepEqual(attempts(cdr, 'trunk', 'code', 'local'), [['carrier-a', 408, true], ['carrier-b', 200, false]]);
  assert.equal(cdr.direction, 'outbound');
});

for (const [where, rules] of [['the_front_page', () => blocks('README.md')[0]], ['rules_cfg', switchedOn]]) {
  test(`docs_routing_the_lines_of_${where}`, async () => {
    assert.match(rules(), /^\tif \(/m, 'no line is switched on');
    const toAnna = await played('front', { rules: rules(), dial: '442079460100', users: { anna: 'answers' } });
    assert.deepEqual([toAnna.did, toAnna.agent, ...attempts(toAnna, 'code')], ['+442079460100', 'anna', [200]]);
    // the caller of these tests is a trunk: the rule for users is played for it
    const out = await played('front', { rules: rules().replace('!isflagset(FLT_TRUNK)', 'isflagset(FLT_TRUNK)'), dial: '+12125550199', peers: { '192.0.2.11': 'silent', '192.0.2.12': 'answers' } });
    assert.deepEqual([out.direction, ...attempts(out, 'code')], ['outbound', [408], [200]]);
  });
}
