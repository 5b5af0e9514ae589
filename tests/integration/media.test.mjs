// SPDX-License-Identifier: GPL-2.0-or-later
// Media when something is wrong: rtpengine silent, or the proxy killed in the middle of a set-up.
import assert from 'node:assert/strict';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from '../lib/test.mjs';
import { start } from '../lib/harness.mjs';
import { SipSocket, token } from '../lib/sip.mjs';
import { Callee } from '../peers/callee.mjs';

const scenario = (name) => path.join(path.dirname(fileURLToPath(import.meta.url)), 'sipp', `${name}.xml`);
const rules = 'route[RULES] {\n\t$ru = "sip:x@127.0.0.3:" + $(rU{s.select,1,-});\n\troute(RELAY);\n}\n';
const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.2\r\ns=-\r\nc=IN IP4 127.0.0.2\r\nt=0 0\r\nm=audio 40002 RTP/AVP 0\r\n';

test('a_silent_rtpengine_delays_a_call_by_no_more_than_its_time_outs', async () => {
  const sb = await start({ name: 'silent', rules, rtpengine: true });
  try {
    const uas = await sb.sippStart({ scenario: scenario('callee'), role: 'uas', calls: 2 });
    sb.rtpengine.proc.signalAll('SIGSTOP');
    const began = Date.now();
    const r = await sb.sipp({ scenario: scenario('caller'), service: `to-${uas.port}`, args: ['-d', '100'] });
    const took = Date.now() - began;
    assert.ok(r.ok, r.errors);
    assert.ok(took < 5000, `a call of 0.1 s took ${took} ms`);
    sb.rtpengine.proc.signalAll('SIGCONT');
  } finally {
    sb.rtpengine.proc.signalAll('SIGCONT');
    await sb.stop();
  }
});

test('an_answer_to_a_call_whose_set_up_was_cut_by_a_crash_goes_through_rtpengine', async () => {
  const sb = await start({ name: 'cutmedia', rules, rtpengine: true });
  const callee = await Callee.open(await sb.ports.next(), { delay: 1200 });
  const caller = await SipSocket.open('127.0.0.2');
  try {
    const callId = token();
    const to = `sip:to-${callee.port}@${sb.domain}`;
    caller.send(caller.request('INVITE', to, caller.lines({ method: 'INVITE', to: `<${to}>`, callId, more: ['Content-Type: application/sdp'] }), SDP), sb.port);
    await caller.wait((m) => m.startsWith('SIP/2.0 180'));
    await sb.kill9();
    await sb.restart();
    const answer = await caller.wait((m) => m.startsWith('SIP/2.0 200') && m.includes(callId), 8000);
    assert.match(answer, /c=IN IP4 127\.0\.0\.1/, 'the answer shows the callee, not rtpengine');
    assert.doesNotMatch(answer, /m=audio 40000 /);
  } finally {
    caller.close();
    callee.close();
    await sb.stop();
  }
});
