// SPDX-License-Identifier: GPL-2.0-or-later
// Users, registrations and webhook endpoints in MariaDB; and a start while it is away.
import assert from 'node:assert/strict';
import { test } from '../lib/test.mjs';
import { prepare, refused, start } from '../lib/harness.mjs';
import { poll } from '../lib/proc.mjs';

const USERS = { anna: 'anna-secret', ben: 'ben-secret' };

test('phones_registered_in_mariadb_are_called_after_everything_was_killed', async () => {
  const sb = await start({ name: 'dbphones', db: 'mariadb', users: USERS, defines: { REGISTER_SAVE: 1 } });
  try {
    const anna = await sb.baresip('anna', { tone: 440 });
    const ben = await sb.baresip('ben', { tone: 1000, answer: 'manual' });
    await poll(async () => (await sb.sql('SELECT COUNT(*) FROM location;')).trim() === '2', 8000, 'both registrations in the database', 100);
    await sb.kill9();
    await sb.mariadb.kill9();
    await sb.mariadb.restart();
    await sb.up();
    anna.dial(`sip:ben@${sb.domain}`);
    await anna.wait('CALL_RINGING');
    ben.accept();
    const { id } = await anna.wait('CALL_ESTABLISHED');
    anna.hangup();
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id, what: 'the CDR' });
  } finally {
    await sb.stop();
  }
});

test('a_start_without_its_mariadb_is_refused_soon_and_says_why', async () => {
  const sb = await prepare({ name: 'dbdown', db: 'mariadb', users: USERS });
  const m = sb.mariadb;
  const shown = `mysql://${m.user}:***@${m.host}:${m.port}/${m.database}`;
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
