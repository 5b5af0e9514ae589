// SPDX-License-Identifier: GPL-2.0-or-later
// Display names that are made to break JSON.
import assert from 'node:assert/strict';
import { test, assertEvents } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { SipSocket, token } from '../lib/sip.mjs';

// bytes as they are on the wire (latin1 text), and what the event must say
const NAMES = {
  quotes: ['"Ada \\"the\\" Caller"', /Ada .*the.* Caller/],
  backslash: ['"a\\\\b"', /a.*b/],
  tab_and_controls: ['"a\tb\x01\x07c"', /a[\s\S]*b[\s\S]*c/],
  delete_and_c1: ['"a\x7f\xc2\x85b"', /a[\s\S]*b/],
  umlaut_as_utf8: ['"J\xc3\xbcrgen"', /^Jürgen$/],
  emoji: ['"\xf0\x9f\x93\x9e phone"', /📞 phone/],
  invalid_utf8: ['"J\xfcrgen \xff\xfe"', /J.*rgen/],
  cut_utf8: ['"end \xf0\x9f\x93"', /^end /],
  surrogate_as_utf8: ['"x\xed\xa0\x80y"', /x.*y/],
  overlong_utf8: ['"x\xc0\xafy"', /x.*y/],
  line_separators: ['"a\xe2\x80\xa8b\xe2\x80\xa9c"', /a[\s\S]*b[\s\S]*c/],
  html_and_template: ['"<b>${x}</b> %n %00 \'; DROP TABLE"', /DROP TABLE/],
  very_long: [`"${'n'.repeat(3000)}"`, /^n{20}/],
  empty: ['""', undefined],
};

test('hostile_display_names_come_out_as_valid_json_signed_as_sent', async () => {
  const sb = await start({ name: 'names' });
  const s = await SipSocket.open('127.0.0.2');
  try {
    const calls = {};
    for (const [what, [wire]] of Object.entries(NAMES)) {
      calls[what] = token();
      s.send(s.request('INVITE', `sip:nobody@${sb.domain}`, s.lines({ method: 'INVITE', from: `${wire} <sip:a@127.0.0.2>`, to: `<sip:nobody@${sb.domain}>`, callId: calls[what] })), sb.port);
      assert.match(await s.final(calls[what]), /^SIP\/2.0 404/, what);
    }
    await sb.receiver.until((e) => Object.values(calls).every((id) => e.some((x) => x.type === 'call.cdr' && x.data.sip_call_id === id)), { ms: 30000, what: 'every CDR' });
    for (const [what, [, expected]] of Object.entries(NAMES)) {
      const events = assertEvents(sb.receiver, calls[what], ['call.initiated', 'call.failed', 'call.cdr']);
      for (const e of events) {
        if (expected) assert.match(e.data.from.name, expected, what);
        else assert.ok(!e.data.from.name, what);
        assert.ok(e.received.body.length < 20000, `${what}: ${e.received.body.length} bytes`);
      }
    }
    assert.equal(sb.receiver.counts().bad, 0);
  } finally {
    s.close();
    await sb.stop();
  }
}, { seconds: 90 });
