// SPDX-License-Identifier: GPL-2.0-or-later
// Users and webhook endpoints in MariaDB, which is frozen, or away at a start.
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { test } from '../lib/test.mjs';
import { prepare, refused, sqlite, start } from '../lib/harness.mjs';
import { poll } from '../lib/proc.mjs';

const USERS = { anna: 'anna-secret', ben: 'ben-secret' };

// phones are called by their address of record, whatever the request URI's domain
const RULES = 'route[RULES] {\n\t$rd = "signalbox.test";\n\treturn;\n}\n';
const CALLER = fileURLToPath(new URL('./sipp/steady_caller.xml', import.meta.url));
const registered = (sb, n) => poll(async () => (await sqlite(sb.registrations, 'SELECT COUNT(*) FROM location;')).trim() === String(n), 8000, `not ${n} registrations in the file`, 100);

test('users_of_mariadb_register_and_call_while_it_is_frozen_and_are_called_after_everything_was_killed', async () => {
  const sb = await start({ name: 'dbphones', db: 'mariadb', users: USERS, rules: RULES, defines: { REGISTER_SAVE: 1 } });
  const called = async (user) => {
    const r = await sb.sipp({ scenario: CALLER, service: user, args: ['-d', '100'], timeout: 20 });
    assert.ok(r.ok, r.errors);
    assert.equal(Number(r.stat['Retransmissions(C)']), 0, 'the INVITE was answered at once');
  };
  try {
    const anna = await sb.baresip('anna', { tone: 440 });
    await registered(sb, 1);
    sb.mariadb.freeze();
    await sb.baresip('ben', { tone: 1000 });
    for (let i = 0; i < 4; i++) await called('ben');
    await registered(sb, 2);
    await called('ben');
    await sb.kill9();
    sb.mariadb.thaw();
    await sb.up();
    anna.dial(`sip:ben@${sb.domain}`);
    const { id } = await anna.wait('CALL_ESTABLISHED');
    anna.hangup();
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id, what: 'the CDR' });
  } finally {
    sb.mariadb.thaw();
    await sb.stop();
  }
});

test('a_start_without_its_mariadb_is_refused_soon_and_says_why', async () => {
  const sb = await prepare({ name: 'dbdown', db: 'mariadb', users: USERS });
  const m = sb.mariadb;
  const shown = `mysql://${m.user}@${m.host}:${m.port}/${m.database}`;
  const tried = async (away, back) => {
    await away();
    const began = Date.now();
    const r = await refused(sb);
    const took = Date.now() - began;
    await back();
    assert.ok(!r.left, 'processes stayed');
    assert.ok(!r.log.includes(m.password), `the password is in the log:\n${r.log}`);
    return { log: r.log, took };
  };
  try {
    for (const [away, back] of [[() => m.kill9(), () => m.up()], [async () => m.freeze(), async () => m.thaw()]]) {
      const { log, took } = await tried(away, back);
      assert.ok(log.includes(`db_url ${shown}: the database cannot be reached`), log);
      assert.ok(took < 10000, `refused after ${took} ms`);
    }
    await sb.up();
  } finally {
    await sb.stop();
  }
});
