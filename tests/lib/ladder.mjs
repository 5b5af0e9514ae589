// SPDX-License-Identifier: GPL-2.0-or-later
// What SIPp sent and received, from its -trace_msg files: as lists, as counts, and as a ladder to read.
import fs from 'node:fs';

const HEAD = /^-{20,} (\d{4})-(\d\d)-(\d\d)[ T\t](\d\d):(\d\d):(\d\d)\.(\d{1,6})/;

function header(text, names) {
  const m = new RegExp(`^(?:${names}) *: *(.*?)\\s*$`, 'im').exec(text);
  return m ? m[1] : '';
}

function message(who, at, direction, text) {
  const start = text.slice(0, text.indexOf('\n')).trim();
  const [cseq, method] = header(text, 'CSeq').split(/ +/);
  const reply = /^SIP\/2\.0 (\d{3}) ?(.*)/.exec(start);
  const kind = reply ? `${reply[1]} ${method}` : start.split(' ')[0];
  const callId = header(text, 'Call-ID|i');
  const branch = /branch=([^;,\s]*)/i.exec(header(text, 'Via|v'))?.[1] ?? '';
  const tag = /;tag=([^;\s]*)/.exec(header(text, 'To|t'))?.[1] ?? '';
  const line = reply ? `${reply[1]} ${reply[2]} (${cseq} ${method})` : `${start.replace(/ SIP\/2\.0$/, '')} (${cseq})`;
  return { who, at, direction, kind, line, callId, text, same: [direction, start, branch, cseq, method, tag, callId].join('|') };
}

/** The messages of one SIPp, in order: [{who, at (ms), direction: 'sent' | 'received', kind, line, callId, text, again}]. kind is "INVITE" or "180 INVITE" */
export function readMessages(who, file) {
  let lines;
  try { lines = fs.readFileSync(file, 'utf8').split('\n'); } catch { return []; }
  const list = [];
  let at = 0, direction, body = [];
  const end = () => {
    if (direction && body.length) list.push(message(who, at, direction, body.join('\n')));
    body = [];
    direction = undefined;
  };
  for (const line of lines) {
    const h = HEAD.exec(line);
    if (h) {
      end();
      const [, y, mo, d, hh, mi, s, us] = h;
      at = new Date(+y, mo - 1, +d, +hh, +mi, +s).getTime() + Number(us.padEnd(6, '0')) / 1000;
    } else if (/^\w+ message (sent|received)/.test(line)) {
      direction = line.includes('message sent') ? 'sent' : 'received';
    } else if (direction && (body.length || line.trim())) {
      body.push(line);
    }
  }
  end();
  const seen = new Set();
  for (const m of list) {
    m.again = seen.has(m.same);
    seen.add(m.same);
  }
  return list;
}

/** {received, sent, receivedAgain, sentAgain}: how many of each kind; a retransmission counts only as "again". */
export function countMessages(list) {
  const n = { received: {}, sent: {}, receivedAgain: {}, sentAgain: {} };
  for (const m of list) {
    const into = n[m.again ? `${m.direction}Again` : m.direction];
    into[m.kind] = (into[m.kind] ?? 0) + 1;
  }
  return n;
}

/** The messages of all parties, merged by time, one line a message. */
export function ladder(lists) {
  const all = lists.flat().sort((a, b) => a.at - b.at);
  if (!all.length) return '  (no SIP message was logged)';
  const width = Math.max(...all.map((m) => m.who.length));
  return all.map((m) => {
    const seconds = ((m.at - all[0].at) / 1000).toFixed(3).padStart(8);
    const arrow = m.direction === 'sent' ? '──▶ proxy' : '◀── proxy';
    return `${seconds}  ${m.who.padEnd(width)} ${arrow}  ${m.line}${m.again ? '  again' : ''}`;
  }).join('\n');
}
