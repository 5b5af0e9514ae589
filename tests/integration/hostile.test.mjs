// SPDX-License-Identifier: GPL-2.0-or-later
// SIP that no phone would send: nothing may fall over, and what is reported is valid.
import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test, assertSound, assertNoGaps } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { ROOT } from '../lib/paths.mjs';
import { SipSocket, token } from '../lib/sip.mjs';

const RULES = fs.readFileSync(path.join(ROOT, 'sipp-scenarios', 'rules.cfg'), 'utf8');
const many = (n, f) => Array.from({ length: n }, (_, i) => f(i));
const SDP = ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 'c=IN IP4 192.0.2.1', 't=0 0', 'm=audio 4000 RTP/AVP 0', ''].join('\r\n');
const sdp = ['Content-Type: application/sdp'];

// what the caller sends: extra header lines, body, or changed parts of the usual lines
const INVITES = {
  record_route_longer_than_is_kept: { more: [`Record-Route: <sip:${'r'.repeat(600)}@192.0.2.9;lr>`] },
  sixty_record_routes: { more: many(60, (i) => `Record-Route: <sip:p${i}.example.net;lr>`) },
  broken_record_route: { more: ['Record-Route: <sip:, ;;;"'] },
  call_id_of_400_bytes: { callId: `${token()}${'i'.repeat(380)}` },
  tag_of_300_bytes: { tag: `t${'g'.repeat(300)}` },
  folded_headers: { more: ['Subject: one', ' two', '\tthree'] },
  whitespace_before_the_colon: { more: ['Subject  : x', 'Reason \t: Q.850;cause=16'] },
  reasons_of_all_kinds: { more: ['Reason: Q.850;cause=99999999999;text="\\"', 'Reason: ;;;', 'Reason: SIP;cause='] },
  replaces_that_is_none: { more: ['Replaces: ;to-tag=;from-tag=%00%ff%'] },
  sdp_of_300_streams: { more: sdp, body: SDP + many(300, (i) => `m=video ${i} RTP/AVP ${i % 128}\r\n`).join('') },
  sdp_with_nothing_right: { more: sdp, body: 'm=\r\nm=audio\r\nm=audio 99999999999 \r\na=rtpmap:\r\nc=\r\n\r\n' },
  sdp_cut_in_a_line: { more: sdp, body: SDP.slice(0, 70) },
  multipart_without_an_end: { more: ['Content-Type: multipart/mixed;boundary="x"'], body: `--x\r\nContent-Type: application/sdp\r\n\r\n${SDP}` },
  thirty_kilobytes: { more: many(300, (i) => `X-Filler-${i}: ${'f'.repeat(90)}`) },
  user_with_escapes: { from: '<sip:%00%ff%22%0d%0a@127.0.0.2>' },
  number_that_is_none: { from: '<tel:+999999999999999999999999999999999999>' },
};

// what the callee's 200 says
const ANSWERS = {
  record_route_longer_than_is_kept: { more: [`Record-Route: <sip:${'r'.repeat(600)}@192.0.2.9;lr>`] },
  forty_record_routes_before_ours: { before: many(40, (i) => `Record-Route: <sip:p${i}.example.net;lr>`) },
  contact_of_900_bytes: { contact: `<sip:${'c'.repeat(900)}@127.0.0.3>` },
  no_contact: { contact: null },
  broken_contact: { contact: '<<<sip:' },
  no_to_tag: { tag: '' },
  the_callers_own_tag: { tag: 'same' },
  sdp_of_300_streams: { more: sdp, body: SDP + many(300, () => 'm=audio 1 RTP/AVP 0\r\n').join('') },
  zero_bytes: { more: sdp, body: '\0\0\0v=0\0' },
};

const line = (m, name) => m.split('\r\n').filter((l) => l.toLowerCase().startsWith(`${name.toLowerCase()}:`));

/** A callee that answers every INVITE with what `answer` says, and every BYE with 200. */
function callee(socket, proxy, answer) {
  const reply = (m, code, o) => {
    const to = line(m, 'To')[0] + (o.tag === '' || /;tag=/.test(line(m, 'To')[0]) ? '' : `;tag=${o.tag ?? 'callee'}`);
    const lines = [`SIP/2.0 ${code} x`, ...line(m, 'Via'), ...(o.before ?? []), ...line(m, 'Record-Route'), ...line(m, 'From'), to, ...line(m, 'Call-ID'), ...line(m, 'CSeq'),
      ...(o.contact === null ? [] : [`Contact: ${o.contact ?? `<sip:b@127.0.0.3:${socket.port}>`}`]), ...(o.more ?? []), `Content-Length: ${(o.body ?? '').length}`, '', o.body ?? ''];
    socket.send(Buffer.from(lines.join('\r\n'), 'latin1'), proxy);
  };
  socket.socket.on('message', (b) => {
    const m = b.toString('latin1');
    if (m.startsWith('INVITE')) reply(m, 200, answer());
    else if (m.startsWith('BYE')) reply(m, 200, {});
  });
}

async function call(sb, s, port, o = {}) {
  const callId = o.callId ?? token();
  const tag = o.tag ?? 'same';
  const to = `<sip:one-${port}@127.0.0.1:${sb.port}>`;
  s.send(s.request('INVITE', `sip:one-${port}@127.0.0.1:${sb.port}`, s.lines({ method: 'INVITE', to, callId, tag, from: o.from, more: o.more }), o.body ?? ''), sb.port);
  const final = await s.final(callId);
  if (!/^SIP\/2.0 200/.test(final)) return callId;
  const routes = line(final, 'Record-Route').map((l) => l.replace(/^[^:]*:/, 'Route:')).reverse();
  const target = /Contact: <(sip:[^>]*)>/.exec(final)?.[1] ?? `sip:b@127.0.0.3:${port}`;
  const inside = (method, cseq) => s.send(s.request(method, target, [...routes, ...s.lines({ method, cseq, to: line(final, 'To')[0].slice(4), callId, tag, from: o.from })]), sb.port);
  inside('ACK', 1);
  inside('BYE', 2);
  return callId;
}

test('hostile_sip_brings_nothing_down_and_is_reported_as_valid_events', async () => {
  const sb = await start({ name: 'hostile', rules: RULES, defines: { FR_TIMER: 1000, MAX_DURATION: 3 } });
  const a = await SipSocket.open('127.0.0.2');
  const b = await SipSocket.open('127.0.0.3');
  let answer = {};
  callee(b, sb.port, () => answer);
  try {
    const seen = [];
    for (const [what, o] of Object.entries(INVITES)) seen.push([what, await call(sb, a, b.port, o).catch((e) => assert.fail(`${what}: ${e.message}`))]);
    for (const [what, o] of Object.entries(ANSWERS)) {
      answer = o;
      seen.push([what, await call(sb, a, b.port).catch((e) => assert.fail(`answer ${what}: ${e.message}`))]);
    }
    const good = (e, id) => e.some((x) => x.type === 'call.cdr' && x.data.sip_call_id === id.slice(0, 255));
    await sb.receiver.until((e) => seen.every(([, id]) => good(e, id)), { ms: 30000, what: 'a CDR of every call' });
    const events = sb.receiver.events();
    assertSound(events);
    assertNoGaps(events);
    for (const [what, id] of seen) {
      const ours = new Set(events.filter((e) => e.data.sip_call_id === id.slice(0, 255)).map((e) => e.data.call_id));
      assert.equal(ours.size, 1, `${what}: one call`);
    }
    answer = {};
    const plain = await call(sb, a, b.port);
    await sb.receiver.until((e) => good(e, plain), { ms: 10000, what: 'a plain call after all that' });
    assert.doesNotMatch(sb.log(), /signal 11|core was generated|SIGSEGV/);
  } finally {
    a.close();
    b.close();
    await sb.stop();
  }
}, { seconds: 120 });

test('calls_over_calls_max_go_through_without_a_trail_and_are_counted', async () => {
  const sb = await start({ name: 'full', rules: RULES, defines: { CALLS_MAX: 2 } });
  const a = await SipSocket.open('127.0.0.2');
  const b = await SipSocket.open('127.0.0.3');
  callee(b, sb.port, () => ({}));
  try {
    const invite = async () => {
      const callId = token();
      a.send(a.request('INVITE', `sip:one-${b.port}@127.0.0.1:${sb.port}`, a.lines({ method: 'INVITE', to: `<sip:one-${b.port}@127.0.0.1>`, callId })), sb.port);
      assert.match(await a.final(callId), /^SIP\/2.0 200/);
      return callId;
    };
    for (let i = 0; i < 3; i++) await invite();
    const stats = await sb.rpc('callstate.stats');
    assert.equal(Number(stats.calls_active), 2);
    assert.equal(Number(stats.calls_untracked), 1);
  } finally {
    a.close();
    b.close();
    await sb.stop();
  }
});
