// SPDX-License-Identifier: GPL-2.0-or-later
// Two real phones, real RTP through rtpengine, digest; and who is not let in.
import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import { test, assertEvents } from '../lib/test.mjs';
import { md5, sqlite, start } from '../lib/harness.mjs';
import { poll } from '../lib/proc.mjs';
import { SipSocket, token } from '../lib/sip.mjs';
import { secondsOfTone } from '../lib/tone.mjs';

const users = { anna: 'anna-secret', ben: 'ben-secret' };

test('two_phones_register_with_digest_call_and_hear_each_other', async () => {
  const sb = await start({ name: 'phones', rtpengine: true, users });
  try {
    const anna = await sb.baresip('anna', { tone: 440, display: 'Anna Desk' });
    const ben = await sb.baresip('ben', { tone: 1000, answer: 'manual' });
    anna.dial(`sip:ben@${sb.domain}`);
    await anna.wait('CALL_RINGING');
    ben.accept();
    const { id } = await anna.wait('CALL_ESTABLISHED');
    await poll(async () => (await sb.rtpengine.totals(id))?.packets > 150, 8000, 'rtpengine counts no 150 packets', 100);
    const { packets, errors } = await sb.rtpengine.totals(id);
    anna.hangup();
    await ben.wait('CALL_CLOSED');
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id, what: 'the CDR' });
    await poll(async () => (await sb.rtpengine.totals(id)) === null, 3000, 'the BYE did not end the media');

    assert.ok(secondsOfTone(anna.heard, 1000) > 1, 'anna heard ben');
    assert.ok(secondsOfTone(ben.heard, 440) > 1, 'ben heard anna');
    assert.equal(secondsOfTone(anna.heard, 440), 0, 'anna did not hear herself');
    assert.ok(packets > 150 && errors === 0, `rtpengine: ${packets} packets, ${errors} errors`);

    const [initiated, , answered, ended, cdr] = assertEvents(sb.receiver, id, ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr']);
    assert.equal(initiated.data.from.name, 'Anna Desk');
    assert.equal(initiated.data.from.uri, `sip:anna@${sb.domain}`);
    assert.equal(initiated.data.direction, 'internal');
    assert.equal(answered.data.agent, 'ben');
    assert.equal(ended.data.hangup.by, 'caller');
    assert.equal(cdr.data.attempts.length, 1);
    assert.ok(cdr.data.duration_s > 1 && cdr.data.duration_s < 20, `duration ${cdr.data.duration_s}`);
  } finally {
    assert.ok(await sb.stop(), 'Kamailio stops by itself');
  }
});

test('a_registered_phone_is_called_after_everything_was_killed', async () => {
  const sb = await start({ name: 'reborn', rtpengine: true, users, defines: { REGISTER_SAVE: 1 } });
  try {
    const anna = await sb.baresip('anna');
    const ben = await sb.baresip('ben', { answer: 'manual' });
    await poll(async () => (await sqlite(sb.db, 'SELECT count(*) FROM location')).trim() === '2', 8000, 'both registrations in the database', 100);
    await sb.kill9();
    await sb.restart();
    anna.dial(`sip:ben@${sb.domain}`);
    await anna.wait('CALL_RINGING');
    ben.accept();
    await anna.wait('CALL_ESTABLISHED');
  } finally {
    await sb.stop();
  }
});

test('a_phone_that_hangs_up_as_callee_ends_the_call', async () => {
  const sb = await start({ name: 'callee', rtpengine: true, users });
  try {
    const anna = await sb.baresip('anna');
    const ben = await sb.baresip('ben', { answer: 'manual' });
    anna.dial(`sip:ben@${sb.domain}`);
    await anna.wait('CALL_RINGING');
    ben.accept();
    const { id } = await anna.wait('CALL_ESTABLISHED');
    await ben.wait('CALL_ESTABLISHED');
    ben.hangup();
    await anna.wait('CALL_CLOSED');
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id, what: 'the CDR' });
    const ended = assertEvents(sb.receiver, id, ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'])[3];
    assert.equal(ended.data.hangup.by, 'callee');
  } finally {
    await sb.stop();
  }
});

test('the_proxy_ends_a_call_over_rpc_and_both_phones_and_the_media_are_told', async () => {
  const sb = await start({ name: 'rpcend', rtpengine: true, users });
  try {
    const anna = await sb.baresip('anna');
    const ben = await sb.baresip('ben', { answer: 'manual' });
    anna.dial(`sip:ben@${sb.domain}`);
    await anna.wait('CALL_RINGING');
    ben.accept();
    const { id } = await anna.wait('CALL_ESTABLISHED');
    await ben.wait('CALL_ESTABLISHED');
    assert.ok(await sb.rtpengine.totals(id), 'rtpengine has the call');
    await sb.rpc('callstate.end', id, 'test');
    await Promise.all([anna.wait('CALL_CLOSED'), ben.wait('CALL_CLOSED')]);
    await sb.receiver.until((e) => e.some((x) => x.type === 'call.cdr'), { call: id, what: 'the CDR' });
    const ended = assertEvents(sb.receiver, id, ['call.initiated', 'call.ringing', 'call.answered', 'call.ended', 'call.cdr'])[3];
    assert.equal(ended.data.hangup.by, 'proxy');
    await poll(async () => (await sb.rtpengine.totals(id)) === null, 3000, 'rtpengine still has the call');
  } finally {
    await sb.stop();
  }
});

function challenge(text, name) { return text.match(new RegExp(`${name}="([^"]*)"`))?.[1]; }

const HASH = { MD5: md5, 'SHA-256': (text) => crypto.createHash('sha256').update(text).digest('hex') };

function digest(user, realm, password, nonce, method, uri, algorithm = 'MD5') {
  const h = HASH[algorithm];
  const response = h(`${h(`${user}:${realm}:${password}`)}:${nonce}:${h(`${method}:${uri}`)}`);
  return `Authorization: Digest username="${user}", realm="${realm}", nonce="${nonce}", uri="${uri}", response="${response}", algorithm=${algorithm}`;
}

async function register(sb, s, user, password, algorithm = 'MD5') {
  const uri = `sip:${sb.domain}`;
  const lines = (cseq, callId, more = []) => s.lines({ method: 'REGISTER', from: `<sip:${user}@${sb.domain}>`, to: `<sip:${user}@${sb.domain}>`, callId, cseq, more });
  const first = token();
  s.send(s.request('REGISTER', uri, lines(1, first)), sb.port);
  const asked = await s.final(first);
  const second = token();
  s.send(s.request('REGISTER', uri, lines(2, second, [digest(user, challenge(asked, 'realm'), password, challenge(asked, 'nonce'), 'REGISTER', uri, algorithm)])), sb.port);
  return s.final(second);
}

/** A reply without what differs from one request to the next. */
const shape = (reply) => reply.split('\r\n').filter((l) => !/^(Via|From|To|Call-ID|CSeq)/i.test(l)).join('\n').replace(/nonce="[^"]*"/, 'nonce=""');

test('a_wrong_password_and_an_unknown_user_get_the_same_answer', async () => {
  const sb = await start({ name: 'digest', users });
  const s = await SipSocket.open('127.0.0.1');
  try {
    assert.match(await register(sb, s, 'anna', 'anna-secret'), /^SIP\/2.0 200/);
    const wrong = await register(sb, s, 'anna', 'guessed');
    const unknown = await register(sb, s, 'nobody', 'guessed');
    assert.match(wrong, /^SIP\/2.0 401/);
    assert.equal(shape(unknown), shape(wrong));
    assert.doesNotMatch(wrong, /^(Server|User-Agent):/im);
  } finally {
    s.close();
    await sb.stop();
  }
});

test('digest_with_sha_256_if_the_settings_say_so', async () => {
  const ha1 = HASH['SHA-256'](`anna:signalbox.test:${users.anna}`);
  const sb = await start({ name: 'sha256', defines: { AUTH_ALGORITHM: 'SHA-256' },
    sql: `INSERT INTO subscriber (username, domain, ha1) VALUES ('anna', 'signalbox.test', '${ha1}');` });
  const s = await SipSocket.open('127.0.0.1');
  try {
    assert.match(await register(sb, s, 'anna', users.anna, 'SHA-256'), /^SIP\/2.0 200/);
    assert.match(await register(sb, s, 'anna', 'guessed', 'SHA-256'), /^SIP\/2.0 401[^]*algorithm=SHA-256/);
  } finally {
    s.close();
    await sb.stop();
  }
});

test('a_user_added_while_it_runs_is_known_after_a_reload_over_rpc', async () => {
  const sb = await start({ name: 'reload', users });
  const s = await SipSocket.open('127.0.0.1');
  try {
    await sqlite(sb.db, `INSERT INTO subscriber (username, domain, ha1) VALUES ('carl', '${sb.domain}', '${md5(`carl:${sb.domain}:carl-secret`)}');`);
    assert.match(await register(sb, s, 'carl', 'carl-secret'), /^SIP\/2.0 401/);
    await sb.rpc('htable.reload', 'credentials');
    assert.match(await register(sb, s, 'carl', 'carl-secret'), /^SIP\/2.0 200/);
    assert.match(await register(sb, s, 'anna', users.anna), /^SIP\/2.0 200/);
  } finally {
    s.close();
    await sb.stop();
  }
});

test('one_user_cannot_register_or_call_as_another', async () => {
  const sb = await start({ name: 'spoof', users });
  const s = await SipSocket.open('127.0.0.1');
  try {
    const uri = `sip:${sb.domain}`;
    const lines = (cseq, callId, more = []) => s.lines({ method: 'REGISTER', from: `<sip:ben@${sb.domain}>`, to: `<sip:ben@${sb.domain}>`, callId, cseq, more });
    const first = token();
    s.send(s.request('REGISTER', uri, lines(1, first)), sb.port);
    const asked = await s.final(first);
    const second = token();
    s.send(s.request('REGISTER', uri, lines(2, second, [digest('anna', sb.domain, 'anna-secret', challenge(asked, 'nonce'), 'REGISTER', uri)])), sb.port);
    assert.match(await s.final(second), /^SIP\/2.0 40[13]/);
  } finally {
    s.close();
    await sb.stop();
  }
});

async function ask(sb, s, method, uri, o = {}) {
  const callId = token();
  s.send(s.request(method, uri, s.lines({ method, to: `<${uri}>`, callId, ...o })), sb.port);
  return s.final(callId);
}

test('no_open_relay_by_request_uri_or_route', async () => {
  const sb = await start({ name: 'relay', users });
  const stranger = await SipSocket.open('127.0.0.1');
  const trunk = await SipSocket.open('127.0.0.2');
  const victim = await SipSocket.open('127.0.0.3');
  try {
    const away = `sip:x@127.0.0.3:${victim.port}`;
    assert.match(await ask(sb, stranger, 'INVITE', `sip:ben@${sb.domain}`), /^SIP\/2.0 403/, 'from a foreign domain');
    assert.match(await ask(sb, stranger, 'INVITE', `sip:ben@${sb.domain}`, { from: `<sip:anna@${sb.domain}>` }), /^SIP\/2.0 407/, 'without a password');
    assert.match(await ask(sb, trunk, 'INVITE', away), /^SIP\/2.0 403/, 'to a foreign domain');
    assert.match(await ask(sb, trunk, 'INVITE', `sip:nobody@${sb.domain}`, { more: [`Route: <${away};lr>`] }), /^SIP\/2.0 404/, 'by Route');
    assert.match(await ask(sb, trunk, 'INVITE', away, { to: `<${away}>;tag=1`, more: [`Route: <sip:127.0.0.1:${sb.port};lr>`] }), /^SIP\/2.0 481/, 'by a dialog that is none');
    assert.deepEqual(victim.got, []);
  } finally {
    for (const s of [stranger, trunk, victim]) s.close();
    await sb.stop();
  }
});

test('headers_that_only_we_may_set_are_removed_and_scanners_get_no_answer', async () => {
  let target;
  const callee = await SipSocket.open('127.0.0.3');
  target = `sip:x@127.0.0.3:${callee.port}`;
  const sb = await start({ name: 'headers', rules: `route[RULES] {\n\t$ru = "${target}";\n\troute(RELAY);\n}\n` });
  const s = await SipSocket.open('127.0.0.2');
  try {
    const silent = token();
    s.send(s.request('OPTIONS', `sip:127.0.0.1:${sb.port}`, s.lines({ method: 'OPTIONS', to: '<sip:x@y>', callId: silent, more: ['User-Agent: friendly-scanner'] })), sb.port);
    const callId = token();
    s.send(s.request('INVITE', `sip:x@${sb.domain}`, s.lines({ method: 'INVITE', to: '<sip:x@y>', callId, more: ['X-Signalbox-Call-ID: forged', 'x-signalbox-agent : forged', 'X-Other: stays'] })), sb.port);
    const got = await callee.wait((m) => m.startsWith('INVITE') && m.includes(callId));
    assert.doesNotMatch(got, /forged/);
    assert.match(got, /X-Other: stays/);
    assert.ok(!s.got.some((m) => m.includes(silent)), 'the scanner was answered');
  } finally {
    s.close();
    callee.close();
    await sb.stop();
  }
});
